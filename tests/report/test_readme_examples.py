"""The README as it is: its markers, and its Python examples, which run in their order."""

import re
from pathlib import Path

from kinks.report import readme

TEXT = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_readme_has_the_markers_of_its_generated_block():
    assert TEXT.count(readme.START) == TEXT.count(readme.END) == 1
    assert TEXT.index(readme.START) < TEXT.index("## ")  # on the first screen


def test_the_examples_run_and_print_what_they_say(capsys):
    scope: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)
    assert len(blocks) == 2
    for code in blocks:
        exec(compile(code, "README.md", "exec"), scope)
    printed = capsys.readouterr().out
    assert "tensor([0.0000, 0.5000, 1.0000])" in printed
    assert scope["found"].depends_on_the_kink in (True, False)

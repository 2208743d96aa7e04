"""The README as it is: its markers, and its Python examples, which run in their order."""

import re
from pathlib import Path

from kinks.report import readme

TEXT = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_readme_has_the_markers_of_its_generated_block():
    assert TEXT.count(readme.START) == TEXT.count(readme.END) == 1
    assert TEXT.index(readme.START) < TEXT.index("## ")  # on the first screen


def test_the_examples_run_and_print_what_they_say(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    scope: dict = {}
    audit, operators, pieces = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)
    for code in (audit, operators):
        exec(compile(code, "README.md", "exec"), scope)
    assert "tensor([0.0000, 0.5000, 1.0000])" in capsys.readouterr().out
    assert scope["found"].depends_on_the_kink in (True, False)
    exec(compile(pieces, "README.md", "exec"), scope)
    assert re.search(r"print\(found\)  # (.*)", pieces)[1] == capsys.readouterr().out.strip()
    assert (tmp_path / "pieces.png").is_file()

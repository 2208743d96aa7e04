"""What each stage's results are made from: its notebook, the modules it loads, the packages they load.

The stage `sources` writes this as reports/provenance/STAGE.json, and the other stages depend on that file instead
of on the notebook and the modules. So saving a notebook with outputs, or rewording a comment, makes only the
one-second stage `sources` run again (toolchain trap: a notebook that is merely opened and saved is modified).
"""

import ast
import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from kinks.pipeline.code_hash import closure, imported_names, module_hash, module_imports
from kinks.pipeline.errors import PipelineError
from kinks.pipeline.notebooks import read_cells, stage_notebook, stage_notebooks, stripped_hash

FOLDER = Path("reports") / "provenance"
PACKAGE = Path(__file__).resolve().parents[1]
# The runner's own modules do not decide results, except the one that puts executed notebooks into shape; and the
# page is made by the runner, not by the notebook.
RUNNER = "pipeline"
RENDERERS = ("pipeline.normalise", "report.html")
DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "ruamel": "ruamel-yaml", "yaml": "pyyaml"}


def provenance(root: Path, stage: str, package: Path = PACKAGE) -> dict:
    """Hashes of the notebook and of each module `stage` loads, and locked versions of the packages they load."""
    notebook = stage_notebook(root, stage)
    cells = read_cells(notebook)
    names = list(_notebook_imports(notebook, cells))
    renderers = [f"{package.name}.{name}" for name in RENDERERS]

    def skip(name: str) -> bool:
        inside = name == f"{package.name}.{RUNNER}" or name.startswith(f"{package.name}.{RUNNER}.")
        return inside and name not in renderers

    modules = closure([*names, *renderers], package, skip)
    external = {*names, *(loaded for name, path in modules.items() for loaded in module_imports(name, path))}
    return {
        "notebook": stripped_hash(cells),
        "modules": {name: module_hash(path) for name, path in modules.items()},
        "packages": _locked(root, external),
    }


def write_all(root: Path) -> None:
    """Write reports/provenance/STAGE.json for every stage that has a notebook."""
    folder = root / FOLDER
    texts = {stage: json.dumps(provenance(root, stage), indent=1) + "\n" for stage in stage_notebooks(root)}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for stage, text in texts.items():
        (folder / f"{stage}.json").write_text(text)


def differences(then: dict, now: dict) -> list[str]:
    """What changed between two provenances, in words: "module kinks.ops.relu changed"."""
    lines = ["its notebook changed"] if then["notebook"] != now["notebook"] else []
    for kind, word in (("modules", "module"), ("packages", "package")):
        old, new = then[kind], now[kind]
        lines += [f"{word} {name} no longer used" for name in sorted(old.keys() - new.keys())]
        lines += [f"{word} {name} is new" for name in sorted(new.keys() - old.keys())]
        lines += [f"{word} {name} changed" for name in sorted(old.keys() & new.keys()) if old[name] != new[name]]
    return lines


def _notebook_imports(path: Path, cells: list[dict]) -> Iterable[str]:
    """Dotted names that the code cells import; lines of IPython magic are blanked first."""
    for number, cell in enumerate(cells, 1):
        if cell["cell_type"] != "code":
            continue
        try:
            tree = ast.parse(re.sub(r"(?m)^[%!].*$", "", cell["source"]))
        except SyntaxError as error:
            raise PipelineError(f"{path}, cell {number}: {error.msg} (line {error.lineno})") from error
        yield from imported_names(tree)


def _locked(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Version in requirements.lock of each distribution that provides one of the imported `names`."""
    lock = root / "requirements.lock"
    pins = dict(re.findall(r"(?m)^([a-z0-9-]+)==([^\s;]+)", lock.read_text())) if lock.is_file() else {}
    tops = {name.split(".")[0] for name in names}
    wanted = sorted({DISTRIBUTIONS.get(top, top.lower().replace("_", "-")) for top in tops})
    return {name: pins[name] for name in wanted if name in pins}

"""The house is in order: pins, links, citation, and nothing in git that belongs to one machine."""

import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 2_000_000  # bytes that a committed file may have
HERE = rf"|{re.escape(str(ROOT))}/\w" if len(ROOT.parts) > 2 else ""
MACHINE_PATHS = re.compile(rf"/(?:home|root|work|workspace|Users)/\w|/tmp/(?:ipykernel|pytest){HERE}")
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|(?:src|href)=\"([^\"]+)\"")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


@cache
def files() -> tuple[Path, ...]:
    """Files that are committed or about to be: what git tracks and what it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return tuple(path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file())


def of_kind(*suffixes: str) -> list[Path]:
    return [path for path in files() if path.suffix in suffixes]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def read_yaml(file: str):
    return YAML(typ="safe", pure=True).load((ROOT / file).read_text(encoding="utf-8"))


def requirements(file: Path) -> list[str]:
    """Logical lines of a requirements file as pip reads them: without comments, included files in their place."""
    text = re.sub(r"\\\n", " ", file.read_text(encoding="utf-8"))
    lines = [line.split(" #")[0].strip() for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [inner for line in lines if line for inner in _included(line, file)]


def _included(line: str, file: Path) -> list[str]:
    return requirements(file.parent / line.split(maxsplit=1)[1]) if line.startswith("-r ") else [line]


def pins(lines: list[str]) -> dict[str, str]:
    return {line.split("==")[0]: line.split()[0].split("==")[1] for line in lines}


def test_the_conda_environment_installs_the_lock(tmp_path):
    *conda, last = read_yaml("environment.yml")["dependencies"]
    # conda writes the pip section to a requirements file beside environment.yml.
    (tmp_path / "condaenv.requirements.txt").write_text("\n".join(last["pip"]))
    (tmp_path / "requirements.lock").write_bytes((ROOT / "requirements.lock").read_bytes())
    installed = requirements(tmp_path / "condaenv.requirements.txt")
    locked = requirements(ROOT / "requirements.lock")
    assert pins(installed) == pins(locked)
    assert all("--hash=sha256:" in line for line in installed), "pip refuses a list in which only some have hashes"
    assert conda == ["python=3.11", "pip"], "whatever else conda installs is not in the lock"


def test_the_lock_pins_and_hashes_every_requirement():
    lines = requirements(ROOT / "requirements.lock")
    assert len(lines) > 100
    for line in lines:
        assert re.match(r"[a-z0-9._-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line[:80]


def test_the_lock_keeps_what_the_project_pins():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [item for extra in project["optional-dependencies"].values() for item in extra]
    locked = pins(requirements(ROOT / "requirements.lock"))
    for item in [*wanted, *project["dependencies"]]:
        package, _, version = item.replace(".", "-", item.split("==")[0].count(".")).partition("==")
        assert package in locked and version in ("", locked[package]), item


def test_the_lock_names_no_address():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"://|--(?:extra-)?index-url|--find-links|--trusted-host| @ ", text)


def test_the_citation_is_complete():
    citation = read_yaml("CITATION.cff")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0" and citation["message"] and citation["title"]
    assert all("name" in author or "family-names" in author for author in citation["authors"])
    assert str(citation["version"]) == project["version"]
    assert citation["license"] == project["license"] == "MIT"
    for reference in citation["references"]:
        assert reference["type"] and reference["title"] and reference["authors"] and reference["year"]


def test_the_licence_is_whole():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.startswith("MIT License\n\nCopyright (c) 2026 the kinks authors\n") and "WITHOUT WARRANTY" in text


def broken_links(page: Path, text: str) -> list[str]:
    """Relative links of a Markdown page that lead nowhere, or out of the repository."""
    broken = []
    for link in (markdown or html for markdown, html in LINK.findall(CODE.sub("", text))):
        if re.match(r"[a-z][a-z0-9+.-]*:|#", link, re.IGNORECASE):
            continue
        target = (page.parent / unquote(link.split("#")[0])).resolve()
        if not (target.exists() and target.is_relative_to(ROOT)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", of_kind(".md"), ids=name)
def test_relative_links_lead_somewhere(page):
    assert not broken_links(page, page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[a](LICENSE) ![b](README.md#top) [c](https://x.org) [d](#here) `[e](no.md)`", []),
        ('[a](no.md) <img src="no.png"> [b](no%20way.md "title")', ["no.md", "no.png", "no%20way.md"]),
        ("[out](../../elsewhere.md) [folder](tests)", ["../../elsewhere.md"]),
    ],
)
def test_broken_links_are_found(text, found):
    assert broken_links(ROOT / "README.md", text) == found


def test_no_file_names_a_place_on_one_machine():
    for path in files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        found = MACHINE_PATHS.search(text)
        assert not found, f"{name(path)}: {text[found.start() - 40 : found.end() + 40]!r}"


def test_no_committed_file_is_large():
    large = {name(path): size for path in files() if (size := path.stat().st_size) > LIMIT}
    assert not large


def test_nothing_scratch_is_committed():
    scratch = re.compile(r"(^|/)(\.venv|\.kinks|lab|__pycache__|\.ipynb_checkpoints|MNIST|CIFAR10|CIFAR100|SVHN)(/|$)")
    assert not [name(path) for path in files() if scratch.search(name(path))]

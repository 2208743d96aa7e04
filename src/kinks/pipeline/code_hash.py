"""Hashes of what modules mean: the syntax tree without comments, docstrings and layout.

The hash of a module is the same under every supported Python, so that results made on one machine are
recognised on another. Standard library only.
"""

import ast
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path


def digest(text: str | bytes) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of `text`."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:16]


def find_module(name: str, package: Path) -> Path | None:
    """The source file of dotted module `name` of the package in folder `package`, or None."""
    base = package.parent.joinpath(*name.split("."))
    candidates = (base / "__init__.py", base.with_suffix(".py"))
    return next((path for path in candidates if path.is_file()), None)


def imported_names(tree: ast.AST, module: str = "", is_package: bool = False) -> Iterator[str]:
    """Every dotted name that an import statement anywhere in `tree` may load, relative ones resolved."""
    parents = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def closure(names: Iterable[str], package: Path, skip: Callable[[str], bool]) -> dict[str, Path]:
    """Modules of `package` that loading `names` loads in turn, by name, with their source files.

    Importing a.b.c also runs a and a.b, so these count too. Modules for which `skip(name)` holds are left out,
    and what only they import with them.
    """
    found: dict[str, Path] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        parts = name.split(".")
        waiting.extend([".".join(parts[:-1])] if len(parts) > 1 else [])
        if name in found or parts[0] != package.name or skip(name):
            continue
        if path := find_module(name, package):
            found[name] = path
            waiting.extend(module_imports(name, path))
    return dict(sorted(found.items()))


def module_imports(name: str, path: Path) -> tuple[str, ...]:
    """Every dotted name that importing the module `name` at `path` may load."""
    return _imports(name, path, path.read_bytes())


def module_hash(path: Path) -> str:
    """Hash of the module at `path` and of the data (files, or folders of them) that it names by a relative path."""
    meaning, strings = _meaning(path.read_bytes(), path)
    named = (string for string in strings if _names_data(path.parent, string))
    return digest("".join([meaning, *(f", {(name, content_hash(path.parent / name))!r}" for name in named), "]"]))


# A process asks for the same modules again and again: every stage, every table.
@cache
def _imports(name: str, path: Path, source: bytes) -> tuple[str, ...]:
    return tuple(imported_names(ast.parse(source, filename=str(path)), name, path.name == "__init__.py"))


@cache
def _meaning(source: bytes, path: Path) -> tuple[str, list[str]]:
    """The syntax tree as text, without its closing bracket, and the strings in it, sorted."""
    tree = ast.parse(source, filename=str(path))
    strings = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return repr([_canonical(tree)])[:-1], sorted(strings)


def _names_data(folder: Path, string: str) -> bool:
    """Whether `string` is the path, from `folder` downwards, of something that is not itself code."""
    if not re.fullmatch(r"\w[\w./-]{0,99}", string) or ".." in string or string.endswith(".py"):
        return False
    path = folder / string
    return path.is_file() or (path.is_dir() and not (path / "__init__.py").is_file())


def content_hash(path: Path) -> str:
    """Hash of the file at `path`, or of the names and contents of all files below that folder; caches excepted."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    kept = [file for file in files if "__pycache__" not in file.parts]
    return digest(repr([(file.relative_to(path).as_posix(), digest(file.read_bytes())) for file in kept]))


def _canonical(node: object) -> object:
    """`node` as nested lists, without what differs between Python versions (fields that are empty or None)."""
    if isinstance(node, list):
        return [_canonical(item) for item in node if not _is_remark(item)]
    if not isinstance(node, ast.AST):
        return node
    fields = [(name, value) for name, value in ast.iter_fields(node) if value is not None and value != []]
    return [type(node).__name__, *((name, _canonical(value)) for name, value in fields)]


def _is_remark(node: object) -> bool:
    """Whether `node` is a statement that is only a constant: a docstring, or `...`."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)

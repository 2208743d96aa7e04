"""The page of all results: verdicts, notebooks, figures and tables, readable offline."""

from importlib.resources import files
from pathlib import Path

import nbformat
from jinja2 import Environment

from kinks import paths
from kinks.report import summary
from kinks.report.claims import ARMS
from kinks.report.html import css, title
from kinks.report.style import VERDICT_COLOURS
from kinks.report.tables import write

COLOURS = VERDICT_COLOURS | {summary.DEPENDS: summary.DEPENDS_COLOUR}


def index(reports: Path | None = None) -> Path:
    """Write html/index.html of a reports folder from its claims.csv, figures and tables, and return its path.

    The notebooks are those of the project, so that the page is the same whether their own pages are written yet or not.
    """
    reports = reports or paths.REPORTS
    claims = summary.read(reports / "claims.csv")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files(__package__) / "index.html").read_text(encoding="utf-8"))
    books = summary.notebooks()
    text = template.render(
        css=css(),
        colours=COLOURS,
        sentence=summary.sentence(claims),
        lines=list(summary.lines(claims)),
        arms=ARMS,
        books=books,
        titles=_titles(books),
        figures=_names(reports / "figures", "png"),
        tables=_names(reports / "tables", "csv"),
    )
    path = reports / "html" / "index.html"
    write(path, text)
    return path


def _names(folder: Path, ending: str) -> list[str]:
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob(f"*.{ending}"))


def _titles(books: dict[str, str]) -> dict[str, str]:
    """The titles of the notebooks, from their sources."""
    folder = paths.ROOT / "notebooks"
    return {name: title(nbformat.read(folder / f"{name}.ipynb", as_version=4)) or name for name in books.values()}

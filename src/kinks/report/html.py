"""One readable page per executed notebook: nothing loaded from elsewhere, no script, the same bytes on every run."""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

import nbformat
from jinja2 import pass_context
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from kinks.report import formula


class _Renderer(IPythonRenderer):
    """Markdown with formulas drawn as SVG."""

    def inline_math(self, body: str) -> str:
        return formula.inline(body)

    def block_math(self, body: str) -> str:
        return formula.block(body)

    def latex_environment(self, name: str, body: str) -> str:
        return formula.block(rf"\begin{{{name}}}{body}\end{{{name}}}")


class _Exporter(HTMLExporter):
    """nbconvert's own exporter with our formulas; page.html extends its lab template."""

    @pass_context
    def markdown2html(self, context, source: str) -> str:
        return MarkdownWithMath(renderer=_Renderer(escape=False, exclude_anchor_links=True)).render(source)


def page(executed: Path, target: Path) -> None:
    """Write an executed notebook as an HTML page with a link back to index.html beside it.

    Code is folded away under a small "code"; figures are embedded; formulas are drawn.
    """
    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata["title"] = title(notebook) or executed.stem
    _name_figures(notebook)
    for cell in notebook.cells:
        cell.metadata.pop("tags", None)
    body, _ = _exporter().from_notebook_node(notebook, resources={"kinks_css": css(), "source": executed.name})
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(body.strip() + "\n", encoding="utf-8", newline="\n")


def title(notebook: NotebookNode) -> str:
    """Return the first heading of a notebook, without its markup; empty if it has none."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (found := re.search(r"(?m)^# +(.+)$", cell.source)):
            return re.sub(r"[*_`$]", "", found[1]).strip()
    return ""


def css() -> str:
    """Return the style sheet of all pages, code colours included."""
    return (files(__package__) / "page.css").read_text(encoding="utf-8")


@cache
def _exporter() -> HTMLExporter:
    template = (files(__package__) / "page.html").read_text(encoding="utf-8")
    return _Exporter(raw_template=template, template_name="lab")


def _name_figures(notebook: NotebookNode) -> None:
    """Give every embedded image a text for those who cannot see it: the first sentence after it, or before."""
    words = [cell.source if cell.cell_type == "markdown" else "" for cell in notebook.cells]
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                near = next((text for text in [*words[number + 1 :], *words[:number][::-1]] if text), "figure")
                plain = re.sub(r"[*_`$#\"<>]", "", near).strip()
                output.metadata["alt"] = re.split(r"(?<=[.:?])\s|\n", plain)[0]

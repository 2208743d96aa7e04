"""Executed notebooks that are equal byte for byte when what they show is equal."""

import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")
STYLER = re.compile(r"\bT_[0-9a-f]{5}(?=[\s\"_])")  # the random id of a styled pandas table
WIDGET = "application/vnd.jupyter.widget-view+json"  # nothing without a live kernel, and its id is random
TEXTS = ("text/plain", "text/html", "text/markdown")


def normalise(notebook: NotebookNode) -> NotebookNode:
    """A copy without times, paths, random ids, memory addresses, widgets, or what was printed to stderr.

    Cells keep kind, source, tags and outputs; ids are their positions. Adjacent pieces of stdout are joined, for
    where the kernel cuts them depends on time.
    """
    cells = [_cell(cell, number) for number, cell in enumerate(notebook.cells)]
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def write_notebook(notebook: NotebookNode, path: Path) -> None:
    """Validate `notebook` and write it to `path` through a temporary file."""
    temporary = path.with_name(f".{path.name}.tmp")
    nbformat.write(notebook, temporary)
    temporary.replace(path)


def _cell(cell: NotebookNode, number: int) -> NotebookNode:
    kept = {"id": f"{number:03d}", "source": cell.source, "metadata": _metadata(cell)}
    if cell.cell_type == "markdown":
        return nbformat.v4.new_markdown_cell(**kept)
    if cell.cell_type == "raw":
        return nbformat.v4.new_raw_cell(**kept)
    return nbformat.v4.new_code_cell(
        **kept, execution_count=cell.execution_count, outputs=_outputs(cell.outputs, number)
    )


def _metadata(cell: NotebookNode) -> dict:
    tags = cell.metadata.get("tags", [])
    return {"tags": list(tags)} if tags else {}


def _outputs(outputs: list[NotebookNode], number: int) -> list[NotebookNode]:
    kept: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream":
            if output.name == "stderr":
                continue
            if kept and kept[-1].output_type == "stream":
                kept[-1].text += output.text
                continue
            kept.append(nbformat.v4.new_output("stream", name=output.name, text=output.text))
        elif WIDGET not in output.get("data", {}):
            kept.append(nbformat.from_dict(dict(output)))
    for position, output in enumerate(kept):
        if output.output_type == "stream":
            output.text = ADDRESS.sub("at 0x0", output.text)
        for kind in TEXTS:
            if kind in output.get("data", {}):
                text = ADDRESS.sub("at 0x0", output.data[kind])
                output.data[kind] = STYLER.sub(f"T_{number:03d}_{position}", text)
    return kept

"""Two runs of the same notebook differ in nothing that does not matter."""

import json
from pathlib import Path

import nbformat
import pandas as pd
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from kinks.pipeline.normalise import WIDGET, normalise, write_notebook


def _executed(time: str, address: str, chunks: list[str], styled: str) -> nbformat.NotebookNode:
    """A notebook as papermill leaves it, with everything that changes from run to run."""
    outputs = [
        new_output("stream", name="stderr", text=f"/home/{time}/x.py: UserWarning"),
        *(new_output("stream", name="stdout", text=chunk) for chunk in chunks),
        new_output("display_data", data={WIDGET: {"model_id": address}, "text/plain": "IntSlider()"}),
        new_output("execute_result", data={"text/plain": f"<A at {address}>", "text/html": styled}, execution_count=1),
    ]
    cell = new_code_cell("a", outputs=outputs, execution_count=1)
    cell.metadata.update(papermill={"start_time": time}, execution={"iopub.status.busy": time}, tags=["x"])
    notebook = new_notebook(cells=[new_markdown_cell("# T"), cell])
    notebook.metadata.update(papermill={"duration": time, "output_path": time}, widgets={"state": {address: 1}})
    return notebook


def _bytes(notebook: nbformat.NotebookNode, path: Path) -> bytes:
    write_notebook(normalise(notebook), path)
    return path.read_bytes()


def test_what_changes_from_run_to_run_is_gone(tmp_path: Path) -> None:
    styled = [pd.DataFrame({"a": [1]}).style._repr_html_() for _ in range(2)]
    assert styled[0] != styled[1]
    one = _bytes(_executed("12:00", "0x7f00aa", ["1\n2", "\n3\n"], styled[0]), tmp_path / "a.ipynb")
    two = _bytes(_executed("13:30", "0x55bb00", ["1\n", "2\n3\n"], styled[1]), tmp_path / "b.ipynb")
    assert one == two
    assert list(tmp_path.glob(".*")) == []


def test_what_a_reader_sees_stays() -> None:
    notebook = normalise(_executed("12:00", "0x7f00aa", ["1\n"], "<b>bold</b>"))
    assert [cell.id for cell in notebook.cells] == ["000", "001"]
    cell = notebook.cells[1]
    assert cell.execution_count == 1 and cell.metadata == {"tags": ["x"]}
    assert [output.output_type for output in cell.outputs] == ["stream", "execute_result"]
    assert cell.outputs[0].text == "1\n"
    assert cell.outputs[1].data == {"text/plain": "<A at 0x0>", "text/html": "<b>bold</b>"}


def test_other_hexadecimal_numbers_stay() -> None:
    cell = new_code_cell("a", outputs=[new_output("stream", name="stdout", text="bits 0x3f800000, T_max, T_12345")])
    text = json.dumps(normalise(new_notebook(cells=[cell])))
    assert "bits 0x3f800000, T_max, T_12345" in text

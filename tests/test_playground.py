"""The playground runs without anyone to drag its sliders, and shows a picture for each group of them."""

import nbformat
import pytest
from nbclient import NotebookClient

from kinks import paths


@pytest.mark.slow
def test_every_group_of_sliders_shows_a_picture(tmp_path):
    notebook = nbformat.read(paths.ROOT / "notebooks/playground.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    shown = [cell for cell in notebook.cells if cell.cell_type == "code"][1:]
    assert len(shown) == 3
    for cell in shown:
        assert any("image/png" in output.get("data", {}) for output in cell.outputs), cell.source

"""Execute one notebook with given values; say in one block what went wrong if it fails."""

import logging
from pathlib import Path

import papermill
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError, strip_color

from kinks.pipeline.errors import PipelineError
from kinks.pipeline.kernel import own_kernel
from kinks.pipeline.normalise import normalise
from kinks.pipeline.notebooks import read_cells, tags
from kinks.pipeline.reporting import Reporter

LAST_LINES = 14


def execute(
    source: Path, parameters: dict, environment: dict[str, str], reporter: Reporter, scratch: Path
) -> NotebookNode:
    """The executed, normalised notebook; `parameters` are injected as Python objects into a kernel of `environment`.

    Raises PipelineError if a cell fails or the kernel dies; what was executed is then kept in scratch/failed/.
    """
    # Parameters are checked before; papermill's warnings about annotations it cannot read are noise.
    # So is asyncio's remark, after a signal, that nobody asked the stopped kernel's task for its exception.
    for name in ("papermill", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    partial, log = scratch / "failed" / source.name, scratch / "logs" / f"{reporter.stage}.log"
    partial.parent.mkdir(parents=True, exist_ok=True)

    def number(index: int) -> int:
        """Number from 1, in the source notebook, of the cell at `index` of the executed one."""
        return index + 1 - (index > injected if parameters else 0)

    injected = _injected_after(source)
    workers = parameters.get("executor") == "processes"
    with own_kernel(environment, log, workers) as kernel_manager_class, reporter:
        try:
            executed = papermill.execute_notebook(
                _braces(source),
                _braces(partial),
                parameters=parameters,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                kernel_manager_class=kernel_manager_class,
                shutdown_kernel="immediate",
                resources={"metadata": {"path": str(source.parent)}},
                on_cell_start=lambda cell, cell_index: reporter.at_cell(number(cell_index)),
            )
        except PapermillExecutionError as error:
            where = f"{source}, cell {number(error.cell_index)}"
            raise PipelineError(f"{where}: {error.ename}\n{_last_frames(error)}\npartial notebook: {partial}") from None
        except RuntimeError as error:  # DeadKernelError is one; a kernel that does not start raises a bare one
            if "died" not in str(error):
                raise
            raise PipelineError(
                f"{source}: the kernel died in cell {reporter.cell} (killed, often for lack of memory, or a crash "
                f"in a library); its last words: {log}; partial notebook: {partial}"
            ) from None
    partial.unlink()
    return normalise(executed)


def _last_frames(error: PapermillExecutionError) -> str:
    """The end of the cell's traceback, without colours, indented."""
    lines = strip_color("\n".join(error.traceback)).rstrip().splitlines()
    return "\n".join(f"    {line}".rstrip() for line in lines[-LAST_LINES:])


def _injected_after(source: Path) -> int:
    """Index of the cell after which papermill inserts the values; -1 if it inserts them at the top."""
    return next((i for i, cell in enumerate(read_cells(source)) if "parameters" in tags(cell)), -1)


def _braces(path: Path) -> str:
    """`path` for papermill, which takes it for a format string."""
    return str(path).replace("{", "{{").replace("}", "}}")

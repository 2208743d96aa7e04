"""Ways to get tasks done. Each is a function (tasks, workers) -> iterator over tasks as they are finished.

A finished task has left its file in the store, so an executor hands back no rows: one that sends tasks to a cluster
needs only a shared folder. Every executor computes with one thread per process, because results change with the
number of threads in their last bits.
"""

import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from kinks.pipeline.errors import JobError
from kinks.pipeline.processes import THREADS
from kinks.pipeline.store import Task, perform


def inline(tasks: Sequence[Task], workers: int) -> Iterator[Task]:
    """One task after another in this process, on one thread; `workers` does not matter."""
    for task in tasks:
        with _one_thread():
            try:
                perform(task)
            except Exception as error:
                raise _failure(task, f"{type(error).__name__}: {error}") from error
        yield task


def processes(tasks: Sequence[Task], workers: int) -> Iterator[Task]:
    """`workers` fresh processes of one thread each, every one on its next task as soon as it is free.

    Raises JobError for the first task that raises or whose process dies; the other processes are then killed.
    """
    waiting = deque(tasks)
    busy: dict[Connection, tuple[BaseProcess, Task]] = {}
    try:
        for _ in range(min(workers, len(tasks))):
            connection, process = _start_worker()
            _hand_out(connection, process, waiting.popleft(), busy)
        while busy:
            for connection in wait(list(busy)):
                process, task = busy.pop(connection)
                _receive(connection, process, task)
                if waiting:
                    _hand_out(connection, process, waiting.popleft(), busy)
                else:
                    connection.close()
                    process.join()
                yield task
    finally:
        for connection, (process, _) in busy.items():
            process.kill()
            process.join()
            connection.close()


EXECUTORS: dict[str, Callable[[Sequence[Task], int], Iterator[Task]]] = {
    "inline": inline,
    "processes": processes,
}


# What every worker needs and nobody edits; the jobs' own modules are loaded by each worker, so that none is stale.
LIBRARIES = ["torch", "numba", "pandas", "pyarrow.parquet", "scipy.special"]
# A process with threads should not be forked, and Arrow's allocator would start one.
NO_THREAD = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}


def warm() -> None:
    """Start the process that workers are forked from; it loads libraries, which takes seconds, while this one goes on.

    A second call does nothing.
    """
    get_context("forkserver").set_forkserver_preload(LIBRARIES)
    _ensure_forkserver()


def _ensure_forkserver() -> None:
    with _environment(THREADS | NO_THREAD):  # read by the libraries when they are loaded
        forkserver.ensure_running()


def _start_worker() -> tuple[Connection, BaseProcess]:
    if "torch" in sys.modules:
        warm()
    _ensure_forkserver()
    context = get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _hand_out(connection: Connection, process: BaseProcess, task: Task, busy: dict) -> None:
    busy[connection] = (process, task)
    try:
        connection.send(task)
    except BrokenPipeError as error:
        raise _death(process, task) from error


def _receive(connection: Connection, process: BaseProcess, task: Task) -> None:
    try:
        failure = connection.recv()
    except (EOFError, ConnectionResetError) as error:
        raise _death(process, task) from error
    if failure:
        process.kill()
        process.join()
        summary, frames = failure
        raise _failure(task, summary) from RuntimeError(f"in the worker:\n{frames}")


def _work(connection: Connection) -> None:
    """The worker: perform tasks until the pipe closes. Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            perform(task)
        except Exception as error:
            connection.send((f"{type(error).__name__}: {error}", traceback.format_exc()))
        else:
            connection.send(None)


def _leave_with_parent() -> None:
    """End this process at once when its parent is gone, even if killed: nothing lingers."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _failure(task: Task, summary: str) -> JobError:
    return JobError(f"{task.job} with settings {task.settings}: {summary}")


def _death(process: BaseProcess, task: Task) -> JobError:
    process.join()
    code = process.exitcode or 0
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    hint = " (often: out of memory; try fewer workers, KINKS_WORKERS=1)" if code == -signal.SIGKILL else ""
    return _failure(task, f"its worker died, {how}{hint}")


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch on one thread, if it is loaded; the environment for libraries that load inside."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 1
    with _environment(THREADS):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(threads)

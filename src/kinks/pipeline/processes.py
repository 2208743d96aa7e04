"""Signals, locks and threads: being stopped cleanly, not running twice, computing on one thread."""

import fcntl
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

from kinks.pipeline.errors import PipelineError

THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 15.0


class Stopped(KeyboardInterrupt):
    """A signal asked this process to stop; a KeyboardInterrupt, so that asyncio lets it through."""

    def __init__(self, signum: int) -> None:
        self.signum = signum


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise Stopped in the main thread at SIGINT, SIGTERM or SIGHUP (a SIGHUP that nohup ignores stays ignored)."""

    def stop(signum: int, frame: FrameType | None) -> None:
        for each in SIGNALS:  # a second signal must not break into the shutdown
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(signum)

    before = {each: signal.getsignal(each) for each in SIGNALS}
    for each in SIGNALS:
        if each != signal.SIGHUP or before[each] is not signal.SIG_IGN:
            signal.signal(each, stop)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def hold(path: Path, what: str, patience: float = PATIENCE) -> Iterator[IO]:
    """Hold the lock file `path`; it is free again when this process, and any it passes the file to, has ended.

    Waits `patience` seconds for a killed predecessor to clear away, then raises PipelineError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        end = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > end:
                    raise PipelineError(f"{what} is already running in another process") from error
                time.sleep(0.1)
        yield lock

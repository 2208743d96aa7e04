"""The kernel a notebook runs in: this very interpreter, apart from the user's own settings, and gone when we are."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from kinks.pipeline.processes import THREADS

# The workers' libraries load while the notebook's own do.
EARLY = "--IPKernelApp.exec_lines=from kinks.pipeline import executors; executors.warm()"


def kernel_environment(root: Path, stage: str, scale: str, progress: Path) -> dict[str, str]:
    """Environment of the kernel of `stage`: where to write, one thread, fixed hashes, no settings of the user's."""
    scratch = root / ".kinks"
    return {
        **os.environ,
        **THREADS,
        "KINKS_ROOT": str(root),
        "KINKS_REPORTS": str(root / "reports"),
        "KINKS_SHARDS": str(scratch / "shards" / stage),
        "KINKS_SCALE": scale,
        "KINKS_PROGRESS": str(progress),
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "IPYTHONDIR": str(scratch / "ipython"),
        "MATPLOTLIBRC": os.devnull,
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }


@contextmanager
def own_kernel(environment: dict[str, str], log: Path, workers: bool) -> Iterator[type[AsyncKernelManager]]:
    """A class of kernel managers for nbclient; on leaving, every kernel started with it is dead, and its children.

    Whatever the notebook's metadata names, the kernel is ipykernel of the running interpreter: kernel
    specifications installed elsewhere do not count. What it prints outside cells goes to `log`. `workers` says whether
    the notebook will start processes of its own.
    """
    groups: list[int] = []
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:

        class OwnKernel(AsyncKernelManager):
            @property
            def kernel_spec(self) -> KernelSpec:
                return KernelSpec(**get_kernel_dict([EARLY] if workers else None))

            async def start_kernel(self, **options: object) -> None:
                await super().start_kernel(env=environment, stdout=output, stderr=output, **options)
                groups.append(self.provisioner.pid)  # the kernel leads a session, so its group has its number

        try:
            yield OwnKernel
        finally:
            for group in groups:
                try:
                    os.killpg(group, signal.SIGKILL)
                except ProcessLookupError:
                    pass

"""Compute everything again, going on where a killed attempt stopped, and compare every table with the committed one."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import uuid
from pathlib import Path

from kinks.pipeline.processes import Stopped, hold, stop_on_signals
from kinks.pipeline.reporting import duration
from kinks.pipeline.scales import current_scale, read_params

KEPT = ("reports", "params.yaml")


def reproduce(root: Path) -> int:
    """Run all stages as `dvc repro -f` does, compare, say where the report lies; the exit code.

    Raises PipelineError if another reproduction is running here.
    """
    start = time.monotonic()
    scratch = root / ".kinks"
    with hold(scratch / "reproduce.lock", "a reproduction") as lock:
        run, resumed = _begin(scratch / "reproduce.json", current_scale(read_params(root)))
        committed = snapshot(root, scratch / "committed", keep=resumed)
        if code := _run_dvc(root, run, lock.fileno()):
            print("\nnot finished; the same command goes on where this one stopped", file=sys.stderr)
            return code
        (scratch / "reproduce.json").unlink()
        equal = _compare(root, committed)
    print(f"\nreport: {root / 'reports' / 'html' / 'index.html'}")
    print(f"took {duration(time.monotonic() - start)}")
    return 0 if equal else 1


def _begin(record: Path, scale: str) -> tuple[str, bool]:
    """The id of this reproduction: that of an unfinished one at the same scale, else a new one."""
    if record.is_file():
        last = json.loads(record.read_text())
        if last["scale"] == scale:
            print(f"going on with the reproduction begun at {last['begun']} (`make clean` to begin anew)")
            return last["run"], True
    new = {"run": uuid.uuid4().hex, "scale": scale, "begun": time.strftime("%Y-%m-%d %H:%M:%S")}
    record.write_text(json.dumps(new) + "\n")
    return new["run"], False


def snapshot(root: Path, target: Path, keep: bool) -> Path | None:
    """A copy of the committed results, from git's HEAD, or of what lies in reports/ where there is no git.

    With `keep`, a copy taken from reports/ earlier stays: what lies there now may be half computed. None if nothing
    is committed.
    """
    archive = _git(root, "archive", "HEAD", *KEPT) if _git(root, "ls-files", "dvc.yaml") else None
    if archive is None and keep and target.is_dir():
        return target
    shutil.rmtree(target, ignore_errors=True)
    if archive is not None:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(target, filter="data")
        return target
    if _git(root, "ls-files", "dvc.yaml") or not (root / "reports").is_dir():
        return None
    target.mkdir(parents=True)
    shutil.copytree(root / "reports", target / "reports")
    shutil.copy(root / "params.yaml", target)
    return target


def _git(root: Path, *arguments: str) -> bytes | None:
    """What `git ARGUMENTS` prints in `root`; None if it fails or there is no git."""
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def _run_dvc(root: Path, run: str, lock: int) -> int:
    """`dvc repro -f` as part of reproduction `run`; the exit code, 0 if all stages were run."""
    environment = {
        **os.environ,
        "DVC_NO_ANALYTICS": "1",
        "KINKS_RUN": run,
        "KINKS_KEEPER": str(os.getpid()),
        "SHELL": "/bin/sh",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    command = [sys.executable, "-m", "dvc", "repro", "--force"]
    dvc = subprocess.Popen(command, cwd=root, env=environment, pass_fds=[lock])
    try:
        with stop_on_signals():
            return 0 if dvc.wait() == 0 else 1
    except Stopped as stopped:
        dvc.terminate()  # the stage's runner sees that it is gone, and stops its kernel
        dvc.wait()
        return 128 + stopped.signum


def _compare(root: Path, committed: Path | None) -> bool:
    """Print what became of every table; whether none is different."""
    from kinks.report.compare import compare

    print()
    if committed is None or not (committed / "reports").is_dir():
        print("nothing is committed yet, so there is nothing to compare with")
        return True
    if read_params(committed) != read_params(root):
        print("params.yaml is not the committed one, so tables may differ for that reason")
    found = compare(committed / "reports", root / "reports")
    for one in found:
        print(one)
    bad = [one for one in found if not one.ok]
    if bad:
        print(f"error: {len(bad)} of {len(found)} tables differ from the committed ones", file=sys.stderr)
    return not bad

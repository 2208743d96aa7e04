"""What fetching has in common: verified files, gathered under another name, and a network that is given up in time."""

import http.client
import io
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

from kinks.data.images import DataError, md5

TIMEOUT = 10.0  # seconds without an answer after which a host counts as out of reach


def is_verified(path: Path, checksum: str) -> bool:
    """Return whether there is a file whose md5 is `checksum`."""
    return path.is_file() and md5(path.read_bytes()) == checksum


def read_verified(path: Path, checksum: str, remedy: str) -> bytes:
    """Return the content of a file, whose md5 must be `checksum`.

    Raises:
        DataError: the file is missing, unreadable or another one; `remedy` ends the message.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} is missing; {remedy}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {remedy}") from None
    return verified(content, checksum, f"{path}", remedy)


def verified(content: bytes, checksum: str, where: str, remedy: str) -> bytes:
    """Return `content`, whose md5 must be `checksum`; raise DataError, which names it by `where`, otherwise."""
    if (found := md5(content)) != checksum:
        raise DataError(f"{where} is truncated or was altered: its md5 is {found}, not {checksum}; {remedy}")
    return content


@contextmanager
def gathering(partial: Path) -> Iterator[Path]:
    """Lend an empty folder in which files are gathered until all are right; the caller moves them from there.

    An interrupted fetch so leaves nothing that looks finished, and the next one clears its remains away.
    """
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def network(what: str, otherwise: str) -> Iterator[None]:
    """Turn what a download raises into one line, give up on silent hosts, and show no progress bar of the loader's.

    Raises:
        DataError: `what` could not be downloaded; `otherwise` says what else can be done.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{what} could not be downloaded; check the network, {otherwise} ({reason})") from None
    finally:
        socket.setdefaulttimeout(before)

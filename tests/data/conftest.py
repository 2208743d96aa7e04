"""A tiny MNIST: synthetic digits in the four official files, with the checksums the code expects put in their place."""

import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kinks.data import DataError, idx, mnist, synthetic_digits
from kinks.data.images import md5

COUNTS = {"train": 60, "t10k": 20}


def contents(seed: int = 0) -> dict[str, bytes]:
    """Return the uncompressed content of the four files."""
    files = {}
    for prefix, count in COUNTS.items():
        digits = synthetic_digits(count, seed)
        files[f"{prefix}-images-idx3-ubyte"] = idx.encode(digits.images.numpy())
        files[f"{prefix}-labels-idx1-ubyte"] = idx.encode(digits.labels.numpy())
    return files


@pytest.fixture
def tiny(monkeypatch) -> dict[str, bytes]:
    """The contents of a small stand-in for official MNIST, which the code now takes for the real one."""
    files = contents()
    monkeypatch.setattr(mnist, "OFFICIAL_FILES", {name: md5(content) for name, content in files.items()})
    return files


@pytest.fixture
def mirror(tiny, tmp_path) -> Path:
    """A mirror folder with two plain and two gzipped files."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for number, (name, content) in enumerate(tiny.items()):
        packed = number % 2
        (folder / (f"{name}.gz" if packed else name)).write_bytes(idx.compress(content) if packed else content)
    return folder


@pytest.fixture
def root(tmp_path) -> Path:
    """An empty data folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """Serve a folder from this machine: `serve(folder)` returns the address."""
    servers = []

    def start(folder: Path) -> str:
        class Quiet(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments):
                super().__init__(*arguments, directory=folder)

            def log_message(self, *arguments):
                """Say nothing."""

            def copyfile(self, source, outputfile):
                # torchvision asks for a file once only to learn where it lies, and hangs up on the content
                with suppress(BrokenPipeError, ConnectionResetError):
                    super().copyfile(source, outputfile)

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """No test of this folder may look for a host but this machine."""
    look_up = socket.getaddrinfo

    def refuse(host, *arguments, **options):
        if host == "127.0.0.1":
            return look_up(host, *arguments, **options)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def refused():
    """Expect a DataError and hand its message on, which must be a single line with the given words."""

    @contextmanager
    def expect(*words: str):
        with pytest.raises(DataError) as raised:
            yield
        message = str(raised.value)
        assert "\n" not in message
        for word in words:
            assert word in message

    return expect

"""The IDX file format of MNIST: four bytes that say type and dimensions, big-endian sizes, then the bytes themselves.

Files are read plain or gzipped (told apart by their first bytes, not by their name) and written gzipped without a date
or a name, so that equal content gives equal files.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from kinks.data.images import DataError, md5

_UBYTE = 8
_GZIP = b"\x1f\x8b"


def read(path: Path, checksum: str, dimensions: int, remedy: str) -> np.ndarray:
    """Return the uint8 array in the IDX file at `path`, whose uncompressed content must have the md5 `checksum`.

    Args:
        path: the file, plain or gzipped.
        checksum: md5 of the uncompressed content.
        dimensions: 3 for images, 1 for labels.
        remedy: what a reader should do when the file cannot be used; ends the message.

    Raises:
        DataError: the file is missing, unreadable, truncated, of another kind, or altered.
    """
    content = _content(path, remedy)
    array = parse(content, dimensions, f"{path}", remedy)
    if md5(content) != checksum:
        raise DataError(f"{path} was altered: the md5 of its content is {md5(content)}, not {checksum}; {remedy}")
    return array


def _content(path: Path, remedy: str) -> bytes:
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} is missing; {remedy}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {remedy}") from None
    if not stored.startswith(_GZIP):
        return stored
    try:
        return gzip.decompress(stored)
    except (EOFError, OSError, zlib.error):
        raise DataError(f"{path} is truncated or damaged: it does not decompress; {remedy}") from None


def parse(content: bytes, dimensions: int, where: str, remedy: str) -> np.ndarray:
    """Return the uint8 array in IDX `content`, a read-only view of it with that many dimensions.

    Raises:
        DataError: another magic number than that of unsigned bytes in so many dimensions, or another length than the
            header's sizes say; `where` names the content and `remedy` ends the message.
    """
    magic = bytes((0, 0, _UBYTE, dimensions))
    if content[:4] != magic:
        raise DataError(
            f"{where} is not an IDX file of bytes in {dimensions} dimension(s): "
            f"it starts with {content[:4].hex() or 'nothing'}, not {magic.hex()}; {remedy}"
        )
    start = 4 + 4 * dimensions
    sizes = struct.unpack(f">{dimensions}I", content[4:start]) if len(content) >= start else ()
    expected = start + math.prod(sizes)
    if not sizes or len(content) != expected:
        raise DataError(f"{where} is truncated or padded: {len(content)} bytes, not {expected}; {remedy}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)


def encode(array: np.ndarray) -> bytes:
    """Return the uncompressed IDX content of a uint8 array."""
    header = bytes((0, 0, _UBYTE, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + np.ascontiguousarray(array, dtype=np.uint8).tobytes()


def compress(content: bytes) -> bytes:
    """Gzip `content` at the highest level without name or date (as `gzip -9 -n`): equal content, equal bytes."""
    return gzip.compress(content, compresslevel=9, mtime=0)

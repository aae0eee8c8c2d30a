"""Files of lines, compressed or not, in frames that end between sessions: so a file that was cut off can be
gone on with.

A frame is a member of a gzip file, or a frame of Zstandard; each holds whole sessions, and files of several
are what the usual tools read as one.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from miniagent_store.errors import ArchiveError, MissingExtraError

# Bytes of lines in a compressed frame, or written at once.
_FRAME = 4 * 2**20
# Bytes that are read at once; of what is compressed less, since it may be much more.
_PIECE, _COMPRESSED_PIECE = 2**18, 2**14
# A longer line is none of ours: a value has its limits.
_LONGEST_LINE = 2**28
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def compression_of(name: str) -> Callable[[bytes], bytes]:
    """What makes a frame for a file of this name: gzip for ``.gz``, Zstandard for ``.zst``, else nothing.

    Raises:
        MissingExtraError: Zstandard is not installed.
    """
    if name.endswith(".gz"):
        return lambda data: gzip.compress(data, 6, mtime=0)
    if name.endswith(".zst"):
        compress: Callable[[bytes], bytes] = _zstd().compress
        return compress
    return lambda data: data


class FrameWriter:
    """Writes lines, and now and then a frame to the file.

    Args:
        file: written from where it stands.
        compress: what makes a frame.
    """

    def __init__(self, file: BinaryIO, compress: Callable[[bytes], bytes]) -> None:
        self._file, self._compress = file, compress
        self._lines: list[bytes] = []
        self._size = 0

    def write(self, lines: list[bytes]) -> None:
        """Write lines after which another session may begin."""
        self._lines += lines
        self._size += sum(map(len, lines))
        if self._size >= _FRAME:
            self.flush()

    def flush(self) -> None:
        """End the frame."""
        if self._lines:
            self._file.write(self._compress(b"".join(self._lines)))
            self._file.flush()
            self._lines, self._size = [], 0


def read_lines(file: BinaryIO) -> Iterator[tuple[bytes, int | None]]:
    """Lines, each with its newline, and where the file can be cut off after it, if it can.

    Raises:
        ArchiveError: it ends within a line or a frame, or is not compressed as it says.
    """
    begun: list[bytes] = []
    size = 0
    for piece, end in _pieces(file):
        *whole, rest = piece.split(b"\n")
        for number, line in enumerate(whole, 1):
            yield b"".join((*begun, line, b"\n")), end if number == len(whole) and not rest else None
            begun, size = [], 0
        if rest:
            begun.append(rest)
            size += len(rest)
        if size > _LONGEST_LINE:
            raise ArchiveError("a line of the archive is longer than any that is written")
    if begun:
        raise ArchiveError("the archive ends within a line")


def _pieces(file: BinaryIO) -> Iterator[tuple[bytes, int | None]]:
    """Pieces of what the file holds, uncompressed, and where a frame ends with them."""
    at = 0
    data = file.read(_COMPRESSED_PIECE)
    make = _decompressor(data[:4])
    if make is None:
        while data:
            # Cut after each whole line, so that each line's end is known.
            start = 0
            while (end := data.find(b"\n", start)) >= 0:
                yield data[start : end + 1], at + end + 1
                start = end + 1
            if start < len(data):
                yield data[start:], None
            at += len(data)
            data = file.read(_PIECE)
        return
    frame = make()
    while data:
        try:
            piece = frame.decompress(data)
        except Exception as error:
            raise ArchiveError(f"the archive's compression is damaged ({type(error).__name__})") from error
        at += len(data) - len(frame.unused_data)
        yield piece, at if frame.eof else None
        data = frame.unused_data or file.read(_COMPRESSED_PIECE)
        if frame.eof:
            if not data:
                return
            frame = make()
    raise ArchiveError("the archive ends within a compressed frame")


def _decompressor(start: bytes) -> Callable[[], Any] | None:
    if start.startswith(_GZIP):
        return lambda: zlib.decompressobj(wbits=31)
    if start == _ZSTD:
        make: Callable[[], Any] = _zstd().ZstdDecompressor
        return make
    return None


def _zstd() -> Any:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError as error:
        raise MissingExtraError("archives in .zst", package="backports.zstd", extra="zstd") from error
    return zstd

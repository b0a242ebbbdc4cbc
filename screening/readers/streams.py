"""Byte streams the readers stand on: counted, looked ahead into, inflated under guard.

None of them closes the stream it wraps; who opened a file closes it.
"""

from __future__ import annotations

import codecs
import gzip
import io
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

from screening.errors import LimitError, ReadError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_ARCHIVE_BYTES = 32 * 2**30
"""Bytes that one archive, or one spooled stream, may unfold to."""

MAX_COMPRESSION_RATIO = 200
"""Output to input; text exports pack 5:1 to 30:1, a deflate bomb about 1000:1."""

RATIO_GRACE_BYTES = 64 * 2**20
"""Output allowed before the ratio counts: small files may be very repetitive."""

HEAD_BYTES = 64 * 2**10
_BUFFER_BYTES = HEAD_BYTES


class Meter:
    """Raw bytes consumed so far, told to ``progress`` at every read."""

    def __init__(self, progress: Callable[[int], None] | None = None) -> None:
        self.total = 0
        self._progress = progress

    def start_telling(self, progress: Callable[[int], None] | None) -> None:
        """Begin at zero, for bytes looked at before the reading proper."""
        self.total = 0
        self._progress = progress

    def add(self, n_bytes: int) -> None:
        self.total += n_bytes
        if self._progress is not None:
            self._progress(self.total)


class _Readable(io.RawIOBase):
    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._take(len(view))
        view[: len(data)] = data
        return len(data)

    def _take(self, n_bytes: int) -> bytes:
        raise NotImplementedError


class Counted(_Readable):
    """A file that reports every byte read to a `Meter`; seeks where the file seeks."""

    def __init__(self, file: BinaryIO, meter: Meter) -> None:
        self._file = file
        self._meter = meter

    def _take(self, n_bytes: int) -> bytes:
        data = self._file.read(n_bytes)
        self._meter.add(len(data))
        return data

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class Lookahead(_Readable):
    """A stream whose first `HEAD_BYTES` can be seen in ``head`` before it is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.head = read_fully(stream, HEAD_BYTES)
        self.is_whole = len(self.head) < HEAD_BYTES
        self._position = 0

    def _take(self, n_bytes: int) -> bytes:
        if self._position < len(self.head):
            data = self.head[self._position : self._position + n_bytes]
            self._position += len(data)
            return data
        return b"" if self.is_whole else self._stream.read(n_bytes)


class Allowance:
    """What one archive may still unfold to, over all its members and layers."""

    def __init__(self, name: str, max_bytes: int) -> None:
        self.name = name
        self._max_bytes = max_bytes
        self._unfolded = 0

    def spend(self, n_bytes: int) -> None:
        self._unfolded += n_bytes
        if self._unfolded > self._max_bytes:
            raise LimitError(
                f"{self.name}: unfolds to more than {self._max_bytes // 2**20:,} MiB; "
                "unpack it and give the directory."
            )


class Inflated(_Readable):
    """Decompressed bytes, refused past `MAX_COMPRESSION_RATIO` or the archive's `Allowance`.

    The ratio is taken from the bytes really read (``source``), not from what headers claim.
    """

    def __init__(self, name: str, stream: BinaryIO, source: Meter, allowance: Allowance) -> None:
        self._name = name
        self._stream = stream
        self._source = source
        self._source_start = source.total
        self._allowance = allowance
        self._unfolded = 0

    def _take(self, n_bytes: int) -> bytes:
        try:
            data = self._stream.read(n_bytes)
        except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
            raise ReadError(
                f"{self._name}: the compressed data breaks off or is damaged after "
                f"{self._unfolded:,} bytes; get a whole copy."
            ) from error
        self._unfolded += len(data)
        self._allowance.spend(len(data))
        self._check_ratio()
        return data

    def _check_ratio(self) -> None:
        consumed = self._source.total - self._source_start
        if self._unfolded > max(RATIO_GRACE_BYTES, MAX_COMPRESSION_RATIO * consumed):
            raise LimitError(
                f"{self._name}: unfolds more than {MAX_COMPRESSION_RATIO}:1, as a zip bomb does; "
                "not read further. Unpack it yourself if you trust it."
            )


class _Utf16AsUtf8(_Readable):
    """UTF-16 with a byte order mark, read as UTF-8; lone surrogates pass, the reader mends them."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
        self._pending = b""
        self._offset = 0
        self._ended = False

    def _take(self, n_bytes: int) -> bytes:
        while not self._pending and not self._ended:
            self._decode(self._stream.read(_BUFFER_BYTES))
        data, self._pending = self._pending[:n_bytes], self._pending[n_bytes:]
        return data

    def _decode(self, chunk: bytes) -> None:
        self._ended = not chunk
        try:
            text = self._decoder.decode(chunk, final=self._ended)
        except UnicodeDecodeError as error:
            raise ReadError(
                f"{self._name}: not UTF-16 near byte {self._offset + error.start:,}, though its "
                "first bytes say so; save it as UTF-8."
            ) from error
        self._offset += len(chunk)
        self._pending = text.encode("utf-8", "surrogatepass")


def read_fully(stream: BinaryIO, n_bytes: int) -> bytes:
    """Up to ``n_bytes``; fewer only at the end. A pipe hands out less at a time."""
    parts = []
    while n_bytes > 0 and (part := stream.read(n_bytes)):
        parts.append(part)
        n_bytes -= len(part)
    return b"".join(parts)


def buffered(raw: io.RawIOBase) -> BinaryIO:
    return io.BufferedReader(raw, _BUFFER_BYTES)


def as_utf8(stream: BinaryIO, name: str) -> BinaryIO:
    """The same text without its byte order mark, UTF-16 turned into UTF-8."""
    ahead = Lookahead(stream)
    if ahead.head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return buffered(_Utf16AsUtf8(buffered(ahead), name))
    result = buffered(ahead)
    if ahead.head.startswith(codecs.BOM_UTF8):
        result.read(len(codecs.BOM_UTF8))
    return result


def spooled(stream: BinaryIO, name: str, max_bytes: int = MAX_ARCHIVE_BYTES) -> BinaryIO:
    """The stream's bytes in a temporary file on disk, for formats that must seek."""
    allowance = Allowance(name, max_bytes)
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115  the caller closes it
    try:
        while chunk := stream.read(_BUFFER_BYTES):
            allowance.spend(len(chunk))
            file.write(chunk)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file

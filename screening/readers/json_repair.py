"""Telegram Desktop's JSON, mended on the way where the mend is certain, and kept within limits.

What the exporter is known to write wrong: control bytes as ``\\xHH`` (tdesktop issue 27571) and
values without quotes (issue 24961). Clean bytes pass through unchanged.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from screening.errors import LimitError
from screening.types import ReadReport

MAX_STRING_BYTES = 16 * 2**20
"""A Telegram message has at most 4,096 characters; this is 4,000 times as much."""

MAX_DEPTH = 256
"""Real exports nest about ten deep."""

MAX_BARE_BYTES = 64 * 2**10
"""A value without quotes is a file name on the rest of its line."""

CHUNK_BYTES = 256 * 2**10

_CLEAN = re.compile(
    rb'(?:[\s,:]++|"(?:[^"\\\x00-\x1f]++|\\["\\/bfnrtu])*+"|-?[0-9][0-9.eE+-]*+|true|false|null)++'
)
_NUMBER_END = re.compile(rb"-?[0-9][0-9.eE+-]*\Z")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_BARE = re.compile(rb"[^\r\n]*+[\r\n]")
_FLAW = re.compile(rb"\\x([0-9a-fA-F]{2})|\\.|([\x00-\x1f])", re.DOTALL)
_BOM = b"\xef\xbb\xbf"


class RepairedJson:
    """A binary stream of the same JSON, mended; counts into ``report.repaired``.

    ``depth`` is the nesting at the point read to: above zero at the end, the file breaks off.

    Raises
    ------
    LimitError
        A string longer than ``MAX_STRING_BYTES`` or nesting deeper than ``MAX_DEPTH``.
    """

    def __init__(self, stream: BinaryIO, *, name: str, report: ReadReport) -> None:
        self._stream = stream
        self._name = name
        self._report = report
        self._raw = b""
        self._offset = 0
        self._ready = b""
        self._ended = False
        self._is_begun = False
        self.depth = 0

    @property
    def is_at_end(self) -> bool:
        """Whether every byte of the file has been read."""
        return self._ended and not self._raw and not self._ready

    @property
    def offset(self) -> int:
        """Bytes of the file mended so far."""
        return self._offset

    def read(self, size: int = -1) -> bytes:
        """At least one byte until the end; ``size`` bounds one read."""
        while not self._ready and not (self._ended and not self._raw):
            self._fill()
        if size is None or size < 0:
            taken, self._ready = self._ready, b""
            return taken + (self.read(size) if taken else b"")
        taken, self._ready = self._ready[:size], self._ready[size:]
        return taken

    def _fill(self) -> None:
        data = self._stream.read(CHUNK_BYTES)
        self._ended = not data
        self._raw += data
        if not self._is_begun and (len(self._raw) >= len(_BOM) or self._ended):
            self._is_begun = True
            if self._raw.startswith(_BOM):
                self._take(len(_BOM))
                self._report.repaired["byte_order_mark"] += 1
        if self._is_begun:
            self._ready = b"".join(self._mended())

    def _mended(self) -> list[bytes]:
        """What can be passed on of the bytes at hand; the rest waits for more."""
        out: list[bytes] = []
        raw, at = self._raw, 0
        while at < len(raw):
            if clean := _CLEAN.match(raw, at):
                end = clean.end()
                if end == len(raw) and not self._ended and (number := _NUMBER_END.search(clean[0])):
                    out.append(raw[at : at + number.start()])
                    at += number.start()
                    break  # the number may go on in the next chunk
                out.append(clean[0])
                at = end
                continue
            piece, end = self._mend(raw, at)
            if end == at:
                break
            out.append(piece)
            at = end
        self._take(at)
        return out

    def _mend(self, raw: bytes, at: int) -> tuple[bytes, int]:
        """The piece at ``at`` and where it ends; ``at`` itself where more bytes are needed."""
        byte = raw[at : at + 1]
        if byte in b"{[":
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise LimitError(
                    f"{self._name}: nests deeper than {MAX_DEPTH} at byte {self._offset + at:,}; "
                    "this is not a chat export."
                )
            return byte, at + 1
        if byte in b"}]":
            self.depth -= 1
            return byte, at + 1
        if byte == b'"':
            return self._string(raw, at)
        return self._bare(raw, at)

    def _string(self, raw: bytes, at: int) -> tuple[bytes, int]:
        found = _STRING.match(raw, at)
        if found is None:
            if len(raw) - at > MAX_STRING_BYTES:
                raise LimitError(
                    f"{self._name}: a string at byte {self._offset + at:,} is longer than "
                    f"{MAX_STRING_BYTES // 2**20} MiB; no message is, cut it out and try again."
                )
            # At the end of the file the string breaks off; the parser says so.
            return (raw[at:], len(raw)) if self._ended else (b"", at)
        return _FLAW.sub(self._flaw, found[0]), found.end()

    def _flaw(self, match: re.Match[bytes]) -> bytes:
        code = int(match[1], 16) if match[1] else match[2][0] if match[2] else None
        if code is None:
            return match[0]
        self._report.repaired["control_byte"] += 1
        return b"\\u%04x" % code

    def _bare(self, raw: bytes, at: int) -> tuple[bytes, int]:
        """A value that should stand in quotes: the rest of its line, without its comma."""
        found = _BARE.match(raw, at)
        if found is None:
            rest = raw[at:]
            if len(rest) > MAX_BARE_BYTES:
                raise LimitError(
                    f"{self._name}: no JSON value at byte {self._offset + at:,}; "
                    "the file is damaged there."
                )
            return (rest, len(raw)) if self._ended else (b"", at)
        line = found[0].rstrip()
        comma = b"," if line.endswith(b",") else b""
        value = line.removesuffix(b",").replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        self._report.repaired["unquoted_value"] += 1
        return b'"' + value + b'"' + comma + b"\n", found.end()

    def _take(self, count: int) -> None:
        self._raw = self._raw[count:]
        self._offset += count

"""Any export into posts: found out by content, unpacked under guard, streamed."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from screening.errors import ReadError
from screening.readers.containers import (
    Member,
    directory_members,
    open_file,
    ungzipped,
    zip_members,
)
from screening.readers.detection import GZIP_MAGIC, READABLE, Kind, detect
from screening.readers.plan import Unit, plan
from screening.readers.streams import (
    MAX_ARCHIVE_BYTES,
    Allowance,
    Counted,
    Lookahead,
    Meter,
    as_utf8,
    buffered,
    spooled,
)
from screening.readers.table import Columns, MissingTextError
from screening.readers.tabular import read_csv, read_json_array, read_jsonl, read_parquet
from screening.readers.tdl import read_tdl
from screening.readers.telegram import clean_username
from screening.readers.telegram_html import read_telegram_html
from screening.readers.telegram_json import read_telegram_json
from screening.readers.telethon import read_telethon
from screening.types import Post, ReadReport

_TELEGRAM = {
    "telegram_json": read_telegram_json,
    "telethon": read_telethon,
    "tdl": read_tdl,
}
_TABULAR = {
    "jsonl": read_jsonl,
    "json_array": read_json_array,
    "csv": read_csv,
    "parquet": read_parquet,
}


def open_export(
    path: str | os.PathLike[str],
    *,
    username: str | None = None,
    columns: Columns | None = None,
    report: ReadReport,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Post]:
    """Posts of an export, streamed; what it is, is found from its content.

    Parameters
    ----------
    path
        A file, a directory, a .zip or gzip file; ``-`` for standard input.
    username
        The channel's public name, for permalinks the export itself does not carry.
    columns
        Names of a table's columns, where the usual ones do not find them.
    report
        Counts every post, skip and repair while the posts are read.
    progress
        Told the raw bytes consumed so far; compare with `input_size`.

    Raises
    ------
    ReadError
        For what cannot be read, on the call or while reading; `LimitError` past a stated limit.
    """
    name = os.fspath(path)
    shown = "stdin" if name == "-" else name
    reading = _Reading(shown, username, columns, report, progress)
    if name == "-":
        return reading.stdin()
    if not os.path.exists(name):
        raise ReadError(f"{name}: no such file or directory.")
    return reading.directory() if os.path.isdir(name) else reading.file()


def input_size(path: str | os.PathLike[str]) -> int | None:
    """Raw bytes that reading ``path`` will consume; ``None`` where nobody knows beforehand."""
    name = os.fspath(path)
    if name == "-" or not os.path.exists(name):
        return None
    reading = _Reading(name, None, None, ReadReport(), None)
    if os.path.isdir(name):
        return _size(reading.plan(directory_members(Path(name), Meter(), ReadReport())))
    if not stat.S_ISREG(os.stat(name).st_mode):
        return None
    with open_file(Path(name)) as file:
        if detect(file.read(4), is_whole=False).kind != "zip":
            return os.path.getsize(name)
        return _size(reading.plan(zip_members(file, name, Allowance(name, MAX_ARCHIVE_BYTES))))


def _size(units: list[Unit]) -> int:
    return sum(member.size for unit in units for member in unit.members)


@dataclass(frozen=True, slots=True)
class _Source:
    """An opened file, looked into: ``ahead`` is its content, of a gzip what is inside."""

    name: str
    stream: BinaryIO
    ahead: Lookahead
    is_gzip: bool

    @contextmanager
    def content(self, *, must_seek: bool = False) -> Iterator[BinaryIO]:
        """The content from its beginning; in a copy on disk where it must seek and cannot."""
        if not must_seek:
            yield buffered(self.ahead)
        elif self.stream.seekable() and not self.is_gzip:
            self.stream.seek(0)
            yield self.stream
        else:
            with spooled(buffered(self.ahead), self.name) as copy:
                yield copy


def _source(stream: BinaryIO, name: str, allowance: Allowance) -> _Source:
    ahead = Lookahead(stream)
    is_gzip = ahead.head.startswith(GZIP_MAGIC)
    if is_gzip:
        ahead = Lookahead(ungzipped(buffered(ahead), name, allowance))
    return _Source(name, stream, ahead, is_gzip)


class _Reading:
    """One export being read."""

    def __init__(
        self,
        name: str,
        username: str | None,
        columns: Columns | None,
        report: ReadReport,
        progress: Callable[[int], None] | None,
    ) -> None:
        self._name = name
        self._username = clean_username(username)
        self._columns = columns
        self._report = report
        self._progress = progress
        self._meter = Meter()
        self._allowance = Allowance(name, MAX_ARCHIVE_BYTES)

    def stdin(self) -> Iterator[Post]:
        yield from self._whole(sys.stdin.buffer)

    def file(self) -> Iterator[Post]:
        with open_file(Path(self._name)) as file:
            yield from self._whole(file)

    def _note_other_pages(self) -> None:
        page = Path(self._name)
        if not re.fullmatch(r"messages\d*\.html", page.name):
            return
        others = len(list(page.parent.glob("messages*.html"))) - 1
        if others > 0:
            note = f"{self._name}: one page; {others} more beside it are read with the directory"
            self._report.notes.append(note)

    def directory(self) -> Iterator[Post]:
        members = directory_members(Path(self._name), self._meter, self._report)
        yield from self._members(members)

    def plan(self, members: list[Member]) -> list[Unit]:
        return plan(members, self._ahead, self._columns, self._report)

    def _whole(self, file: BinaryIO) -> Iterator[Post]:
        """Posts of one file that is the whole input."""
        self._meter.start_telling(self._progress)
        stream = buffered(Counted(file, self._meter))
        source = _source(stream, self._name, self._allowance)
        kind = self._recognised(source)
        if kind == "zip":
            with source.content(must_seek=True) as archive:
                yield from self._members(zip_members(archive, self._name, self._allowance))
        else:
            if kind == "telegram_html":
                self._note_other_pages()
            yield from self._posts(kind, source)

    def _recognised(self, source: _Source) -> Kind:
        ahead = source.ahead
        found = detect(ahead.head, is_whole=ahead.is_whole, columns=self._columns)
        if found.kind == "empty":
            raise ReadError(f"{self._name}: is empty.")
        if found.kind == "gzip" or (found.kind == "zip" and source.is_gzip):
            raise ReadError(f"{self._name}: an archive inside a gzip; unpack it first.")
        if found.kind == "unknown":
            raise ReadError(f"{self._name}: {found.seen}. Read are {READABLE}.")
        return found.kind

    def _members(self, members: list[Member]) -> Iterator[Post]:
        self._meter.start_telling(None)
        units = self.plan(members)
        if not units:
            raise ReadError(f"{self._name}: holds no file that can be read. Read are {READABLE}.")
        self._meter.start_telling(self._progress)
        textless = []
        for unit in units:
            try:
                yield from self._unit(unit)
            except MissingTextError as error:
                textless.append(error)
        if len(textless) == len(units):
            raise textless[0]
        if textless:
            self._report.skipped["no_text_column"] += len(textless)
            self._report.notes += map(str, textless[:5])

    def _unit(self, unit: Unit) -> Iterator[Post]:
        if unit.kind == "telegram_html":
            yield from self._html(self._pages(unit))
            return
        (member,) = unit.members
        with self._opened(member) as source:
            yield from self._posts(unit.kind, source, row_prefix=f"{member.name}#")

    def _pages(self, unit: Unit) -> Iterator[tuple[str, BinaryIO]]:
        for member in unit.members:
            with self._opened(member) as source:
                yield source.name, buffered(source.ahead)

    def _html(self, pages: Iterable[tuple[str, BinaryIO]]) -> Iterator[Post]:
        return read_telegram_html(pages, username=self._username, report=self._report)

    def _posts(self, kind: Kind, source: _Source, *, row_prefix: str = "") -> Iterator[Post]:
        name, report = source.name, self._report
        with source.content(must_seek=kind == "parquet") as stream:
            if kind == "telegram_html":
                yield from self._html([(name, stream)])
            elif (read := _TELEGRAM.get(kind)) is not None:
                utf8 = as_utf8(stream, name)
                yield from read(utf8, name=name, username=self._username, report=report)
            else:
                yield from _TABULAR[kind](
                    stream, name=name, columns=self._columns, report=report, row_prefix=row_prefix
                )

    @contextmanager
    def _opened(self, member: Member) -> Iterator[_Source]:
        with member.open() as stream:
            yield _source(stream, f"{self._name}/{member.name}", self._allowance)

    @contextmanager
    def _ahead(self, member: Member) -> Iterator[Lookahead]:
        with self._opened(member) as source:
            yield source.ahead

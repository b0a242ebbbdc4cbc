"""Directories, .zip and gzip files as streams, with what is dangerous in them refused."""

from __future__ import annotations

import gzip
import io
import posixpath
import re
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from screening.errors import LimitError, ReadError
from screening.readers.streams import Allowance, Counted, Inflated, Meter, buffered
from screening.types import ReadReport

MAX_DIRECTORY_BYTES = 64 * 2**20
"""Size of a .zip's table of contents, which is read whole: some 500,000 members."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a directory or .zip: its path there, its raw size, and how to open it."""

    name: str
    size: int
    open: Callable[[], AbstractContextManager[BinaryIO]]

    @property
    def folder(self) -> str:
        return str(PurePosixPath(self.name).parent)


def natural_order(name: str) -> tuple[str, ...]:
    """Sorts ``messages.html``, ``messages2.html``, ``messages10.html`` as written here."""
    parts = PurePosixPath(posixpath.splitext(name)[0].casefold()).parts
    return (*(re.sub(r"\d+", lambda digits: digits[0].zfill(20), part) for part in parts), name)


def printable(name: str) -> str:
    """A file's name fit for messages and keys: nothing that steers a terminal or is no Unicode."""
    return "".join(char if char.isprintable() else "\ufffd" for char in name)


def open_file(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ReadError(f"{printable(str(path))}: cannot be opened: {error.strerror}.") from error


def ungzipped(stream: BinaryIO, name: str, allowance: Allowance) -> BinaryIO:
    source = Meter()
    inner = gzip.GzipFile(fileobj=buffered(Counted(stream, source)), mode="rb")
    return buffered(Inflated(name, cast(BinaryIO, inner), source, allowance))


def directory_members(root: Path, meter: Meter, report: ReadReport) -> list[Member]:
    """Regular files below ``root``. Raises `LimitError` for a symlink that leads out of it."""
    members: list[Member] = []
    folders = [root]
    while folders:
        for path in _listed(folders.pop()):
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                _check_link(path, root)
                report.skipped["link"] += 1  # its target is read where it lies
            elif stat.S_ISDIR(mode):
                folders.append(path)
            elif stat.S_ISREG(mode):
                members.append(_file_member(path, root, meter))
            else:
                report.skipped["not_text_file"] += 1
    return sorted(members, key=lambda member: natural_order(member.name))


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise ReadError(f"{printable(str(folder))}: cannot be listed: {error.strerror}.") from error


def _file_member(path: Path, root: Path, meter: Meter) -> Member:
    @contextmanager
    def open_member() -> Iterator[BinaryIO]:
        with open_file(path) as file:
            yield buffered(Counted(file, meter))

    return Member(printable(path.relative_to(root).as_posix()), path.lstat().st_size, open_member)


def _check_link(path: Path, root: Path) -> None:
    try:
        target = path.resolve()
    except (OSError, RuntimeError) as error:  # a loop of links
        raise LimitError(
            f"{printable(str(path))}: a symlink that leads nowhere; remove it."
        ) from error
    if not target.is_relative_to(root.resolve()):
        raise LimitError(
            f"{printable(str(path))}: a symlink out of the directory; not followed. "
            "Remove it, or copy its file in."
        )


def zip_members(file: BinaryIO, name: str, allowance: Allowance) -> list[Member]:
    """Members of an archive that stays open in ``file`` as long as they are read.

    Raises `LimitError` for a path or symlink out of the archive, `ReadError` for an encrypted
    member or a damaged archive.
    """
    _check_contents_size(file, name)
    source = Meter()
    try:
        archive = zipfile.ZipFile(Counted(file, source))
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise ReadError(f"{name}: damaged, or not a whole .zip; get a whole copy.") from error
    members = []
    for info in archive.infolist():
        _check_member(info, name)
        if not info.is_dir():
            members.append(_zip_member(archive, info, name, source, allowance))
    return sorted(members, key=lambda member: natural_order(member.name))


def _zip_member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, source: Meter, allowance: Allowance
) -> Member:
    shown = f"{name}/{printable(info.filename)}"

    @contextmanager
    def open_member() -> Iterator[BinaryIO]:
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ReadError(
                f"{shown}: packed with method {info.compress_type}; only plain deflate is read. "
                "Unpack the archive and give the directory."
            )
        try:
            stream = archive.open(info)
        except (zipfile.BadZipFile, NotImplementedError, OSError) as error:
            raise ReadError(f"{shown}: damaged in the archive; get a whole copy.") from error
        with stream:
            yield buffered(Inflated(shown, cast(BinaryIO, stream), source, allowance))

    return Member(printable(info.filename), info.compress_size, open_member)


def _check_member(info: zipfile.ZipInfo, name: str) -> None:
    path = info.filename.replace("\\", "/")
    if not path:
        raise ReadError(f"{name}: a member without a name; the archive is damaged.")
    if path.startswith("/") or re.match(r"[A-Za-z]:", path) or ".." in path.split("/"):
        raise LimitError(f"{name}: a member's path leads out of the archive; not read.")
    shown = f"{name}/{printable(info.filename)}"
    if stat.S_ISLNK(info.external_attr >> 16):
        raise LimitError(f"{shown}: a symlink out of the archive; not read.")
    if info.flag_bits & 0x1:
        raise ReadError(f"{shown}: encrypted; unpack it and give the directory.")


def _check_contents_size(file: BinaryIO, name: str) -> None:
    """Refuse an outsized table of contents before `zipfile` builds it in memory.

    Source: PKWARE APPNOTE 6.3.10, 4.3.14 (zip64) and 4.3.16.
    """
    size = file.seek(0, io.SEEK_END)
    tail_begin = file.seek(max(0, size - 65_535 - 22 - 76))
    tail = file.read(size - tail_begin)
    claimed = 0
    if (end := tail.rfind(b"PK\x05\x06")) >= 0 and len(tail) >= end + 16:
        (claimed,) = struct.unpack_from("<L", tail, end + 12)
    if (end64 := tail.rfind(b"PK\x06\x06")) >= 0 and len(tail) >= end64 + 48:
        (claimed,) = struct.unpack_from("<Q", tail, end64 + 40)
    if claimed > MAX_DIRECTORY_BYTES:
        raise LimitError(f"{name}: too many members; unpack it and give the directory.")
    file.seek(0)

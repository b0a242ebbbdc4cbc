"""Which files of a directory or .zip are read, in what order, and which are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath

from screening.readers.containers import Member, natural_order
from screening.readers.detection import Kind, detect
from screening.readers.streams import Lookahead
from screening.readers.table import Columns
from screening.types import ReadReport

Open = Callable[[Member], AbstractContextManager[Lookahead]]

# Folders Telegram Desktop writes beside a chat. What people sent is in them, a .csv or .json too,
# and none of it is the chat.
_MEDIA_FOLDERS = frozenset(
    {
        *{"contacts", "css", "files", "images", "js", "lists", "photos", "profile_pictures"},
        *{"round_video_messages", "stickers", "stories", "video_files", "voice_messages"},
    }
)


@dataclass(frozen=True, slots=True)
class Unit:
    """What one reader reads in one go: a file, or one chat's HTML pages."""

    kind: Kind
    members: tuple[Member, ...]


def plan(
    members: Iterable[Member], open_member: Open, columns: Columns | None, report: ReadReport
) -> list[Unit]:
    """The readable files, a folder's own before its subfolders', each in natural order."""
    units: list[Unit] = []
    archives: list[str] = []
    left_out: set[str] = set()
    in_order = sorted(members, key=lambda m: (natural_order(m.folder), natural_order(m.name)))
    for folder, files in groupby(in_order, key=lambda member: member.folder):
        if left_out & {folder, *map(str, PurePosixPath(folder).parents)}:
            report.skipped["not_text_file"] += len(list(files))
            continue
        found = [(_kind(member, open_member, columns), member) for member in files]
        units += _folder_units(found, report)
        archives += [member.name for kind, member in found if kind in ("zip", "gzip")]
        left_out |= {_joined(folder, name) for name in _folders_beside(found)}
    if archives:
        report.notes.append(f"archives inside are not opened: {_few(archives)}")
    return units


def _kind(member: Member, open_member: Open, columns: Columns | None) -> Kind:
    with open_member(member) as ahead:
        return detect(ahead.head, is_whole=ahead.is_whole, columns=columns).kind


def _folder_units(found: list[tuple[Kind, Member]], report: ReadReport) -> list[Unit]:
    pages = tuple(member for kind, member in found if kind == "telegram_html")
    has_json = any(kind == "telegram_json" for kind, _ in found)
    if pages and has_json:
        shown = _few([page.name for page in pages])
        report.notes.append(f"HTML pages beside a JSON of the same chat are not read: {shown}")
    units = [Unit("telegram_html", pages)] if pages and not has_json else []
    for kind, member in found:
        if kind in _LEFT_OUT:
            report.skipped[_LEFT_OUT[kind]] += 1
        elif kind != "telegram_html":
            units.append(Unit(kind, (member,)))
    return sorted(units, key=lambda unit: natural_order(unit.members[0].name))


_LEFT_OUT: dict[Kind, str] = {
    "zip": "nested_archive",
    "gzip": "nested_archive",
    "empty": "empty_file",
    "unknown": "not_text_file",
}


def _folders_beside(found: list[tuple[Kind, Member]]) -> frozenset[str]:
    kinds = {kind for kind, _ in found}
    if "telegram_json" in kinds:
        return _MEDIA_FOLDERS | {"chats"}
    return _MEDIA_FOLDERS if "telegram_html" in kinds else frozenset()


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _joined(folder: str, name: str) -> str:
    return str(PurePosixPath(folder) / name)

"""A row of any table → a post: which column is which, and what its values mean."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from screening.errors import ReadError
from screening.types import Post, ReadReport

_NAMES: Mapping[str, tuple[str, ...]] = {
    "text": (
        *("text", "message", "content", "teks", "isi", "body", "caption", "full_text", "pesan"),
        *("tweet", "post", "komentar", "comment", "kalimat", "selftext", "keterangan"),
    ),
    "key": ("key",),
    "message_id": (
        *("message_id", "id", "post_id", "msg_id", "tweet_id", "comment_id", "status_id"),
    ),
    "channel_id": ("channel_id", "chat_id", "peer_id", "group_id", "channel", "chat", "kanal"),
    "channel_name": (
        *("channel_name", "chat_name", "channel_title", "chat_title", "group_name", "nama_kanal"),
        *("group", "grup"),
    ),
    "author_id": ("author_id", "user_id", "sender_id", "from_id", "account_id"),
    "author_name": (
        *("author_name", "author", "username", "user_name", "screen_name", "user", "sender_name"),
        *("sender", "from", "from_name", "penulis", "pengirim", "akun", "nama"),
    ),
    "posted_at": (
        *("posted_at", "created_at", "timestamp", "date", "datetime", "published_at", "time"),
        *("waktu", "tanggal", "date_unixtime", "created_utc", "created"),
    ),
    "permalink": ("permalink", "url", "link", "post_url", "tautan"),
    "platform": ("platform",),
    "forwarded_from": ("forwarded_from", "fwd_from", "forward_from"),
}

# Sets of names remembered; a hostile file may bring another with every row.
_MAX_SETTLED = 256
_MAX_SETTLED_CHARS = 10_000


class MissingTextError(ReadError):
    """A table in which no column is known to hold the text."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the input's columns, for those the usual names do not find.

    >>> Columns.parse("text=isi berita,posted_at=tgl").posted_at
    'tgl'
    """

    text: str | None = None
    key: str | None = None
    message_id: str | None = None
    channel_id: str | None = None
    channel_name: str | None = None
    author_id: str | None = None
    author_name: str | None = None
    posted_at: str | None = None
    permalink: str | None = None
    platform: str | None = None
    forwarded_from: str | None = None

    @classmethod
    def parse(cls, spec: str) -> Columns:
        """`Columns` from ``field=column,field=column``."""
        known = [field.name for field in fields(cls)]
        given: dict[str, str] = {}
        for pair in filter(None, (part.strip() for part in spec.split(","))):
            name, equals, column = (part.strip() for part in pair.partition("="))
            if not equals or not column or name not in known or name in given:
                raise ReadError(
                    f"columns: {pair!r} is not one field=column; expected for example "
                    f"text=isi,posted_at=tanggal, each field once, of: {', '.join(known)}."
                )
            given[name] = column
        return cls(**given)

    def found_in(self, present: Iterable[str]) -> dict[str, str]:
        """Field → column, given names first, then the usual names; no column serves twice."""
        names = list(present)
        folded = {fold(name): name for name in reversed(names)}
        found = {f.name: c for f in fields(self) if (c := getattr(self, f.name)) in names}
        taken = set(found.values())
        for field, usual in _NAMES.items():
            if getattr(self, field) is not None:
                continue
            for alias in usual:
                if alias in folded and folded[alias] not in taken:
                    found[field] = folded[alias]
                    taken.add(folded[alias])
                    break
        return found


class Table:
    """Rows of one input → posts, with its column names settled once per set of names."""

    def __init__(
        self,
        name: str,
        columns: Columns | None,
        report: ReadReport,
        *,
        unit: str,
        row_prefix: str = "",
    ) -> None:
        self.name = name
        self.report = report
        self._unit = unit
        self._columns = columns or Columns()
        self._row_prefix = row_prefix
        self._settled: dict[tuple[str, ...], dict[str, str]] = {}
        self._is_first = True
        self._malformed: list[int] = []

    def post(self, row: dict[str, Any] | None, number: int) -> Post | None:
        """The row's post, or ``None`` where there is no readable text (counted)."""
        found = self.settle(tuple(row)) if row is not None else {}
        if row is None or "text" not in found or not isinstance(row[found["text"]], str | None):
            self.malformed(number)
            return None
        text = row[found["text"]]
        if text is None or not text.strip():
            self.report.skipped["no_text"] += 1
            return None
        self.report.posts += 1
        return self._post(row, found, text, number)

    def malformed(self, number: int) -> None:
        self.report.skipped["malformed"] += 1
        if len(self._malformed) < 5:
            self._malformed.append(number)

    def finish(self) -> None:
        if self._malformed:
            places = ", ".join(map(str, self._malformed))
            note = f"{self.name}: malformed rows left out, the first at {self._unit} {places}"
            self.report.notes.append(note)

    def settle(self, names: tuple[str, ...]) -> dict[str, str]:
        """Field → column for rows of these names; the input's first must have a text."""
        if (found := self._settled.get(names)) is None:
            found = self._columns.found_in(names)
            if self._is_first:
                self._check_first(found, names)
                self._is_first = False
            if len(self._settled) < _MAX_SETTLED and sum(map(len, names)) < _MAX_SETTLED_CHARS:
                self._settled[names] = found
        return found

    def _check_first(self, found: Mapping[str, str], names: tuple[str, ...]) -> None:
        if "text" not in found:
            wanted = f"no column {self._columns.text!r}" if self._columns.text else "no text column"
            raise MissingTextError(
                f"{self.name}: {wanted}; columns found: {shown_names(names)}. "
                "Name the one that holds the text: --columns text=NAME."
            )
        for field in fields(self._columns):
            asked = getattr(self._columns, field.name)
            if asked is not None and asked not in names:
                note = f"{self.name}: the first row has no column {asked!r} for {field.name}"
                note_once(self.report, note)

    def _post(
        self, row: Mapping[str, Any], found: Mapping[str, str], text: str, number: int
    ) -> Post:
        def value(field: str) -> str | None:
            return as_label(row[found[field]]) if field in found else None

        platform, channel_id, message_id = split_key(value("key"))
        if platform is None:
            platform, channel_id = value("platform"), value("channel_id")
            message_id = value("message_id") or message_id
        return Post(
            platform=platform or "file",
            channel_id=channel_id,
            message_id=message_id or f"{self._row_prefix}{number}",
            text=text,
            posted_at=self._time(row[found["posted_at"]]) if "posted_at" in found else None,
            channel_name=value("channel_name"),
            author_id=value("author_id"),
            author_name=value("author_name"),
            forwarded_from=value("forwarded_from"),
            permalink=value("permalink"),
            source={k: v for k, v in row.items() if k != found["text"]},
        )

    def _time(self, value: object) -> datetime | None:
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        try:
            moment, is_zoned = parse_time(value)
        except (ValueError, OverflowError, OSError):
            self.report.repaired["bad_date"] += 1
            return None
        if not is_zoned:
            note_once(self.report, f"{self.name}: times without a zone are taken as UTC")
        return moment


def parse_time(value: object) -> tuple[datetime, bool]:
    """A moment in UTC, and whether the source named its zone.

    ISO 8601, or seconds or milliseconds since 1970, as a number or in digits. Raises ``ValueError``
    or ``OverflowError`` for anything else.
    """
    if isinstance(value, str):
        text = value.strip()
        if re.fullmatch(r"-?\d{9,}(\.\d+)?", text):
            return _from_unix(float(text)), True
        value = datetime.fromisoformat(text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_unix(value), True
    if not isinstance(value, datetime):
        raise ValueError("not a time")
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC), False
    return value.astimezone(UTC), True


def _from_unix(number: float) -> datetime:
    # 1e11 seconds is the year 5138; 1e11 milliseconds is 1973.
    seconds = number / 1000 if abs(number) >= 1e11 else number
    return datetime.fromtimestamp(seconds, UTC)


def split_key(key: str | None) -> tuple[str | None, str | None, str | None]:
    """``platform:channel:message`` in its three parts; anything else is a message id."""
    if key is None:
        return None, None, None
    parts = key.split(":", 2)
    if len(parts) != 3 or not all(parts):
        return None, None, key
    platform, channel, message = parts
    return platform, None if channel == "-" else channel, message


def as_label(value: object) -> str | None:
    """An id or a name as text; ``None`` for what cannot be one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def as_json(value: Any, report: ReadReport) -> Any:
    """The value in types JSON has: texts without lone surrogates, numbers finite and 64-bit."""
    if isinstance(value, dict):
        return {str(as_json(k, report)): as_json(v, report) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item, report) for item in value]
    if isinstance(value, str):
        return without_surrogates(value, report)
    return _plain_json(value)


def _plain_json(value: Any) -> Any:
    plain: object
    match value:
        case None | bool():
            plain = value
        case int():
            plain = value if -(2**63) <= value < 2**64 else str(value)
        case float():
            plain = value if math.isfinite(value) else None
        case bytes():
            plain = base64.b64encode(value).decode("ascii")
        case datetime() | date() | time():
            plain = value.isoformat()
        case timedelta():
            plain = value.total_seconds()
        case _:
            plain = str(value)
    return plain


def without_surrogates(text: str, report: ReadReport) -> str:
    """Half of a character, left by a cut through UTF-16, becomes U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        report.repaired["lone_surrogate"] += 1
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def fold(name: str) -> str:
    return re.sub(r"\W+", "_", name.strip().casefold())


def unique_names(cells: Iterable[str]) -> list[str]:
    """Header cells as row keys: blanks and doubles get their position."""
    names: list[str] = []
    for position, cell in enumerate(cells, start=1):
        name = cell.strip()
        names.append(name if name and name not in names else f"{name or 'column'} {position}")
    return names


def is_name(cell: str) -> bool:
    """Whether a header cell looks like a column's name, rather than a value or a text."""
    return bool(re.fullmatch(r"[^\W\d][\w .\-/()#%]{0,39}", cell)) and len(cell.split()) <= 4


def shown_names(names: Iterable[str]) -> str:
    """Column names for a message; a headerless table has posts there, which are not shown."""
    shown = list(names)
    if not all(map(is_name, shown)):
        return f"{len(shown)}, not all of them names (is the header row missing?)"
    more = f" and {len(shown) - 30} more" if len(shown) > 30 else ""
    return (", ".join(shown[:30]) or "none") + more


def note_once(report: ReadReport, note: str) -> None:
    if note not in report.notes:
        report.notes.append(note)

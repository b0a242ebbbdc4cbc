"""What every Telegram reader shares: ids, links, times, and a stream of JSON values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

import ijson

from screening.errors import LimitError, ReadError
from screening.readers.json_repair import RepairedJson
from screening.types import ReadReport

MAX_EVENTS = 200_000
"""Parts of one message's JSON; real messages have a few dozen."""

_USERNAME = re.compile(r"(?:https?://)?(?:t\.me/(?:s/)?|telegram\.me/|@)?([A-Za-z0-9_]{4,32})/?")
_LINKED_TYPES = {"public_supergroup", "private_supergroup", "public_channel", "private_channel"}

Event = tuple[str, str, Any]


def clean_username(given: str | None) -> str | None:
    """``@name``, ``t.me/name`` or ``name`` to ``name``.

    Raises
    ------
    ReadError
        Not a Telegram username (4 to 32 letters, digits or underscores).
    """
    if given is None:
        return None
    match = _USERNAME.fullmatch(given.strip())
    if match is None:
        raise ReadError(
            "--username: not a Telegram username; give 4 to 32 letters, digits or underscores, "
            "as in t.me/NAME"
        )
    return match[1]


def permalink(
    message_id: int, channel_id: str | None, channel_type: str | None, username: str | None
) -> str | None:
    """The link of a message; only channels and supergroups have them, and only since migration."""
    if message_id <= 0 or (channel_type is not None and channel_type not in _LINKED_TYPES):
        return None
    if username is not None:
        return f"https://t.me/{username}/{message_id}"
    return f"https://t.me/c/{channel_id}/{message_id}" if channel_id else None


def bare_id(value: object) -> str | None:
    """A chat id without the ``-100`` of bots and scripts."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value).strip()
    return text.removeprefix("-100") if text.startswith("-100") else text.removeprefix("-") or None


def from_unix(value: object) -> datetime:
    """Seconds since 1970, as a number or in digits; ``ValueError`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a time")
    try:
        return datetime.fromtimestamp(float(value), UTC)
    except (OverflowError, OSError) as error:
        raise ValueError("not a time") from error


def with_hidden_links(text: str, links: list[str]) -> str:
    """The text, and on a last line the addresses its visible words hide."""
    hidden = [link for link in dict.fromkeys(links) if link and link not in text]
    return "\n".join([text, " ".join(hidden)]) if hidden else text


def optional_text(value: object) -> str | None:
    """A name as text; ``None`` where the export has none."""
    return value if isinstance(value, str) and value else None


class JsonStream:
    """Parser events of a repaired export; knows at its end whether the file was whole."""

    def __init__(
        self, stream: BinaryIO, *, name: str, report: ReadReport, many: bool = False
    ) -> None:
        self._name = name
        self._report = report
        self._many = many
        self._repaired = RepairedJson(stream, name=name, report=report)

    def events(self) -> Iterator[Event]:
        """``(prefix, event, value)``; a truncated tail ends the events and is counted."""
        try:
            yield from ijson.parse(self._repaired, use_float=True, multiple_values=self._many)
        except (ijson.JSONError, UnicodeDecodeError) as error:
            # Open brackets where the bytes end: the export was stopped. Else it is damaged.
            if not (self._repaired.is_at_end and self._repaired.depth > 0):
                raise self._damaged() from error
            self._report.repaired["truncated_tail"] += 1

    def _damaged(self) -> ReadError:
        return ReadError(
            f"{self._name}: not valid JSON before byte {self._repaired.offset:,}, and no repair is "
            "certain; export the chat again or mend the file there"
        )


def build(events: Iterator[Event], first: Event) -> Any:
    """The value that begins with ``first``, from its events.

    Raises
    ------
    LimitError
        The value has more than ``MAX_EVENTS`` parts.
    """
    builder = ijson.ObjectBuilder()
    depth, count = 0, 0
    event: Event | None = first
    while event is not None:
        _, kind, value = event
        builder.event(kind, value)
        depth += kind.startswith("start_")
        depth -= kind.startswith("end_")
        count += 1
        if count > MAX_EVENTS:
            raise LimitError(f"a message has more than {MAX_EVENTS:,} parts; no message does")
        if depth == 0:
            break
        event = next(events, None)
    else:
        raise EOFError
    return builder.value

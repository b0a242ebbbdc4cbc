"""Telegram Desktop's ``result.json``: one chat, or a whole account.

Source: tdesktop ``export/output/export_output_json.cpp`` (6.1.2). The format carries no views, no
topic of a message and no origin of a forward beyond its name; what is inferred is noted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO

from screening.readers.table import note_once
from screening.readers.telegram import (
    Event,
    JsonStream,
    bare_id,
    build,
    clean_username,
    from_unix,
    optional_text,
    permalink,
    with_hidden_links,
)
from screening.types import Post, ReadReport

_CHATS = ("", "chats.list.item", "left_chats.list.item")
_MESSAGES = {f"{chat}.messages.item".lstrip("."): chat for chat in _CHATS}
_HEADERS = {
    f"{chat}.{key}".lstrip("."): (chat, key) for chat in _CHATS for key in ("name", "type", "id")
}
_SINGLE = ""
MAX_TOPICS = 10_000


def read_telegram_json(
    stream: BinaryIO, *, name: str, username: str | None, report: ReadReport
) -> Iterator[Post]:
    """Posts of a Telegram Desktop JSON export, streamed.

    Parameters
    ----------
    stream
        Bytes of the export; repaired on the way where a repair is certain.
    name
        What to call the file in messages.
    username
        The channel's public name, for permalinks of a single chat.
    report
        Counts posts, skips and repairs while they are met.

    Raises
    ------
    ReadError
        JSON damaged beyond certain repair, or a bad username.
    LimitError
        A string, a nesting or a message beyond the stated limits.
    """
    public_name = clean_username(username)
    events = JsonStream(stream, name=name, report=report).events()
    chat = _Chat(name, public_name, report)
    for event in events:
        prefix, kind, value = event
        if prefix in _HEADERS and kind in ("string", "number", "null"):
            chat.set_header(_HEADERS[prefix][1], value)
        elif prefix in _CHATS and kind == "start_map":
            chat = _Chat(name, public_name if prefix == _SINGLE else None, report)
            if prefix != _SINGLE and public_name:
                note_once(report, f"{name}: several chats; --username is used for none of them")
        elif prefix in _MESSAGES:
            yield from chat.read(event, events)


class _Chat:
    """One chat's header, and its messages into posts."""

    def __init__(self, file: str, username: str | None, report: ReadReport) -> None:
        self._file = file
        self._username = username
        self._report = report
        self._header: dict[str, Any] = {}
        self._has_messages = False
        self._topics: dict[str, str] = {}

    def set_header(self, key: str, value: object) -> None:
        self._header[key] = value
        if self._has_messages:
            note_once(
                self._report,
                f"{self._file}: the chat's {key} stands after its messages, read without it",
            )

    def read(self, first: Event, events: Iterator[Event]) -> Iterator[Post]:
        """The post of the message that begins with event ``first``, if it has text."""
        self._has_messages = True
        try:
            message = build(events, first)
        except EOFError:
            self._report.skipped["truncated_message"] += 1
            return
        post = self._post(message)
        if post is not None:
            self._report.posts += 1
            yield post

    def _post(self, message: object) -> Post | None:
        skipped = self._reason_to_skip(message)
        if skipped is None and isinstance(message, dict):
            try:
                text = message_text(message)
            except (TypeError, KeyError, AttributeError):
                skipped = "malformed"
            else:
                if text.strip():
                    return self._with_text(message, text)
                skipped = "no_text"
        self._report.skipped[skipped or "malformed"] += 1
        return None

    def _reason_to_skip(self, message: object) -> str | None:
        if not isinstance(message, dict) or not isinstance(message.get("id"), int):
            return "malformed"
        kind = message.get("type")
        if kind == "service" or "information_text" in message:
            self._remember_topic(message)
            return "service"
        if kind == "unsupported":
            return "unsupported"
        return None if kind in ("message", None) else "malformed"

    def _remember_topic(self, message: Mapping[str, Any]) -> None:
        title = optional_text(message.get("title"))
        if message.get("action") == "topic_created" and title and len(self._topics) < MAX_TOPICS:
            self._topics[str(message["id"])] = title

    def _with_text(self, message: Mapping[str, Any], text: str) -> Post:
        channel_id = bare_id(self._header.get("id"))
        channel_type = optional_text(self._header.get("type"))
        reply_to = bare_number(message.get("reply_to_message_id"))
        return Post(
            platform="telegram",
            channel_id=channel_id,
            message_id=str(message["id"]),
            text=text,
            posted_at=self._time(message, "date"),
            edited_at=self._time(message, "edited"),
            channel_name=optional_text(self._header.get("name")),
            channel_type=channel_type,
            author_id=author_id(message.get("from_id")),
            author_name=optional_text(message.get("from")) or optional_text(message.get("author")),
            forwarded_from=self._forward(message),
            reply_to=reply_to,
            topic=self._topic(reply_to),
            permalink=permalink(message["id"], channel_id, channel_type, self._username),
        )

    def _forward(self, message: Mapping[str, Any]) -> str | None:
        if "forwarded_from" not in message:
            return None
        return optional_text(message["forwarded_from"]) or "(hidden)"

    def _topic(self, reply_to: str | None) -> str | None:
        topic = self._topics.get(reply_to or "")
        if topic is not None:
            note_once(
                self._report,
                f"{self._file}: topics are inferred from replies to a topic's first message; "
                "the export does not name them",
            )
        return topic

    def _time(self, message: Mapping[str, Any], key: str) -> datetime | None:
        """UTC; an old export's local time is taken as UTC, and noted."""
        stamp, local = message.get(f"{key}_unixtime"), message.get(key)
        if stamp is None and local is None:
            return None
        try:
            if stamp is not None:
                return from_unix(stamp)
            moment = datetime.fromisoformat(str(local))
        except ValueError:
            self._report.repaired["bad_date"] += 1
            return None
        if moment.tzinfo is None:
            note_once(
                self._report,
                f"{self._file}: an old export without UTC times; the exporter's local times are "
                "taken as UTC",
            )
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def message_text(message: Mapping[str, Any]) -> str:
    """All a person reads in a message: text or caption, poll, list, game, invoice."""
    parts = [
        _flat_text(message.get("text") or message.get("text_entities") or ""),
        _poll(message.get("poll")),
        _todo_list(message.get("todo_list")),
        *(optional_text(message.get(key)) or "" for key in ("game_title", "game_description")),
        _invoice(message.get("invoice_information")),
    ]
    return "\n".join(part for part in parts if part)


def _flat_text(text: object) -> str:
    """A ``text`` value: a string, or a list of strings and formatted parts."""
    if isinstance(text, str):
        return text
    if not isinstance(text, list):
        raise TypeError("text is neither a string nor a list")
    pieces = [part if isinstance(part, str) else str(part["text"]) for part in text]
    links = [str(p["href"]) for p in text if isinstance(p, dict) and p.get("href")]
    return with_hidden_links("".join(pieces), links)


def _poll(poll: Any) -> str:
    if not poll:
        return ""
    lines = [poll.get("question") or "", *(a.get("text") or "" for a in poll.get("answers") or [])]
    return "\n".join(_flat_text(line) for line in lines)


def _todo_list(todo: Any) -> str:
    if not todo:
        return ""
    lines = [todo.get("title") or "", *(a.get("text") or "" for a in todo.get("answers") or [])]
    return "\n".join(_flat_text(line) for line in lines)


def _invoice(value: object) -> str:
    """Title and description; the exporter writes the whole invoice as a string of JSON."""
    if not isinstance(value, str):
        return ""
    try:
        invoice = json.loads(value)
    except ValueError:
        return ""
    if not isinstance(invoice, dict):
        return ""
    return "\n".join(
        filter(None, (optional_text(invoice.get(k)) for k in ("title", "description")))
    )


def author_id(value: object) -> str | None:
    """``user123`` as it stands; the bare number of old exports becomes that."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"user{value}"
    text = optional_text(value)
    return f"user{text}" if text and re.fullmatch(r"[0-9]+", text) else text


def bare_number(value: object) -> str | None:
    """A message id as text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None

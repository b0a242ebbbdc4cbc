"""tdl's chat export: ``{id, messages: [{id, type, file, date, text, raw?}]}``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, BinaryIO

from screening.readers.telegram import (
    JsonStream,
    bare_id,
    build,
    clean_username,
    from_unix,
    permalink,
)
from screening.types import Post, ReadReport


def read_tdl(
    stream: BinaryIO, *, name: str, username: str | None, report: ReadReport
) -> Iterator[Post]:
    """Posts of a tdl export, streamed; parameters and errors as in ``read_telegram_json``."""
    public_name = clean_username(username)
    channel_id: str | None = None
    events = JsonStream(stream, name=name, report=report).events()
    for event in events:
        prefix, kind, value = event
        if prefix == "id" and kind in ("number", "string"):
            channel_id = bare_id(value)
        elif prefix == "messages.item" and kind == "start_map":
            try:
                message = build(events, event)
            except EOFError:
                report.skipped["truncated_message"] += 1
                return
            post = _post(message, channel_id, public_name, report)
            if post is not None:
                report.posts += 1
                yield post


def _post(
    message: Mapping[str, Any], channel_id: str | None, username: str | None, report: ReadReport
) -> Post | None:
    number, text = message.get("id"), message.get("text")
    if message.get("type") not in ("message", None):
        report.skipped["service"] += 1
    elif not isinstance(number, int) or not isinstance(text, str | None):
        report.skipped["malformed"] += 1
    elif not text or not text.strip():
        report.skipped["no_text"] += 1
    else:
        return Post(
            platform="telegram",
            channel_id=channel_id,
            message_id=str(number),
            text=text,
            posted_at=_time(message.get("date"), report),
            permalink=permalink(number, channel_id, None, username),
        )
    return None


def _time(value: object, report: ReadReport) -> datetime | None:
    if value is None:
        return None
    try:
        return from_unix(value)
    except ValueError:
        report.repaired["bad_date"] += 1
        return None

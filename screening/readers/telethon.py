"""Telethon's ``Message.to_json()`` dumps: one JSON array, or an object a line.

Addresses that entities hide behind words are shown on a last line, so the entities' offsets (in
UTF-16 units) are not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO

from screening.readers.telegram import (
    JsonStream,
    build,
    clean_username,
    optional_text,
    permalink,
    with_hidden_links,
)
from screening.readers.telegram_json import bare_number
from screening.types import Post, ReadReport

_PEERS = {
    "PeerChannel": ("channel_id", "channel"),
    "PeerChat": ("chat_id", "chat"),
    "PeerUser": ("user_id", "user"),
}


def read_telethon(
    stream: BinaryIO, *, name: str, username: str | None, report: ReadReport
) -> Iterator[Post]:
    """Posts of a Telethon dump, streamed; parameters and errors as in ``read_telegram_json``."""
    public_name = clean_username(username)
    events = JsonStream(stream, name=name, report=report, many=True).events()
    for event in events:
        if event[1] != "start_map":
            continue
        try:
            message = build(events, event)
        except EOFError:
            report.skipped["truncated_message"] += 1
            return
        post = _post(message, public_name, report)
        if post is not None:
            report.posts += 1
            yield post


def _post(message: Mapping[str, Any], username: str | None, report: ReadReport) -> Post | None:
    if message.get("_") != "Message":
        report.skipped["service" if message.get("_") == "MessageService" else "unsupported"] += 1
        return None
    number, text = message.get("id"), message.get("message")
    if not isinstance(number, int) or not isinstance(text, str | None):
        report.skipped["malformed"] += 1
        return None
    if not text or not text.strip():
        report.skipped["no_text"] += 1
        return None
    channel_id, kind = _peer(message.get("peer_id"))
    author, author_kind = _peer(message.get("from_id"))
    is_channel = kind == "channel"
    forward, reply = _mapping(message.get("fwd_from")), _mapping(message.get("reply_to"))
    return Post(
        platform="telegram",
        channel_id=channel_id,
        message_id=str(number),
        text=with_hidden_links(text, _hidden_links(message)),
        posted_at=_time(message.get("date"), report),
        edited_at=_time(message.get("edit_date"), report),
        channel_type=kind,
        author_id=f"{author_kind}{author}" if author else None,
        author_name=optional_text(message.get("post_author")),
        forwarded_from=_forward(forward),
        reply_to=bare_number(reply.get("reply_to_msg_id")),
        permalink=permalink(number, channel_id, None, username) if is_channel else None,
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _peer(value: object) -> tuple[str | None, str | None]:
    """Bare id and kind of a peer."""
    peer = _mapping(value)
    key, kind = _PEERS.get(str(peer.get("_")), ("", None))
    return bare_number(peer.get(key)), kind


def _forward(forward: Mapping[str, Any]) -> str | None:
    if not forward:
        return None
    origin, kind = _peer(forward.get("from_id"))
    return optional_text(forward.get("from_name")) or (f"{kind}{origin}" if origin else "(hidden)")


def _hidden_links(message: Mapping[str, Any]) -> list[str]:
    entities = message.get("entities")
    if not isinstance(entities, list):
        return []
    return [
        entity["url"]
        for entity in entities
        if isinstance(entity, dict) and isinstance(entity.get("url"), str)
    ]


def _time(value: object, report: ReadReport) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        report.repaired["bad_date"] += 1
        return None

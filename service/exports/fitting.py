"""A post of an export as the database takes it: odd metadata never blocks a job."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from datetime import datetime

from screening.types import Post

PLATFORM, ID, NAME, LINK = 64, 256, 512, 2048
"""Longest of each; the columns of ``service.tables.PostRow``."""


def fitted(post: Post) -> Post:
    """The same post with every id, name, link and time within what ``POST /v1/score`` takes.

    A name is cut; an id that does not fit gives way to its hash, so that posts stay apart; a link
    or a time that cannot be kept is left out. The text is never touched.
    """
    return replace(
        post,
        platform=re.sub(r"[^a-z0-9_.-]", "-", post.platform.casefold())[:PLATFORM] or "file",
        channel_id=_optional_id(post.channel_id),
        channel_name=_name(post.channel_name),
        message_id=_id(post.message_id),
        posted_at=_moment(post.posted_at),
        author_id=_optional_id(post.author_id),
        author_name=_name(post.author_name),
        forwarded_from=_name(post.forwarded_from),
        permalink=_link(post.permalink),
    )


def _id(given: str) -> str:
    if len(given) <= ID and "\x00" not in given:
        return given
    return "sha256:" + hashlib.sha256(given.encode()).hexdigest()


def _optional_id(given: str | None) -> str | None:
    return None if given is None else _id(given)


def _name(given: str | None) -> str | None:
    return None if given is None else given.replace("\x00", "\ufffd")[:NAME]


def _link(given: str | None) -> str | None:
    return None if given is None or len(given) > LINK or "\x00" in given else given


def _moment(given: datetime | None) -> datetime | None:
    # The first and last day of the calendar have no local time in some zones.
    return given if given is not None and 1 < given.year < 9999 else None

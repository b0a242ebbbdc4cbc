"""Telegram Desktop HTML exports (``messages.html``, ``messages2.html``, …) into posts.

The format carries no chat id, no author id and no edit time; those fields stay ``None``.
Source: ``Telegram/SourceFiles/export/output/export_output_html.cpp`` of Telegram Desktop.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import BinaryIO

from selectolax.lexbor import LexborHTMLParser, LexborNode

from screening.errors import LimitError
from screening.readers.streams import read_fully
from screening.readers.telegram import clean_username, permalink, with_hidden_links
from screening.readers.telegram_markup import balanced
from screening.types import Post, ReadReport

MAX_PAGE_BYTES = 64 * 2**20

_BLOCKS = frozenset({"blockquote", "pre"})
_EDGE = "\0"  # no parsed text holds it
_BLOCK_EDGE = re.compile(f"\n?{_EDGE}+\n?")
_SOURCE_BREAK = re.compile(r"[ \t]*\n\s*")
# A service row with a small negative id is a date between messages ("15 November 2023"), not a
# message: those from before a group's migration begin near -1e9.
_LAST_MIGRATED_ID = -100_000_000
_MEDIA_TITLES = (
    ".media_poll .question, .media_game .title, .media_game .description, "
    ".media_invoice .title, .media_invoice .description"
)
_DELETED = frozenset({"Deleted", "Deleted Account"})


def read_telegram_html(
    pages: Iterable[tuple[str, BinaryIO]], *, username: str | None, report: ReadReport
) -> Iterator[Post]:
    """Posts of one chat's pages, given as (name, stream) in numeric order.

    One page is in memory at a time. Raises `LimitError` for a page past `MAX_PAGE_BYTES`.
    """
    chat = _Chat(clean_username(username), report)
    for name, stream in pages:
        markup, ends_in_message = balanced(_page_bytes(name, stream), name)
        tree = LexborHTMLParser(markup)
        rows = tree.css("div.message")
        if ends_in_message:
            report.repaired["truncated_tail"] += 1
            del rows[-1:]
        chat.begin_page(tree)
        for row in rows:
            if (post := chat.post(row)) is not None:
                report.posts += 1
                yield post


@dataclass(slots=True)
class _Parts:
    """What one message row shows."""

    time: str = ""
    sender: str | None = None
    is_forward: bool = False
    forwarded_from: str | None = None
    reply_to: str | None = None
    signature: str | None = None
    text: str = ""
    media: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        return [line for line in (self.text, *self.media) if line]


class _Chat:
    """One chat while its rows go by: what a ``joined`` row leaves out is carried on."""

    def __init__(self, username: str | None, report: ReadReport) -> None:
        self._username = username
        self._report = report
        self._name: str | None = None
        self._sender: str | None = None
        self._forwarded_from: str | None = None
        self._has_zone_note = False

    def begin_page(self, tree: LexborHTMLParser) -> None:
        header = tree.css_first("div.page_header div.text")
        self._name = (header and _plain(header)) or self._name

    def post(self, row: LexborNode) -> Post | None:
        message_id = (row.id or "").removeprefix("message")
        reason = _skip_reason(row, message_id)
        if reason is None:
            parts = self._parts(row)
            if parts.lines:
                return self._post(message_id, parts)
            reason = "no_text"
        self._report.skipped[reason] += 1
        return None

    def _parts(self, row: LexborNode) -> _Parts:
        parts = _Parts()
        for node in row.iter():
            if "body" in _classes(node):
                _read_body(node, parts)
        if "joined" not in _classes(row):
            self._sender = self._forwarded_from = None
        self._sender = parts.sender or self._sender
        self._forwarded_from = parts.forwarded_from or self._forwarded_from
        return parts

    def _post(self, message_id: str, parts: _Parts) -> Post:
        return Post(
            platform="telegram",
            channel_id=None,
            message_id=message_id,
            text="\n".join(parts.lines),
            posted_at=self._time(parts.time),
            channel_name=self._name,
            author_name=_known(self._sender) or parts.signature,
            forwarded_from=(_known(self._forwarded_from) or "(hidden)")
            if parts.is_forward
            else None,
            reply_to=parts.reply_to,
            permalink=permalink(int(message_id), None, None, self._username),
        )

    def _time(self, title: str) -> datetime | None:
        try:
            moment, is_zoned = _parse_time(title)
        except ValueError:
            self._report.repaired["bad_date"] += 1
            return None
        if not is_zoned and not self._has_zone_note:
            self._has_zone_note = True
            self._report.notes.append("the HTML pages name no time zone; times are taken as UTC")
        return moment


def _skip_reason(row: LexborNode, message_id: str) -> str | None:
    if re.fullmatch(r"-?[0-9]{1,19}", message_id) is None:
        return "malformed"
    if "service" not in _classes(row):
        return None
    if _LAST_MIGRATED_ID < int(message_id) < 0:
        return "date_row"
    is_unsupported = row.text().lstrip().startswith("This message is not supported")
    return "unsupported" if is_unsupported else "service"


def _read_body(body: LexborNode, parts: _Parts) -> None:
    """Fill ``parts`` from a message's body, and from the forwarded body inside it."""
    for node in body.iter():
        classes = _classes(node)
        if "date" in classes:
            parts.time = node.attributes.get("title") or ""
        elif "from_name" in classes:
            name = re.sub(r" via @\w+$", "", _plain(node) or "") or None
            if parts.is_forward:
                parts.forwarded_from = name
            else:
                parts.sender = name
        elif "forwarded" in classes and "body" in classes:
            parts.is_forward = True
            _read_body(node, parts)
        elif "reply_to" in classes:
            parts.reply_to = _reply_target(node)
        elif "media_wrap" in classes:
            parts.media += _media_lines(node)
        elif "text" in classes:
            parts.text = _text(node)
        elif "signature" in classes:
            parts.signature = _plain(node)


def _reply_target(node: LexborNode) -> str | None:
    links = (link.attributes.get("href") or "" for link in node.css("a"))
    found = (re.search(r"#go_to_message(-?\d+)$", href) for href in links)
    return next((match[1] for match in found if match), None)


def _media_lines(media: LexborNode) -> list[str]:
    """What people wrote in a poll, a game or an invoice; a file's name is not a text."""
    answers = [(_plain(node) or "").removeprefix("- ") for node in media.css(".media_poll .answer")]
    others = [_plain(node) or "" for node in media.css(_MEDIA_TITLES)]
    return [line for line in others + answers if line]


def _plain(node: LexborNode) -> str | None:
    """The node's own text without what spans add to it: a forward's date, an answer's votes."""
    own = (child for child in node.iter(include_text=True) if child.is_text_node)
    shown = "".join(child.text_content or "" for child in own)
    return _SOURCE_BREAK.sub(" ", shown).strip() or None


def _text(node: LexborNode) -> str:
    """The text as shown; addresses hidden behind other words stand on a last line."""
    pieces: list[str] = []
    addresses: list[str] = []
    _collect(node, pieces, addresses)
    shown = _BLOCK_EDGE.sub("\n", "".join(pieces)).strip()
    return with_hidden_links(shown, addresses).strip()


def _collect(node: LexborNode, pieces: list[str], addresses: list[str]) -> None:
    for child in node.iter(include_text=True):
        if child.is_text_node:
            pieces.append(_SOURCE_BREAK.sub(" ", child.text_content or ""))
        elif child.tag == "br":
            pieces.append("\n")
        elif child.tag in _BLOCKS:
            pieces.append(_EDGE)
            _collect(child, pieces, addresses)
            pieces.append(_EDGE)
        else:
            _collect(child, pieces, addresses)
            href = child.attributes.get("href")
            if href and is_hidden(href, child.text()):
                addresses.append(href)


def is_hidden(href: str, shown: str) -> bool:
    """Whether a link leads where its words do not say; not so for @names, mails and phones."""
    if re.match(r"(?!mailto:|tel:)[a-z][a-z0-9+.-]*:", href, re.IGNORECASE) is None:
        return False
    if shown.startswith("@") and href.casefold().endswith("/" + shown[1:].casefold()):
        return False
    return _bare(href) != _bare(shown)


def _bare(address: str) -> str:
    return re.sub(r"^https?://", "", address.strip().casefold()).rstrip("/")


def _parse_time(title: str) -> tuple[datetime, bool]:
    """The moment in UTC, and whether its zone was named; ``ValueError`` if there is none.

    >>> _parse_time("15.11.2023 06:30:00 UTC+07:00")[0].isoformat()
    '2023-11-14T23:30:00+00:00'
    """
    clock, _, zone = title.strip().partition(" UTC")
    moment = datetime.strptime(clock + (zone or "+00:00"), "%d.%m.%Y %H:%M:%S%z")
    return moment.astimezone(UTC), bool(zone)


def _classes(node: LexborNode) -> list[str]:
    return (node.attributes.get("class") or "").split()


def _known(name: str | None) -> str | None:
    return None if name is None or name in _DELETED else name


def _page_bytes(name: str, stream: BinaryIO) -> bytes:
    page = read_fully(stream, MAX_PAGE_BYTES + 1)
    if len(page) > MAX_PAGE_BYTES:
        raise LimitError(
            f"{name}: a page of more than {MAX_PAGE_BYTES // 2**20} MiB; Telegram Desktop writes "
            "1,000 messages a page. Export the chat as JSON."
        )
    return page

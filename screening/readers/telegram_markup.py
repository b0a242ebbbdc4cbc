"""Markup made safe to parse: only the tags an export is written in, closed in order, not deep.

An HTML parser repairs disorder by building more: 25 kB of ``<b>`` left open across paragraphs grow
to 700 MB of nodes, and nested ``<div>`` cost quadratic time. Balanced tags cost in proportion.
"""

from __future__ import annotations

import re

from screening.errors import LimitError

MAX_TAGS = 1_000_000
"""A page of 1,000 messages has about 30,000."""

MAX_DEPTH = 128

_VOID = frozenset({b"br", b"img"})
_KEPT = _VOID | frozenset(b"a b blockquote code div em i pre s span strong u".split())
_SPACE = rb"[ \t\r\n\f]"
_VALUE = rb""" "[^"]*" | '[^']*' | [^ \t\r\n\f"'<>=`]+ """
_ATTRIBUTE = rb"""%(s)s+ [^ \t\r\n\f"'<>/=]++ (?: %(s)s* = %(s)s* (?: %(v)s ) )?""" % {
    b"s": _SPACE,
    b"v": _VALUE,
}
# Any "<"; with groups where a whole tag follows it.
_TAG = re.compile(
    rb"< (?: (/?) ([a-zA-Z][a-zA-Z0-9-]*+) ((?: %b ){0,12}) %b* /? > )?" % (_ATTRIBUTE, _SPACE),
    re.VERBOSE,
)


def balanced(page: bytes, name: str) -> tuple[bytes, bool]:
    """The page with unknown tags dropped, stray ``<`` escaped, every tag closed in order.

    Also whether the page ends inside a message, as a broken-off export does.
    """
    page = page[: _last_whole(page)]
    balance = _Balance(name)
    markup = _TAG.sub(balance.tag, page)
    return markup, balance.message_depth > 0


def _last_whole(page: bytes) -> int:
    """Where a tag begins that the page's end cuts in two; else the page's length."""
    begin = page.rfind(b"<")
    return begin if begin >= 0 and b">" not in page[begin:] else len(page)


class _Balance:
    def __init__(self, name: str) -> None:
        self._name = name
        self._open: list[bytes] = []
        self._n_tags = 0
        self.message_depth = 0

    def tag(self, match: re.Match[bytes]) -> bytes:
        self._n_tags += 1
        if self._n_tags > MAX_TAGS:
            raise LimitError(f"{self._name}: more than {MAX_TAGS:,} tags on one page.")
        if match[2] is None:
            return b"&lt;"
        element = match[2].lower()
        if element not in _KEPT:
            return b""
        if match[1]:
            return self._close(element)
        return match[0] if element in _VOID or self._opened(element, match[3]) else b""

    def _opened(self, element: bytes, attributes: bytes) -> bool:
        if element == b"a" and b"a" in self._open:
            return False  # links do not nest; the parser would rebuild what is open between them
        self._open.append(element)
        if len(self._open) > MAX_DEPTH:
            raise LimitError(f"{self._name}: tags nest deeper than {MAX_DEPTH}.")
        if not self.message_depth and b'"message ' in attributes:
            self.message_depth = len(self._open)
        return True

    def _close(self, element: bytes) -> bytes:
        closed: list[bytes] = []
        while element in self._open and (not closed or closed[-1] != element):
            closed.append(self._open.pop())
        if len(self._open) < self.message_depth:
            self.message_depth = 0
        return b"".join(b"</%b>" % each for each in closed)

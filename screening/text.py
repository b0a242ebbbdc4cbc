"""Hostile text made plain: what the model reads, and where each character of it came from.

Tricks that hide a word are undone (invisible characters, look-alikes, leetspeak, spaced-out and
stretched letters); what changes no meaning is folded (Unicode NFKC, Arabic vowel signs); what
names a person or a place on the web is masked. Slang and spelling are left to the model.

Every step is a function ``text -> edits``; both entry points apply the same edits, one of them to
the offsets too. The steps run until none has anything to do, so a second call changes nothing.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from screening.confusables import LOOKALIKES, Edit, fold_homoglyphs, fold_leet

TRICKS = ("zero_width", "bidi", "marks", "homoglyph", "leet", "spaced", "repeated")
MASKS = ("[url]", "[email]", "[user]", "[phone]")
_MOST_PASSES = 24
"""Work is bounded whatever the text; no text is known that needs more than five."""


@dataclass(frozen=True, slots=True)
class NormalisedText:
    """A text as the model reads it.

    ``starts[i]`` and ``ends[i]`` bound, in code points of the original, what character ``i`` came
    from; both rise monotonically. ``tricks`` counts the words or stretches that hid something,
    by the names in ``TRICKS``; absent means none.
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]
    tricks: Mapping[str, int]

    def original_span(self, begin: int, end: int) -> tuple[int, int]:
        """Where the characters ``[begin, end)`` stand in the original, as ``[begin, end)``."""
        if not 0 <= begin <= end <= len(self.text):
            raise ValueError(
                f"span {begin}:{end} is outside the normalised text of {len(self.text)} characters"
            )
        if begin < end:
            return self.starts[begin], self.ends[end - 1]
        place = self.starts[begin] if begin < len(self.text) else (self.ends or [0])[-1]
        return place, place


def normalise(text: str) -> NormalisedText:
    """``text`` as the model reads it, with offsets into the original and the tricks undone.

    >>> plain = normalise("ayo j1h4d")
    >>> plain.text, plain.original_span(4, 9), dict(plain.tricks)
    ('ayo jihad', (4, 9), {'leet': 1})
    """
    trace = _Trace(text)
    settled = _settle(text, trace)
    return NormalisedText(settled, trace.starts, trace.ends, dict(trace.tricks))


def normalise_text(text: str) -> str:
    """``normalise(text).text``, without the cost of offsets."""
    return _settle(text, None)


def display_text(text: str) -> str:
    """``text`` safe to print on a terminal or in a table cell, on one line.

    Control and bidi characters appear as ``<U+001B>``; line ends and tabs become spaces.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNPRINTABLE.sub(_visible, text)


_UNPRINTABLE = re.compile(
    "\r\n|[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff\ufff9-\ufffb]"
)
_LINE_ENDS = frozenset("\r\n\t\v\f\x1c\x1d\x1e\x85\u2028\u2029") | {"\r\n"}


def _visible(match: re.Match[str]) -> str:
    found = match[0]
    if found in _LINE_ENDS:
        return " "
    return "\ufffd" if "\ud800" <= found <= "\udfff" else f"<U+{ord(found):04X}>"


# The pipeline ---------------------------------------------------------------------------------


class _Trace:
    """Offsets of the text as edited so far, and the tricks met on the way."""

    def __init__(self, text: str) -> None:
        self.starts = array("L", range(len(text)))
        self.ends = array("L", range(1, len(text) + 1))
        self.tricks: Counter[str] = Counter()

    def apply(self, edits: list[Edit]) -> None:
        starts, ends, done = array("L"), array("L"), 0
        for begin, end, replacement, trick in edits:
            starts += self.starts[done:begin]
            ends += self.ends[done:begin]
            if replacement:
                starts.extend([self.starts[begin]] * len(replacement))
                ends.extend([self.ends[end - 1]] * len(replacement))
            if trick:
                self.tricks[trick] += 1
            done = end
        self.starts = starts + self.starts[done:]
        self.ends = ends + self.ends[done:]


def _settle(text: str, trace: _Trace | None) -> str:
    for _ in range(_MOST_PASSES):
        is_settled = True
        for step in _ASCII_STEPS if text.isascii() else _STEPS:
            if edits := step(text):
                if trace is not None:
                    trace.apply(edits)
                text = _apply(text, edits)
                is_settled = False
        if is_settled:
            break
    return text


def _apply(text: str, edits: list[Edit]) -> str:
    pieces, done = [], 0
    for begin, end, replacement, _ in edits:
        pieces += text[done:begin], replacement
        done = end
    return "".join(pieces) + text[done:]


def _between_letters(text: str, begin: int, end: int) -> bool:
    return begin > 0 and text[begin - 1].isalnum() and text[end : end + 1].isalnum()


# Characters -----------------------------------------------------------------------------------

_SURROGATE = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]")


def _mend_surrogates(text: str) -> list[Edit]:
    """A surrogate pair as its character; a lone one as the replacement character."""
    if not _SURROGATE.search(text):
        return []
    return [(m.start(), m.end(), _from_surrogates(m[0]), "") for m in _SURROGATE.finditer(text)]


def _from_surrogates(found: str) -> str:
    return found.encode("utf-16", "surrogatepass").decode("utf-16") if len(found) == 2 else "\ufffd"


# Symbols that NFKC leaves alone and that carry emoji presentation or joiners (Unicode TS 51).
_EMOJI = (
    "\u00a9\u00ae\u2194-\u21aa\u231a-\u23ff\u25aa-\u27bf\u2934\u2935\u2b05-\u2b55\u3030\u303d"
    "\U0001f000-\U0001f0ff\U0001f170\U0001f171\U0001f17e\U0001f17f\U0001f18e\U0001f191-\U0001f19a"
    "\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff"
)
# Scripts whose spelling uses joiners: South and South-East Asian, Javanese and Balinese included.
_JOINING = "\u0900-\u0dff\u1000-\u109f\u1780-\u17ff\u1b00-\u1bff\ua980-\ua9df\uaa60-\uaa7f"
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# Default_Ignorable_Code_Point of DerivedCoreProperties.txt, less bidi controls.
_IGNORABLE = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
_INVISIBLE = re.compile(f"[{_BIDI}{_IGNORABLE}]")
_INVISIBLE_RUN = re.compile(
    "(?P<keep>"
    "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,7}\U000e007f"
    f"|(?<=[{_EMOJI}])[\ufe0e\ufe0f](?:\u200d(?=[{_EMOJI}]))?|(?<=[0-9#*])\ufe0f(?=\u20e3)"
    f"|(?<=[{_EMOJI}])\u200d(?=[{_EMOJI}])|(?<=[{_JOINING}])[\u200c\u200d](?=[{_JOINING}]))"
    f"|\u202e(?P<reversed>[^{_BIDI}\n]*)"
    f"|(?P<bidi>[{_BIDI}])|(?P<zero_width>[{_IGNORABLE}])"
)
_ASCII_LETTER = re.compile("[A-Za-z]")


def _drop_invisible(text: str) -> list[Edit]:
    """Zero-width and bidi controls dropped, joiners that spell emoji or Javanese kept.

    Text turned round by a right-to-left override is turned back: ``mob`` is what a reader saw
    as ``bom``.
    """
    if not _INVISIBLE.search(text):
        return []
    edits: list[Edit] = []
    for match in _INVISIBLE_RUN.finditer(text):
        begin, end = match.span()
        turned = match["reversed"]
        if match["keep"] is not None:
            continue
        if turned and _ASCII_LETTER.search(turned):
            edits.append((begin, end, turned[::-1], "bidi"))
        elif turned is not None:
            edits.append((begin, begin + 1, "", "bidi"))
        else:
            hides = _between_letters(text, begin, end)
            edits.append((begin, end, "", str(match.lastgroup) if hides else ""))
    return edits


_ENCLOSED = re.compile("[\U0001f150-\U0001f169\U0001f170-\U0001f189]\ufe0f?|[\U0001f1e6-\U0001f1ff]+")

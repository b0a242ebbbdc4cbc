"""Which language a post seems to be in: a hint from script and common words, nothing more."""

from __future__ import annotations

import re
from collections.abc import Mapping

_WORDS: Mapping[str, str] = {
    "id": "yang dan di ke dari tidak itu ini untuk dengan akan pada bisa sudah karena kita mereka "
    "yg gak ga udah aja nya bukan juga kalau saya",
    "ms": "awak saja kerana boleh tak nak sahaja kamu beliau ialah tengok macam",
    "jv": "sing ora kowe aku iki kuwi karo wis arep lan ing ngono opo mung",
    "su": "teu nu jeung anu kuring maneh ieu eta geus mah abdi urang teh",
    "en": "the and of to is in that for you are with not this have on",
}
"""Frequent words that few of the other languages share."""

_KNOWN = {code: frozenset(words.split()) for code, words in _WORDS.items()}
_WORD = re.compile(r"[^\W\d_]+")
_ARABIC = re.compile(r"[\u0600-\u06ff\u0750-\u077f]")


def language_hint(text: str) -> str | None:
    """ISO 639-1 code of the likeliest language, or ``None`` where nothing tells.

    >>> language_hint("yang penting kita tidak terlambat")
    'id'
    >>> language_hint("🔥🔥") is None
    True
    """
    words = [word.lower() for word in _WORD.findall(text[:5000])]
    letters = sum(map(len, words))
    if letters and len(_ARABIC.findall(text[:5000])) > letters / 2:
        return "ar"
    counts = {code: sum(word in known for word in words) for code, known in _KNOWN.items()}
    best = max(counts, key=lambda code: counts[code])
    return best if counts[best] else None

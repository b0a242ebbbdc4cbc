"""Evasion, applied to both answers alike so that no trick itself becomes evidence.

``screening.text`` undoes most of it; what slips through is what the model must withstand.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

LEET = {"a": "4", "i": "1", "e": "3", "o": "0", "s": "5", "t": "7"}
HOMOGLYPHS = {"a": "а", "e": "е", "o": "о", "p": "р", "c": "с", "x": "х", "y": "у", "i": "і"}


def leet(text: str, rng: random.Random) -> str:
    return _swap_letters(text, LEET, rng, 0.5)


def homoglyph(text: str, rng: random.Random) -> str:
    return _swap_letters(text, HOMOGLYPHS, rng, 0.6)


def spaced(text: str, rng: random.Random) -> str:
    return _change_words(text, " ".join, rng, 0.2)


def dotted(text: str, rng: random.Random) -> str:
    return _change_words(text, ".".join, rng, 0.2)


def zero_width(text: str, rng: random.Random) -> str:
    return _change_words(text, "\u200b".join, rng, 0.4)


def repeated(text: str, rng: random.Random) -> str:
    return _change_words(text, lambda word: word + word[-1] * rng.randint(2, 5), rng, 0.2)


def vowel_drop(text: str, rng: random.Random) -> str:
    """Chat spelling: inner vowels left out (*yang* to *yng*)."""

    def shorten(word: str) -> str:
        return word[0] + "".join(c for c in word[1:-1] if c not in "aiueo") + word[-1]

    return _change_words(text, shorten, rng, 0.25)


SLANG = {
    "yang": "yg", "tidak": "gk", "dengan": "dgn", "karena": "krn", "sudah": "udh", "saja": "aja",
    "untuk": "utk", "jangan": "jgn", "orang": "org", "kalau": "klo", "dan": "n", "saya": "gw",
    "kamu": "lu", "mereka": "mrk", "semua": "smua", "malam": "mlm", "besok": "bsk", "bisa": "bs",
    "banyak": "bnyk", "sama": "sm", "lagi": "lg", "juga": "jg", "dari": "dr", "pada": "pd",
}  # fmt: skip
HEADERS = (
    "Forwarded from Info Warga\n", "[Diteruskan]\n", "Copas dari grup sebelah:\n", "FWD: ",
    "Sekadar meneruskan 👇\n", "*BREAKING* ", "Assalamualaikum, izin share.\n",
)  # fmt: skip


def slang(text: str, rng: random.Random) -> str:
    """Chat abbreviations of common words (*yang* to *yg*)."""
    return " ".join(SLANG.get(word.lower(), word) for word in text.split(" "))


def forwarded(text: str, rng: random.Random) -> str:
    return rng.choice(HEADERS) + text


def truncated(text: str, rng: random.Random) -> str:
    """The last tenth cut off, as previews do; a short text stays whole."""
    return text[: -max(1, len(text) // 10)].rstrip() + "…" if len(text) > 60 else text


def lower(text: str, rng: random.Random) -> str:
    return text.lower()


def upper(text: str, rng: random.Random) -> str:
    return text.upper()


TRICKS: dict[str, Callable[[str, random.Random], str]] = {
    "leet": leet,
    "homoglyph": homoglyph,
    "spaced": spaced,
    "dotted": dotted,
    "zero_width": zero_width,
    "repeated": repeated,
    "vowel_drop": vowel_drop,
    "slang": slang,
    "forwarded": forwarded,
    "truncated": truncated,
    "lower": lower,
    "upper": upper,
}


def augment(text: str, rng: random.Random, rate: float) -> str:
    """``text`` with one random trick, with probability ``rate``."""
    if rng.random() >= rate:
        return text
    return TRICKS[rng.choice(sorted(TRICKS))](text, rng)


def surround(text: str, lawful: Sequence[str], rng: random.Random, rate: float) -> str:
    """``text`` with a lawful post before or after it, with probability ``rate``: what matters may
    stand anywhere in a long post."""
    if not lawful or rng.random() >= rate:
        return text
    other = rng.choice(lawful)
    return f"{text}\n{other}" if rng.random() < 0.5 else f"{other}\n{text}"


def _change_words(text: str, change: Callable[[str], str], rng: random.Random, rate: float) -> str:
    words = text.split(" ")
    return " ".join(
        change(word) if len(word) > 3 and word.isalpha() and rng.random() < rate else word
        for word in words
    )


def _swap_letters(text: str, table: dict[str, str], rng: random.Random, rate: float) -> str:
    return _change_words(
        text,
        lambda word: "".join(table.get(c, c) if rng.random() < rate else c for c in word),
        rng,
        0.4,
    )

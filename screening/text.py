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
from itertools import pairwise

from screening.confusables import Edit, fold_homoglyphs, fold_leet

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
        for step in _steps_for(text):
            if edits := step(text):
                if trace is not None:
                    trace.apply(edits)
                text = _apply(text, edits)
                is_settled = False
        if is_settled:
            break
    return text


def _steps_for(text: str) -> tuple[Step, ...]:
    """Every step that could have something to do; most posts need few."""
    if text.isascii():
        return _ASCII_STEPS
    return _STEPS if _SUSPECT.search("".join(_FOREIGN.findall(text))) else _COMMON_STEPS


def _apply(text: str, edits: list[Edit]) -> str:
    pieces: list[str] = []
    done = 0
    for begin, end, replacement, _ in edits:
        pieces += text[done:begin], replacement
        done = end
    return "".join(pieces) + text[done:]


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
_INVISIBLE_SET = (_BIDI + _IGNORABLE).replace("\u202e", "\u202d")  # all but the override
_INVISIBLE_RUN = re.compile(
    "(?P<keep>"
    "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,7}\U000e007f"
    f"|(?<=[{_EMOJI}])[\ufe0e\ufe0f](?:\u200d(?=[{_EMOJI}]))?|(?<=[0-9#*])\ufe0f(?=\u20e3)"
    f"|(?<=[{_EMOJI}])\u200d(?=[{_EMOJI}])|(?<=[{_JOINING}])[\u200c\u200d](?=[{_JOINING}]))"
    f"|\u202e(?P<reversed>[^{_BIDI}\n]*)|(?P<hidden>[{_INVISIBLE_SET}]+)"
)
_ASCII_LETTER = re.compile("[A-Za-z]")
_BIDI_CONTROL = re.compile(f"[{_BIDI}]")


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
        if (turned := match["reversed"]) is not None:
            is_word = _ASCII_LETTER.search(turned) is not None
            edits.append((begin, end, *((turned[::-1], "bidi") if is_word else (turned, ""))))
        elif match["hidden"]:
            trick = "bidi" if _BIDI_CONTROL.search(match[0]) else "zero_width"
            edits.append((begin, end, "", trick if _between_letters(text, begin, end) else ""))
    return edits


def _between_letters(text: str, begin: int, end: int) -> bool:
    """Inside a word; not an Arabic one, where joiners and marks belong to plain typing."""
    before = text[begin - 1 : begin]
    return before.isalnum() and not "\u0600" <= before <= "\u08ff" and text[end : end + 1].isalnum()


# Letters in boxes and flags, which NFKC leaves alone.
_BOXES = "\U0001f150-\U0001f169\U0001f170-\U0001f189"
_FLAG_LETTERS = "\U0001f1e6-\U0001f1ff"
_BOXED = re.compile(f"[{_BOXES}]\ufe0f?")
_FLAGS = re.compile(f"[{_FLAG_LETTERS}]+")


def _unbox(text: str) -> list[Edit]:
    """Boxed letters as letters where they spell: three or more, or one beside a letter (a parking
    sign stays). Flag letters spell where they do not pair into flags."""
    boxes = list(_BOXED.finditer(text))
    flags = [m for m in _FLAGS.finditer(text) if len(m[0]) % 2]
    if not boxes and not flags:
        return []
    edits = [
        (m.start(), m.end(), chr(ord("A") + (ord(m[0][0]) - 0x1F150) % 32), "homoglyph")
        for m in boxes
        if len(boxes) > 2 or _ASCII_LETTER.search(text[max(m.start() - 1, 0) : m.end() + 1])
    ]
    edits += [
        (place, place + 1, chr(ord("A") + ord(text[place]) - 0x1F1E6), "")
        for m in flags
        for place in range(*m.span())
    ]
    return sorted(edits)


_MARKS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_PILED_MARKS = re.compile(f"(?<=[A-Za-zÀ-ɏḀ-ỿ])[{_MARKS}]{{3,}}")
_LOOSE_MARKS = re.compile(f"(?<=[A-Za-zÀ-ɏḀ-ỿ])[{_MARKS}]+")


def _drop_piled_marks(text: str) -> list[Edit]:
    """Three marks or more on a letter, which no Latin spelling has."""
    return [(*m.span(), "", "marks") for m in _PILED_MARKS.finditer(text)]


def _drop_loose_marks(text: str) -> list[Edit]:
    """What does not compose with its Latin letter: strikes, rings, underlines."""
    return [(*m.span(), "", "") for m in _LOOSE_MARKS.finditer(text)]


# Starters that join the character before them: vowel signs of Indic scripts, Hangul jamo.
_JOINS = frozenset(
    "\u09be\u09d7\u0b3e\u0b56\u0b57\u0bbe\u0bd7\u0cc2\u0cd5\u0cd6\u0d3e\u0d57\u0dcf\u0ddf\u102e\u1b35"
    "\U00011127\U0001133e\U00011357\U000114b0\U000114ba\U000114bd\U000115af\U00011930"
) | frozenset(map(chr, [*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)]))
_FOREIGN = re.compile(r"[^\x00-\x7f]+")
_FOREIGN_RUN = re.compile(r"[\x00-\x7f]?[^\x00-\x7f]+")
_KEPT_KINDS = {"<super>", "<sub>", "<fraction>", "<circle>"}
_STYLED_KINDS = {"<font>", "<wide>", "<super>", "<sub>", "<circle>"}
_LONGEST_CLUSTER = 32
"""A base and 31 marks; UAX 15 (Stream-Safe Text Format) allows 30 before a break."""


def _compose(text: str) -> list[Edit]:
    """NFKC, one combining sequence at a time, so that every character keeps its place.

    Left alone: powers, indices, fractions and circled numbers (``10⁶`` is not 106), ``™``, and
    spacing accents, which NFKC would turn into a space.
    """
    if unicodedata.is_normalized("NFKC", text):
        return []
    edits: list[Edit] = []
    for run in _FOREIGN_RUN.finditer(text):
        for begin, end in _clusters(run[0], run.start()):
            cluster = text[begin:end]
            folded = _fold_character(cluster) if len(cluster) == 1 else _fold_cluster(cluster)
            if folded != cluster:
                is_next = bool(edits) and edits[-1][1] == begin
                edits.append((begin, end, folded, "" if is_next else _disguise(cluster, folded)))
    return edits


def _clusters(run: str, offset: int) -> Iterator[tuple[int, int]]:
    begin = 0
    for index in range(1, len(run)):
        if _opens(run[index]):
            yield offset + begin, offset + index
            begin = index
    yield offset + begin, offset + len(run)


@lru_cache(maxsize=8192)
def _opens(character: str) -> bool:
    """Whether ``character`` never composes or reorders with what stands before it."""
    first = unicodedata.normalize("NFKD", character)[0]
    return not unicodedata.combining(first) and first not in _JOINS


@lru_cache(maxsize=8192)
def _fold_character(character: str) -> str:
    if character == "\u00b4":  # typed for an apostrophe: jum´at
        return "'"
    folded = unicodedata.normalize("NFKC", character)
    is_kept = _kind(character) in _KEPT_KINDS and not folded.isalpha()
    is_accent = len(folded) > 1 and folded[0] == " "
    return character if is_kept or is_accent or character in "™℠ªº" else folded


def _fold_cluster(cluster: str) -> str:
    if len(cluster) > _LONGEST_CLUSTER:
        cluster = cluster[:_LONGEST_CLUSTER]
    base = _fold_character(cluster[0])
    if base != unicodedata.normalize("NFKC", cluster[0]):
        return unicodedata.normalize("NFC", base + cluster[1:])
    return unicodedata.normalize("NFKC", cluster)


def _disguise(cluster: str, folded: str) -> str:
    """The trick, if any, that turned ``folded`` into ``cluster``."""
    styled = len(cluster) == 1 and folded.isascii() and folded.isalpha()
    return "homoglyph" if styled and _kind(cluster) in _STYLED_KINDS else ""


def _kind(character: str) -> str:
    return unicodedata.decomposition(character).partition(" ")[0]


_ARABIC_FOLDS = {"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ی": "ي", "ک": "ك"}
_ARABIC_FOLDS |= {chr(zero + digit): str(digit) for zero in (0x660, 0x6F0) for digit in range(10)}
_ARABIC_SIGNS = (
    "\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"
    "\u08ca-\u08e1\u08e3-\u08ff\ufc5e-\ufc63\ufe70-\ufe7f"
)
_ARABIC = re.compile(f"(?P<dropped>[{_ARABIC_SIGNS}]+)|[{''.join(_ARABIC_FOLDS)}]")


def _fold_arabic(text: str) -> list[Edit]:
    """Vowel signs, Quranic marks and tatweel dropped, alef variants and Persian keyboards' ya and
    kaf folded, digits in ASCII. Alef maqsura and ta marbuta stay: they tell words apart."""
    if not _ARABIC.search(text):
        return []
    return [
        (*m.span(), "" if m["dropped"] else _ARABIC_FOLDS[m[0]], "") for m in _ARABIC.finditer(text)
    ]


_SPACE = re.compile("[\\s\x00-\x1f\x7f-\x9f\u2800]+")  # U+2800 is a braille cell without dots


def _tidy_space(text: str) -> list[Edit]:
    """Every run of white space and control characters as one space, none at either end."""
    if text.isprintable() and "  " not in text and "\u2800" not in text and text == text.strip():
        return []
    edits = [
        (*m.span(), "" if m.start() == 0 or m.end() == len(text) else " ", "")
        for m in _SPACE.finditer(text)
    ]
    return [edit for edit in edits if text[edit[0] : edit[1]] != edit[2]]


# Masks ----------------------------------------------------------------------------------------

_DOMAIN_ENDS = (
    "com|net|org|id|me|ly|io|co|info|tv|gg|gl|gd|be|link|xyz|app|site|online|news|my|sg|us|uk|eu"
    "|edu|gov|mil|dev|page|ru|cc|in|to|ac|sch|web|biz|blog|live|chat|channel"
)
_URL_CHARACTER = r"(?:\\?/|[A-Za-z0-9\-._~:?#@!$&'()*+,;=%])"
_URL = re.compile(
    r"(?:(?:https?|hxxps?)://|(?<![a-z0-9])(?:(?:ftp|tg)://|www\.(?=[a-z0-9-]{1,63}\.)"
    rf"|(?<!-)(?:[a-z0-9][a-z0-9-]{{0,62}}\.){{1,5}}(?:{_DOMAIN_ENDS})/))"
    rf"[a-z0-9%@_?+-]{_URL_CHARACTER}*".replace("://", r":\\?/\\?/"),
    re.IGNORECASE | re.ASCII,
)
_EMAIL = re.compile(
    r"(?<![a-z0-9._%+@-])[a-z0-9][a-z0-9._%+-]{0,63}@"
    rf"(?:[a-z0-9][a-z0-9-]{{0,62}}\.){{1,4}}(?:{_DOMAIN_ENDS})(?![a-z0-9@-])",
    re.IGNORECASE | re.ASCII,
)
_INNER_AT = re.compile("@(?<=[A-Za-z0-9._%+-]@)[A-Za-z0-9]")
# Five to 32 characters, as Telegram asks of a user name; a shorter word behind @ stays readable.
_MENTION = re.compile(r"@(?<![\w@./\\-]@)[A-Za-z][A-Za-z0-9_]{4,31}(?![\w@])")
_PHONE = re.compile(
    r"(?<![\w+])(?<![0-9][.-])(?:"
    r"(?:\+62[ .-]?|62-?|0)8[1-9][0-9]{1,2}"  # mobile, as written in Indonesia
    r"(?:[0-9]{5,8}|([ .-])[0-9]{3,4}\1[0-9]{3,5}|[ .-][0-9]{6,8})"
    r"|\(0[2-9][0-9]{1,2}\) ?[0-9]{3,4}[ -]?[0-9]{3,4}"
    r"|0[2-9][0-9]{1,2}-[0-9]{3,4}[ -]?[0-9]{3,4}"  # landline, area code first
    r"|\+[1-9][0-9]{0,2}[ -]?(?:[0-9]{7,12}|[0-9]{2,4}([ -])[0-9]{3,4}\2[0-9]{3,5}))"
    r"(?![0-9A-Za-z_]|[.-][0-9])"
)
_EIGHT_DIGITS = re.compile(r"[0-9][0-9 ().-]{7}")


def _mask_urls(text: str) -> list[Edit]:
    if "/" not in text and "www." not in text.lower():
        return []
    edits: list[Edit] = []
    for match in _URL.finditer(text):
        found = match[0].rstrip(".,;:!?'*_~)")
        brackets = match[0][len(found) :]
        closing = len(brackets) - len(brackets.lstrip(")"))
        kept = min(closing, max(found.count("(") - found.count(")"), 0))  # wiki/Jihad_(Islam)
        edits.append((match.start(), match.start() + len(found) + kept, "[url]", ""))
    return edits


def _mask_emails(text: str) -> list[Edit]:
    if not _INNER_AT.search(text):
        return []
    return [(*m.span(), "[email]", "") for m in _EMAIL.finditer(text)]


def _mask_mentions(text: str) -> list[Edit]:
    return [(*m.span(), "[user]", "") for m in _MENTION.finditer(text)]


def _mask_phones(text: str) -> list[Edit]:
    if not _EIGHT_DIGITS.search(text):
        return []
    return [(*m.span(), "[phone]", "") for m in _PHONE.finditer(text)]


# Words taken apart or stretched ---------------------------------------------------------------

_SEPARATED = re.compile(
    r"(?<![^\W_])([^\W_])( |[._*~·•-]| [._*~·•-] )[^\W_](?:\2[^\W_])+(?![^\W_])"
)
_SINGLE_LETTER = re.compile(r"[ ._*~·•-][^\W_][ ._*~·•-]")
_CHAINED_BEFORE = re.compile(r"[^\W_](?:[._*~·•-]| [._*~·•-] )\Z")
_THREE_CONSONANTS = re.compile("[^aiueoy]{3}")
_NO_VOWEL = re.compile("[b-df-hj-np-tv-z]+")
_LEET_DIGITS = frozenset("013457")
_DOTTED_ABBREVIATIONS = " saw aka etc yad fob cif cod faq asap "


def _join_separated(text: str) -> list[Edit]:
    """Three or more single letters with the same separator as one word: ``b o m``, ``j.i.h.a.d``.

    Lists (``a b c``, ``s m l``), chords and answer keys (letters a to g), dimensions (``p x l``),
    rows without a vowel (``W W D L``) and dotted abbreviations (``U.S.A.``, ``s.a.w.``) stay.
    """
    if (single := _SINGLE_LETTER.search(text)) is None:
        return []
    edits: list[Edit] = []
    for match in _SEPARATED.finditer(text, max(single.start() - 3, 0)):
        gap = match[2]
        if _is_spelt(match[0][:: len(gap) + 1]) and _is_alone(text, match, gap):
            trick = "spaced"
            for place in range(match.start() + 1, match.end(), len(gap) + 1):
                edits.append((place, place + len(gap), "", trick))
                trick = ""
    return edits


def _is_alone(text: str, match: re.Match[str], gap: str) -> bool:
    """Not part of a longer chain (a host name), nor an abbreviation."""
    if gap == " ":
        return True
    begin, end = match.span()
    after = text[end : end + len(gap) + 1]
    if _CHAINED_BEFORE.search(text, max(begin - 4, 0), begin):
        return False
    if after.startswith(gap) and after[len(gap) :].isalnum():
        return False
    word = match[0][::2]
    if gap != ".":
        return True
    is_initials = len(word) < 5 or _THREE_CONSONANTS.search(word.lower()) is not None
    is_abbreviation = word.isupper() and is_initials and after.startswith(".")
    return not is_abbreviation and f" {word.lower()} " not in _DOTTED_ABBREVIATIONS


def _is_spelt(signs: str) -> bool:
    """Whether single signs in a row spell a word, and are no list, chord or formula."""
    letters = [sign for sign in signs.lower() if sign not in _LEET_DIGITS]
    if any(sign.isdigit() for sign in letters) or signs[0] in _LEET_DIGITS:
        return False
    if len(letters) < len(signs) and (len(letters) < 3 and signs[1:-1] != "0"):
        return False
    if _NO_VOWEL.fullmatch(signs.lower()):
        return False
    kinds = set(letters)
    if len(kinds) < 2 or kinds <= set("abcdefg") or kinds <= set("sml"):
        return False
    is_list = all(ord(b) - ord(a) == 1 for a, b in pairwise(signs))
    return not is_list and set(letters[1::2]) != {"x"} and len(letters) * 2 > len(signs)


_TRIPLE = re.compile(r"([a-z])\1\1", re.IGNORECASE | re.ASCII)
_LETTERS = re.compile("[A-Za-z]*")
_HEXADECIMAL = re.compile(
    r"(?<=0)x[0-9a-f]+|(?<=[#0-9])[a-f]+(?![a-z])|[a-f]+(?=[0-9])", re.IGNORECASE
)
_LETTER_RUN = re.compile(r"([a-z])\1*")
_ROMAN = re.compile(r"m{0,3}(?:cm|cd|d?c{0,3})(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})")
_DOUBLED_WORDS = (
    "maaf maafkan saat saatnya taat manfaat keadaan jumaat allah allahu massa muallaf jannah ummah "
    "ummat sunnah makkah kaabah muhammad assalamualaikum alhamdulillah bismillah subhanallah "
    "insyaallah masyaallah astaghfirullah wallahi lillah tinggi tinggal tanggal tanggung tunggu "
    "panggil anggota ganggu minggu hingga sungguh "
    "good too see seen free cool look book food feel keep need sleep week been soon room moon "
    "school three tree coffee all will well kill hell still tell call full miss pass boss class "
    "bless hello happy sorry follow yellow really off add egg bigger little better letter funny "
    "summer dinner happen"
)


# By the spelling without doubles: "alah" is "allah".
_DOUBLED = {_LETTER_RUN.sub(r"\1", word): word for word in _DOUBLED_WORDS.split()}


def _shorten_stretched(text: str) -> list[Edit]:
    """A letter three times or more in a row once: ``bommmm`` is ``bom``; twice in words known to
    double it (``maaaaf``, ``Alllah``).

    Doubles stay, and so do numerals (*VIII*), short capitals (*IEEE*), one letter thrice (*ppp*),
    and hexadecimal numbers.
    """
    edits: list[Edit] = []
    end = 0
    while (triple := _TRIPLE.search(text, end)) is not None:
        begin, end = _word_around(text, triple.start(), end)
        word = text[begin:end]
        if not (_is_short_form(word) or _HEXADECIMAL.match(text, begin)):
            edits += _shorten(begin, word.lower())
    return edits


def _word_around(text: str, place: int, floor: int) -> tuple[int, int]:
    begin = place
    while begin > floor and text[begin - 1].isascii() and text[begin - 1].isalpha():
        begin -= 1
    letters = _LETTERS.match(text, place)
    return begin, letters.end() if letters else place


def _is_short_form(word: str) -> bool:
    if len(word) == 3 or (len(word) < 5 and word.isupper()):
        return True
    return (word.isupper() or word.islower()) and _ROMAN.fullmatch(word.lower()) is not None


def _shorten(offset: int, word: str) -> Iterator[Edit]:
    runs = list(_LETTER_RUN.finditer(word))
    doubled = _DOUBLED.get("".join(run[1] for run in runs), "")
    wanted = [len(run[0]) for run in _LETTER_RUN.finditer(doubled)] or [1] * len(runs)
    if any(len(run[0]) < kept for run, kept in zip(runs, wanted, strict=True)):
        wanted = [1] * len(runs)
    trick = "repeated"
    for run, kept in zip(runs, wanted, strict=True):
        if len(run[0]) > 2:
            yield offset + run.start() + kept, offset + run.end(), "", trick
            trick = ""


Step = Callable[[str], list[Edit]]
_ASCII_STEPS: tuple[Step, ...] = (
    _tidy_space,
    _mask_urls,
    _mask_emails,
    _mask_mentions,
    _mask_phones,
    _join_separated,
    _shorten_stretched,
    fold_leet,
)
_STEPS = (
    _mend_surrogates,
    _drop_invisible,
    _unbox,
    _drop_piled_marks,
    _compose,
    _drop_loose_marks,
    _fold_arabic,
    _ASCII_STEPS[0],
    fold_homoglyphs,
    *_ASCII_STEPS[1:],
)
_COMMON_STEPS = (_compose, _tidy_space, fold_homoglyphs, *_ASCII_STEPS[1:])
_SUSPECT = re.compile(  # what the steps missing from the common ones look for
    f"[\ud800-\udfff{_BIDI}{_IGNORABLE}{_BOXES}{_FLAG_LETTERS}{_MARKS}{_ARABIC_SIGNS}"
    f"{''.join(_ARABIC_FOLDS)}]"
)

"""Letters in disguise: look-alikes from other scripts, and digits that stand for letters.

Both are folded only where the reading is certain. A word of another script stays, and so does a
lawful mix of letters and digits (*covid19*, *h1n1*, *p3k*, *anak2*).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from functools import lru_cache

Edit = tuple[int, int, str, str]
"""``(begin, end, replacement, trick)``; ``trick`` is empty where nothing was being hidden."""


def _pairs(table: str) -> dict[str, str]:
    """``"a:áà b:ḃ"`` as ``{"á": "a", "à": "a", "ḃ": "b"}``."""
    entries = (entry.split(":") for entry in table.split())
    return {look: letter for letter, looks in entries for look in looks}


def _words(table: str) -> frozenset[str]:
    return frozenset(table.split())


# Single-letter rows of Unicode Technical Standard 39, confusables.txt (security mechanisms),
# cut down to what reads as a Latin letter. Scripts in order: Cyrillic, Greek, Armenian,
# Cherokee, Lisu.
EXACT = _pairs(
    """
    a:а c:сϲ d:ԁ e:еҽ h:һ i:і j:јϳ l:ӏ o:о p:р q:ԛ s:ѕ v:ѵ w:ԝ x:х y:уү
    A:А B:В C:СϹ E:Е G:Ԍ H:Н I:ІӀ J:ЈͿ K:К M:М N:Ν O:О P:Р S:Ѕ T:Т V:Ѵ W:Ԝ X:Х Y:ҮУ
    o:ο A:Α B:Β E:Ε H:Η I:Ι K:Κ M:Μ O:Ο P:Ρ T:Τ X:Χ Y:Υ Z:Ζ
    g:ց h:հ j:յ n:ո o:օ q:զ u:ս L:Լ O:Օ S:Տ U:Ս
    A:Ꭺ B:Ᏼ C:Ꮯ D:Ꭰ E:Ꭼ G:Ꮐ H:Ꮋ J:Ꭻ K:Ꮶ L:Ꮮ M:Ꮇ P:Ꮲ R:ᎡᏒ S:ᏕᏚ T:Ꭲ V:Ꮩ W:ᎳᏔ Y:Ꮍ Z:Ꮓ
    b:Ꮟ d:Ꮷ h:Ꮒ i:Ꭵꭵ y:Ꭹ a:ꭺ c:ꮯ e:ꭼ h:ꮋ j:ꭻ k:ꮶ l:ꮮ m:ꮇ p:ꮲ r:ꭱ s:ꮪ t:ꭲ v:ꮩ w:ꮃ z:ꮓ
    A:ꓮ B:ꓐ C:ꓚ D:ꓓ E:ꓰ F:ꓝ G:ꓖ H:ꓧ I:ꓲ J:ꓙ K:ꓗ L:ꓡ M:ꓟ N:ꓠ O:ꓳ P:ꓑ R:ꓣ S:ꓢ T:ꓔ U:ꓴ V:ꓦ W:ꓪ
    X:ꓫ Y:ꓬ Z:ꓜ
    """
)
# Near enough inside a word that is otherwise Latin, too loose to turn a whole word.
NEAR = _pairs(
    """
    b:бвь e:ё h:н k:к m:м n:п r:г t:т w:шѡ y:ў f:ғ
    a:ա f:ք
    """
)
# Letters that mathematics writes beside Latin ones (``ρgh``, ``cosα``): held to a stricter rule.
MATHS = _pairs("a:α i:ι k:κ n:η o:σ p:ρ t:τ u:υ v:ν w:ω y:γ")
# Latin by block, so never a word of another language: small capitals and phonetic letters.
SMALL_CAPITALS = _pairs(
    """
    a:ᴀɑ b:ʙƅ c:ᴄ d:ᴅ e:ᴇ f:ꜰ g:ɢɡ h:ʜ i:ɪıɩ j:ᴊȷ k:ᴋ l:ʟ m:ᴍ n:ɴ o:ᴏ p:ᴘ q:ꞯ r:ʀ s:ꜱ t:ᴛ u:ᴜ
    v:ᴠʋ w:ᴡ y:ʏ z:ᴢ
    """
)
LOOKALIKES = EXACT | NEAR | MATHS | SMALL_CAPITALS

_LATIN = re.compile(r"[A-Za-zÀ-ÖØ-öø-ɏḀ-ỿ]")
_ASCII_WORD = re.compile(r"[A-Za-z]{2}")
_MASK = re.compile(r"\[(?:url|user|phone|email)\]")
_WORD = re.compile(r"[^\W_]+")
_LOOKALIKE = re.compile(f"[{''.join(LOOKALIKES)}]")
_TURKISH = re.compile("[çğşöüÇĞİŞÖÜ]")
_SCRIPTS = re.compile(
    "(?P<greek>[\u0370-\u03ff\u1f00-\u1fff])|(?P<cyrillic>[\u0400-\u052f\ua640-\ua69f])"
    "|(?P<armenian>[\u0530-\u058f])|(?P<cherokee>[\u13a0-\u13ff\uab70-\uabbf])"
    "|(?P<lisu>[\ua4d0-\ua4ff])"
)


def fold_homoglyphs(text: str) -> list[Edit]:
    """Look-alikes as Latin letters: in words that mix with Latin, and in words made only of exact
    look-alikes when the text is otherwise Latin."""
    if not _LOOKALIKE.search(text):
        return []
    words = [(m.start(), m[0]) for m in _WORD.finditer(text) if not m[0].isascii()]
    kinds = {w: _kind_of(w) if len(w) < 65 else _find_kind(w) for w in {w for _, w in words}}
    has_latin = _ASCII_WORD.search(_MASK.sub("", text)) is not None
    genuine = set().union(*(_scripts(word) for word, kind in kinds.items() if kind == "genuine"))
    impostors = {w for w, kind in kinds.items() if kind == "impostor" and has_latin}
    folded = {w for w in impostors if not _scripts(w) & genuine}
    folded |= {w for w, kind in kinds.items() if kind == "mixed"}
    if _TURKISH.search(text):
        folded = {w for w in folded if "ı" not in w}
    return [edit for begin, word in words if word in folded for edit in _fold_word(begin, word)]


def _fold_word(begin: int, word: str) -> Iterator[Edit]:
    trick = "homoglyph"
    for index, character in enumerate(word, begin):
        if (letter := LOOKALIKES.get(character)) is not None:
            yield index, index + 1, letter, trick
            trick = ""  # one count a word


def _find_kind(word: str) -> str:
    """``mixed`` with Latin, ``impostor`` (exact look-alikes only), ``genuine``, or empty where a
    single letter tells nothing."""
    hidden = {c for c in word if c in LOOKALIKES}
    foreign = {c for c in word if not (c.isdigit() or _LATIN.match(c))}
    if hidden and foreign <= LOOKALIKES.keys() and _reads_as_latin(word, hidden):
        return "mixed"
    letters = [c for c in word if not c.isdigit()]
    if len(letters) < 2:
        return ""
    if all(c in EXACT for c in letters):
        return "impostor"
    return "genuine" if foreign and not _LATIN.search(word) else ""


_kind_of = lru_cache(maxsize=4096)(_find_kind)  # short words only: the cache must stay small


def _reads_as_latin(word: str, hidden: set[str]) -> bool:
    """Latin beside look-alikes, or small capitals alone; but no formula."""
    if hidden <= SMALL_CAPITALS.keys():
        return len(word) > 1
    has_latin = any(c not in SMALL_CAPITALS and _LATIN.match(c) for c in word)
    return has_latin and not _is_formula(word, hidden)


def _is_formula(word: str, hidden: set[str]) -> bool:
    """Greek at the edge of a short word: ``ρgh``, ``2cosα``."""
    letters = word.strip("0123456789")
    if len(letters) > 4 or not hidden <= MATHS.keys():
        return False
    return letters[0] in MATHS or letters[-1] in MATHS


def _scripts(word: str) -> set[str]:
    return {str(m.lastgroup) for m in _SCRIPTS.finditer(word)}


# Leetspeak ------------------------------------------------------------------------------------

LEET = dict(zip("013457@$!|", "oieastasii", strict=True))
# One digit alone proves nothing (*liga1kita*, *debat3calon*); a word from this list does. They
# are everyday words and the subject's own, chosen so that no lawful mix of letters and digits
# folds to one.
WORDS = _words(
    """
    adalah agama ahli akan akhirat akidah alim allah amaliyah aman amir anak ancam anggota
    anjing aparat aqidah arab asing aswaja ayat baiat bakar bangsa bantai banteng bantu bank
    banyak barat baru basmi bebas bela belah beli benar bendera benci bentrok besar besok biadab
    bisa bom bomb bubar bunuh busuk cari celaka cina cuma curang daging dajjal dakwah darah
    darul dasar daulah demi demo dendam dengan densus dollar donasi dosa dunia eksekusi emir
    fasis fatwa fitnah foto gabung ganyang gereja gerak gorok granat hajar hancur haram harta
    harus hasut hidup hijab hijrah hilang hukum ibadah ikhwan ikut iman imam indonesia infak
    informasi ingat ingin islam isis istri jahat jangan jihad jihadis jual judi kabur kafir
    kalian kalifah kami kapir karena kasih kaum kawan kebal kecam kejam kelompok kembali kepala
    khalifah khawarij khilafah kilafah kirim kita komando komunis korban korupsi kotor kristen
    kubur kudeta kuffar kufur kumpul laknat lari laskar latih lawan ledak lempar maju makan
    maling manusia markas masjid masuk mati mau mayat media memang menang mengapa menteri
    merdeka minta misi mobil modal mujahid mujahidin mulai munafik murtad musuh muslim musyrik
    mampus nafsu narkoba negara negeri neraka nikah obat ormas orang otak pahlawan paling panah
    pancasila panggil pasti pasukan pedang pejuang pelor peluru pemimpin pemuda pemerintah
    penggal penjara penjajah perang perempuan peristiwa perkosa peta pistol pki polisi politik
    porno presiden rakit rakyat rampok rapat rebut rekrut rela remaja rezim rejim roket rusak
    rusuh rumah sahid sakit salib santri sama saya sayang sebar sedia sekarang selamat sembelih
    semua senapan sendiri senjata serang serbu setan siap siksa singkir sodara suriah surga
    surya syahadah syahid syariah syariat syiah syirik taghut tahun takbir takfir takut tangkap
    tank target teman tembak tempur tentara terima teror teroris tetap thaghut thogut thoghut
    tidak tikam tolak tolong transfer tuhan tumbang tumpas tunduk umat ummat untuk usir wahabi
    wajib wanita yahudi yakin yang zakat zalim zina zionis attack bomber death explosive fight
    gun jihadi kill murder shoot suicide terror terrorist nyerang merang nembak mbunuh ngancam
    nggorok nyembelih nghancur mbakar nyerbu
    """
)
_PREFIXES = "di ke se ter ber be me mem men meng menge pe pem pen peng penge per memper al anti"
_SUFFIXES = "nya kan an i lah kah ku mu in kannya annya s"
_AFFIXES = [(p, s) for p in ("", *_PREFIXES.split()) for s in ("", *_SUFFIXES.split())]

_SYMBOLS = "@!|$"
_LEET_NEAR_LETTER = re.compile(
    r"[013457@$!|](?:(?=[A-Za-z])|(?<=[A-Za-z]{3}[013457])(?![A-Za-z0-9]))"
)
_LEET_TOKEN = re.compile(r"[A-Za-z0-9$][A-Za-z0-9@$!|]*")
_REDUPLICATION = re.compile(r"2(?:nya|an|ku|mu|kan)?\Z")  # orang2, kata2nya
_FORMULA = re.compile(
    r"(?:(?:He|Li|Na|Mg|Al|Si|Cl|Ca|Cr|Mn|Fe|Co|Ni|Cu|Zn|Br|Ag|Sn|Ba|Hg|Pb|[HBCNOFPSKIU])"
    r"(?:[2-9]|[1-9][0-9])?)+|[Cc][0-9]*[Hh][0-9].*"
)
_HEX = re.compile(r"[0-9a-f]{6,}|[0-9A-F]{6,}")
_UNSPEAKABLE = re.compile(r"[^aiueoy]{4}|[aiueo]{4}")
_LONGEST_TOKEN = 40


def fold_leet(text: str) -> list[Edit]:
    """Digits and signs as letters where they can be nothing else.

    Certain are: a word of ``WORDS`` (affixes allowed), and two or more single digits, each between
    letters, that leave a word one can pronounce. Never touched: other digits than 0 1 3 4 5 7
    (so *anak2*, *h2so4*), numbers of two digits or more (*rp50rb*), codes, formulae, user names.
    """
    if not _LEET_NEAR_LETTER.search(text):
        return []
    edits: list[Edit] = []
    for match in _LEET_TOKEN.finditer(text):
        token = match[0].rstrip(_SYMBOLS)
        end = match.start() + len(token)
        if len(token) > _LONGEST_TOKEN or token.isalpha():
            continue
        if text[end : end + 1] == "_" or text.endswith("_", 0, match.start()):
            continue  # part of a user name
        if (word := read_leet(token)) is not None:
            edits += _letters_changed(match.start(), token, word)
    return edits


def _letters_changed(begin: int, token: str, word: str) -> Iterator[Edit]:
    trick = "leet"
    for index, (old, new) in enumerate(zip(token, word, strict=True), begin):
        if old != new:
            yield index, index + 1, new, trick
            trick = ""


@lru_cache(maxsize=4096)
def read_leet(token: str) -> str | None:
    """The word ``token`` stands for, letter by letter; ``None`` where that is not certain."""
    if not _LEET_NEAR_LETTER.search(token):
        return None
    plural = _REDUPLICATION.search(token)
    body = token[: plural.start()] if plural else token
    word = _listed_word(body) or _certain_word(body)
    if word is None or word == body:
        return None
    return word + token[len(body) :]


def _listed_word(body: str) -> str | None:
    lead, core, tail = _parts(body)
    if not core or len(lead) > 1 or len(tail) > 1:
        return None
    n_leet = sum(c in LEET for c in body)
    is_bare = bool(lead or tail)  # at the edge a digit may be a number: the whole word must match
    if is_bare and n_leet < 2 and (len(body) < 5 or tail in ("5", "7")):
        return None
    for reading in _readings(body):
        if reading.lower() in WORDS or (not is_bare and _is_inflected(reading.lower())):
            return reading
    return None


def _certain_word(body: str) -> str | None:
    lead, core, tail = _parts(body)
    digits = re.findall("[^A-Za-z]+", core)
    if sum(d.isdigit() for d in digits) < 2 or any(d not in LEET for d in digits):
        return None
    letters = re.sub("[^A-Za-z]", "", core)
    if not (letters.islower() or letters.isupper() or letters.istitle()):
        return None
    if _HEX.fullmatch(body) or _FORMULA.fullmatch(body) or len(letters) < len(digits):
        return None
    word = _spell(core, {})
    if _UNSPEAKABLE.search(word.lower()):
        return None
    if tail in ("0", "1", "3", "4") and word[-1].lower() not in "aiueo":
        tail = _spell(letters + tail, {})[-1]
    return lead + word + tail


def _parts(body: str) -> tuple[str, str, str]:
    """What stands before the first letter, what ends with the last letter, what follows."""
    strange = "0123456789" + _SYMBOLS
    core = body.lstrip(strange)
    lead = body[: len(body) - len(core)]
    core = core.rstrip(strange)
    return lead, core, body[len(lead) + len(core) :]


def _readings(body: str) -> Iterator[str]:
    """``body`` with its leet read, ``1 ! |`` once as i and once as l."""
    if any(not c.isalpha() and c not in LEET for c in body):
        return
    bars = [index for index, c in enumerate(body) if c in "1!|"][:4]
    for letters in itertools.product("il", repeat=len(bars)):
        yield _spell(body, dict(zip(bars, letters, strict=True)))


def _spell(body: str, bars: dict[int, str]) -> str:
    spelt = "".join(bars.get(i) or LEET.get(c, c) for i, c in enumerate(body))
    return spelt.upper() if body.isupper() else spelt


def _is_inflected(word: str) -> bool:
    return any(
        word.startswith(prefix)
        and word.endswith(suffix)
        and word[len(prefix) : len(word) - len(suffix)] in WORDS
        for prefix, suffix in _AFFIXES
    )

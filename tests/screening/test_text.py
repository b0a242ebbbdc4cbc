"""Hostile text: what is undone, what must stay, and where every character came from."""

from __future__ import annotations

import doctest
import random
from array import array
from collections.abc import Callable
from string import ascii_lowercase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screening import text as text_module
from screening.confusables import EXACT, LEET, NEAR, WORDS
from screening.text import (
    MASKS,
    TRICKS,
    NormalisedText,
    display_text,
    normalise,
    normalise_text,
)

# Lawful text ----------------------------------------------------------------------------------

LAWFUL = """
Rapat pukul 10.00 WIB di lt. 3, jangan telat ya
rapat jam 7 malam di rumah pak RT, bawa KTP asli + 2 fotokopi
covid19 sudah reda tapi prokes tetap jalan
Covid-19 varian B.1.1.7 dan XBB.1.5
KTT G20 di Bali, bukan g20 yang lain
flu babi h1n1 dan flu burung H5N1
download mp3 sama mp4 dari hp 4g, 5g belum ada
mp3nya udah diunduh, s1nya di kampus itu, p3knya lengkap
K3 itu Keselamatan dan Kesehatan Kerja, panitia k3 rapat
model bisnis b2b, B2C, c2c dan p2p lending
kotak p3k ada di ruang guru
lulusan s1, s2, S3, d3 dan D4 boleh daftar
harga naik 2x, 3x lipat sejak lebaran
lomba 17an nanti sore, angkatan 90an kumpul
ongkir rp50rb, diskon Rp10.000,- s.d. Rp1.500.000
pinjam 5jt, bayar 10jt, bunga 0,5%
rumahnya di jl.5 no.12 rt05/rw07
Jl. M.H. Thamrin Kav. 8-9, Jakarta 10350
anak2 dan kata2 kasar, jalan2nya kapan? orang2 itu temen2ku
tata2, ibu2, bapak2, hati2, sama2, pagi2 buta
aksi 212 dan reuni 212
peringkat ke-2, H-1 lebaran, hari ke3, ke2nya benar
#2019gantipresiden #salam2jari #kerja3x
B 1234 XYZ plat jakarta, AD 5678 BK, AB1234CD
Persija 3-1 Persib, skor 2:0, agregat 4-4
W W D L W itu lima laga terakhir
U.S.A. dan U.K. sepakat, P.T. Maju Jaya
Nabi Muhammad s.a.w. dan Allah s.w.t.
H.O.S. Tjokroaminoto, W.R. Supratman, K.H. Ahmad Dahlan, H.B. Jassin
K.G.P.A.A. Mangkunegara
a.n. Kepala Dinas, d.a. kantor pos, u.p. bagian umum
Dr. Ir. Budi, S.H., M.Si., S.Pd.I., Ph.D.
Sdr/i, bpk/ibu, s/d, d/a, c/o, dan/atau, km/jam, S.Pd/M.Pd
p.s.: jangan lupa, a.k.a. si doi, e.g. i.e.
ybs., dll., dsb., dkk., tsb., yg, dgn, utk
pilih a b c d atau e
A - B - C - D itu pilihan gandanya
jawaban: b a c d e a
kunci C G D A lalu A F G
ukuran S M L XL ready
dimensi p x l x t
i u saya suka
wkwkwk hahaha hehe xixixi awokawok
www itu singkatan world wide web
maaf saat ini massa dan jamaah berkumpul, taat pada Allah
see you too, good book, all well, feel free
I'm 2 good 4 u, b4, gr8, l8r
Louis XIV, abad XXI, bab III, pasal VIII, iii. ketiga
IEEE, AAA, PPP dan ppp
H2SO4 + 2NaOH -> Na2SO4 + 2H2O
rumus c6h12o6, ch3cooh, CH3COOH, NaHCO3, NH4Cl, KMnO4, c2h5oh
E = mc², luas 20 m², 10⁶, CO₂, ½ sendok, x³
2πr, ρgh, sinα, cosα, Δt, 5μm, 10 kΩ
f(x) = 3x + 4y - 5z, x_1 + x_2, a*b*c
y = ax + b; 1/2, 3/4, 2^10, √16, ∞, ≠, ≤
100% halal, 3 + 4 = 7, 50:50
i5-1240p, rtx3060, gtx1050ti, iphone15, A14, ps5, ps5nya, web3
RAM 16gb, 256GB, 5000mah, 120hz, 10km, 70kg, 5menit
NIK 3201234567890001
rek 1234567890 bca
tgl 08-12-2024 jam 08.30-09.00
UU No. 5/2018, PP 17/2011, Perpres 7/2021 pasal 12 ayat (3)
QS. Al-Baqarah: 190-193, HR. Bukhari no. 25
Rp 62.812.345.678 total anggaran
total 0,812345678 persen
12 345 678 orang
0812 itu awalan nomor, 021 kode jakarta, 112 dan 110 darurat
kode OTP 123456
kode promo HEMAT50, MERDEKA79
penerbangan GA 404, QZ7510, Boeing 737-800
F-16, Su-35, AK-47, M16, C-130 milik museum
TNI AD, Polri, Densus 88 Antiteror, BNPT
jihad melawan hawa nafsu
bom waktu ekonomi
suhu 30°C, 5', 6", -10°
~30 menit, ±5 km, ≥18 thn
Vitamin B12, D3, K2, omega-3
v1.2.3, Python 3.11, Android 14
liga1kita, debat3, trans7, antv, jatim9
jam7malam, pukul7pagi, kelas3sma, no3jabar, salam3jari
like4like, follow4follow, f4f
5orang, 3hari, 4kali, 7tahun, selama7 tahun
1514m, 154m, 5kg
NCT 127, TXT, BTS, SEVENTEEN, 2NE1, 4minute, f(x), N3W
Pertamax 92, RON 95, B30, B35
SMAN 1 Depok, smp1, SDN 03 pagi, kelas 12 ipa3
TMII, GBK, MRT, LRT, KRL jurusan Bogor
BBM naik 30%, PPN 11%
for i in range(10): print(i)
if (a != b && c || d) return x[0];
git commit -m "fix: #123"
SELECT * FROM t1 WHERE id=5;
0xDEADBEEF 0xFFFF #FFFFFF #ff00aa #00ffff
550e8400-e29b-41d4-a716-446655440000
sha256 e3b0c44298fc1c149afbf4c8996fb924
C:\\Users\\budi\\dokumen
user_name_01, r4h4rj4_ dan __init__
detik.com dan kompas.com memberitakan, baca.id juga
e4 e5 Nf3 Nc6 Bb5 a6
O(n log n), A* dan B+ tree
k-pop, k-drama, x-ray
nasi @ 5000, 3 @ 10rb
$100, US$5, A$AP, Ke$ha
P!nk, Yahoo!, Jeopardy!
a|b|c, ls | grep
awas!!! jangan!!! ayo!lari
!!!?!?!?
... --- ...
“kutipan” ‘satu’ «dua» – — •
1) satu 2) dua a) b) c)
:) :-( ^_^ T_T >_< :'( <3 xD
❤️🙏🏻👨‍👩‍👧‍👦🇮🇩🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣2️⃣ 🤷‍♀️ ©️ ✌️
parkir di 🅿️ ya
Jum'at, Qur’an, ma'af, do’a
café, naïve, déjà vu, jihād, Qur'ān, ḥadīth
Assalamualaikum wr. wb.
bismillah, alhamdulillah, insyaallah, subhanallah
monggo pinarak rumiyin, matur nuwun sanget
wis tak omongi ping 3, ora digugu
kulo badhe tindak dateng peken, panjenengan ngersaaken nopo
abdi mah teu nyaho, kumaha damang? éta mah
Horas bah! mauliate godang
ambo indak tau, baa kaba uda
lu gue end, gw otw, brb, afk, btw, fyi, asap
gmn kabarnya bro? gw udh nyampe nih, macet bgt
anjir ngakak, receh bet dah lo
Sehubungan dengan surat Nomor 045.2/123/IV/2024, bersama ini kami sampaikan
Mahkamah Agung menolak kasasi terdakwa dalam perkara No. 1234 K/Pid.Sus/2020
The weather is nice today, isn't it?
She said: "No, it's 5 o'clock."
اللهم صل على محمد
مكة المكرمة والمدينة المنورة
هذا كتاب جديد
Москва adalah ibu kota Rusia
kata Yunani Αθήνα berarti Athena
Путин встретился с Байденом
рука
kata Rusia рука berarti tangan
kılıç Türkçe Yıldırım İstanbul
ꦲꦏ꧀ꦱꦫꦗꦮ
मुंबई শান্তি ไทย 日本語 한국어
क्‍ष
""".strip().split("\n")


@pytest.mark.parametrize("lawful", LAWFUL)
def test_lawful_text_comes_through_untouched_with_identity_offsets(lawful: str) -> None:
    length = len(lawful)
    result = normalise(lawful)
    assert result.text == lawful
    assert list(result.starts) == list(range(length))
    assert list(result.ends) == list(range(1, length + 1))
    assert result.tricks == {}


def test_the_lawful_table_is_large_enough_to_mean_something() -> None:
    assert len(set(LAWFUL)) >= 120


# Tricks ---------------------------------------------------------------------------------------

HIDDEN = [
    ("ayo j1h4d", "ayo jihad", "leet"),
    ("b0m", "bom", "leet"),
    ("k4f1r", "kafir", "leet"),
    ("t3r0r", "teror", "leet"),
    ("5yahid", "syahid", "leet"),
    ("J1H4D", "JIHAD", "leet"),
    ("k@fir", "kafir", "leet"),
    ("$yahid", "syahid", "leet"),
    ("j!had", "jihad", "leet"),
    ("j|had", "jihad", "leet"),
    ("4ll4h", "allah", "leet"),
    ("a11ah", "allah", "leet"),
    ("1s1am", "islam", "leet"),
    ("or4ng2", "orang2", "leet"),
    ("dib0m", "dibom", "leet"),
    ("meny3r4ng", "menyerang", "leet"),
    ("#t3r0r", "#teror", "leet"),
    ("b o m malam ini", "bom malam ini", "spaced"),
    ("j i h a d", "jihad", "spaced"),
    ("b\no\nm", "bom", "spaced"),
    ("b  o  m", "bom", "spaced"),
    ("j.i.h.a.d", "jihad", "spaced"),
    ("rakit b.o.m. sekarang", "rakit bom. sekarang", "spaced"),
    ("B.O.M", "BOM", "spaced"),
    ("J.I.H.A.D. itu", "JIHAD. itu", "spaced"),
    ("b-o-m", "bom", "spaced"),
    ("b_o_m", "bom", "spaced"),
    ("b*o*m", "bom", "spaced"),
    ("b · o · m", "bom", "spaced"),
    ("j 1 h 4 d", "jihad", "spaced"),
    ("ج ه ا د", "جهاد", "spaced"),
    ("bommmmm", "bom", "repeated"),
    ("kafiiir", "kafir", "repeated"),
    ("BOMMMM", "BOM", "repeated"),
    ("maaaaf", "maaf", "repeated"),
    ("saaaatnya", "saatnya", "repeated"),
    ("Alllaaah", "Allah", "repeated"),
    ("gooood", "good", "repeated"),
    ("b\u200bo\u200bm", "bom", "zero_width"),
    ("bo\u00adm", "bom", "zero_width"),
    ("bo\ufeffm", "bom", "zero_width"),
    ("bo\U000e0061m", "bom", "zero_width"),
    ("bo\u200fm", "bom", "bidi"),
    ("\u202emob\u202c di sini", "bom di sini", "bidi"),
    ("j\u0335\u0323\u0308ihad", "jihad", "marks"),
    ("bоm", "bom", "homoglyph"),  # Cyrillic о
    ("jіhаd", "jihad", "homoglyph"),  # Cyrillic і, а
    ("jihαd", "jihad", "homoglyph"),  # Greek α
    ("κafir", "kafir", "homoglyph"),  # Greek κ
    ("օrang", "orang", "homoglyph"),  # Armenian օ
    ("Ꭻihad", "Jihad", "homoglyph"),  # Cherokee Ꭻ
    ("ВОМ di sini", "BOM di sini", "homoglyph"),  # Cyrillic throughout
    ("ʙᴏᴍ", "bom", "homoglyph"),
    ("ｂｏｍ", "bom", "homoglyph"),
    ("𝐛𝐨𝐦", "bom", "homoglyph"),
    ("ⓑⓞⓜ", "bom", "homoglyph"),
    ("🅱om", "Bom", "homoglyph"),
    ("🅱🅾🅼", "BOM", "homoglyph"),
    ("🇧 🇴 🇲", "BOM", "spaced"),
]


@pytest.mark.parametrize(("hostile", "plain", "trick"), HIDDEN)
def test_a_hidden_word_is_read_and_its_trick_counted(hostile: str, plain: str, trick: str) -> None:
    result = normalise(hostile)
    assert result.text == plain
    assert trick in result.tricks


def test_every_trick_of_the_list_is_shown_at_work() -> None:
    assert {trick for _, _, trick in HIDDEN} == set(TRICKS)


def test_tricks_are_counted_by_word_not_by_character() -> None:
    assert normalise("jіhаd dan bоm").tricks == {"homoglyph": 2}
    assert normalise("k4f1r k4f1r t3r0r").tricks == {"leet": 3}


def test_a_genuine_foreign_word_in_the_text_protects_lookalikes_of_its_script() -> None:
    assert normalise_text("ОМ di sini") == "OM di sini"
    assert normalise_text("ОМ и Москва di sini") == "ОМ и Москва di sini"


FOLDED = [
    ("الإِسْلَامُ", "الاسلام"),
    ("جـــهاد", "جهاد"),
    ("٢٠٢٤ و ۲۰۲۴", "2024 و 2024"),
    ("ﻻ ﷲ", "لا الله"),
    ("على مكة", "على مكة"),
    ("می\u200cخواهم", "ميخواهم"),
    ("\u202eمرحبا\u202c", "مرحبا"),
    ("e\u0301cole", "école"),
    ("satu\u00a0dua", "satu dua"),
    ("lanjut…", "lanjut..."),
    ("jum\u00b4at", "jum'at"),
    ("b̶o̶m̶", "bom"),
    ("satu\r\n\n  dua\ttiga\x00empat ", "satu dua tiga empat"),
    ("satu\u2800dua", "satu dua"),
    ("\ud83d\ude00 \ud83d", "😀 \ufffd"),
    ("bukan👩\u200b👧", "bukan👩👧"),
    ("a\ufe0f", "a"),
    ("\u200b", ""),
    ("", ""),
]


@pytest.mark.parametrize(("raw", "folded"), FOLDED)
def test_spelling_variants_without_meaning_are_folded(raw: str, folded: str) -> None:
    result = normalise(raw)
    assert result.text == folded
    assert result.tricks == {}


# Masks ----------------------------------------------------------------------------------------

MASKED = [
    ("lihat https://t.me/kanal/12, ya", "lihat [url], ya"),
    ("(https://id.wikipedia.org/wiki/Bom_(ikan)).", "([url])."),
    ("www.contoh.id dan bit.ly/abc", "[url] dan [url]"),
    ("t.me/kanal tg://resolve?domain=kanal", "[url] [url]"),
    ("hxxps://contoh.id/a", "[url]"),
    ("https:\\/\\/t.co\\/AbC", "[url]"),
    ("lihathttps://contoh.id/a", "lihat[url]"),
    ("https://contoh.id/a🔥awas", "[url]🔥awas"),
    ("ｈｔｔｐｓ://contoh.id", "[url]"),
    ("RT @akun_contoh: halo @kamu", "RT [user]: halo @kamu"),
    ("cc @akun1, @akun2!", "cc [user], [user]!"),
    ("kirim ke nama.saya@contoh.co.id.", "kirim ke [email]."),
    ("hubungi 0812-3456-7890 atau +62 812 3456 7890", "hubungi [phone] atau [phone]"),
    ("wa 081234567890,081234567891", "wa [phone],[phone]"),
    ("telp (021) 555 1234 / 021-5551234", "telp [phone] / [phone]"),
    ("+6281234567890 +60 12-345-6789", "[phone] [phone]"),
    ("0812 345 678 10 orang", "[phone] 10 orang"),
    ("٠٨١٢٣٤٥٦٧٨٩٠", "[phone]"),
]


@pytest.mark.parametrize(("raw", "masked"), MASKED)
def test_addresses_are_masked_and_the_text_around_them_stays(raw: str, masked: str) -> None:
    assert normalise_text(raw) == masked


def test_masks_are_left_as_they_are() -> None:
    assert normalise_text(" ".join(MASKS)) == " ".join(MASKS)


# Offsets --------------------------------------------------------------------------------------


def test_each_letter_of_a_spaced_word_points_at_its_own_place() -> None:
    # 0123456789
    # ayo b o m!
    result = normalise("ayo b o m!")
    assert result.text == "ayo bom!"
    assert list(result.starts) == [0, 1, 2, 3, 4, 6, 8, 9]
    assert list(result.ends) == [1, 2, 3, 4, 5, 7, 9, 10]
    assert result.original_span(4, 7) == (4, 9)


def test_a_mask_points_at_the_whole_address() -> None:
    raw = "ke https://contoh.id/a ya"
    result = normalise(raw)
    begin, end = result.original_span(3, 8)
    assert result.text[3:8] == "[url]"
    assert raw[begin:end] == "https://contoh.id/a"


def test_a_ligature_points_every_letter_at_itself() -> None:
    result = normalise("a\ufdfa")  # one character, eighteen letters
    assert {result.original_span(i, i + 1) for i in range(1, len(result.text))} == {(1, 2)}


def test_turned_text_points_at_the_stretch_that_was_turned() -> None:
    result = normalise("ya \u202emob\u202c ya")
    assert result.text[3:6] == "bom"
    assert result.original_span(3, 6) == (3, 7)


def test_an_empty_span_is_a_place() -> None:
    result = normalise("b o m")
    assert [result.original_span(i, i) for i in range(4)] == [(0, 0), (2, 2), (4, 4), (5, 5)]
    assert normalise("\u200b").original_span(0, 0) == (0, 0)


@pytest.mark.parametrize(("begin", "end"), [(-1, 1), (2, 1), (0, 4)])
def test_a_span_outside_the_text_is_refused(begin: int, end: int) -> None:
    with pytest.raises(ValueError, match="outside the normalised text of 3 characters"):
        normalise("b o m").original_span(begin, end)


def _split(line: str) -> list[str]:
    return line.split()


# Properties -----------------------------------------------------------------------------------

FRAGMENTS = [
    *_split(
        """
        bom j1h4d k4f1r j.i.h.a.d a.n. U.S.A. b-o-m http:// https://x.id/a www.a.b t.me/a @user1 @a
        @ a@b.com 0812-3456-7890 +62 (021) 0 1 3 4 5 7 2 $ ! | . - * · ~ , ' / _ aaa lll iii VIII
        maaaaf Alllah hmmmm 0xfff #fffffa [url] [user] [ ] ( ) \\ a b o m x h4 4h 1s1s 1slam mat1
        s4lam о а Москва ОМ с Α α ρ ο σ ı ş ᴀ ʙ é ａ 𝐛 ⓑ ² ½ ① ™ ´ ¨ … ﷺ ﬁ ❤ 👩 👧 🏴 🅱 🇮 🇩 가
        أ ا ـ ى ٣ ۴ か K ſ İ ñ
        """
    ),
    *[
        "b o m",
        "mmmm o",
        " ",
        "  ",
        "\n",
        "\t",
        "\0",
        "\x1b[31m",
        "\u2028",
        "\x85",
        "\u2800",
        "\xa0",
    ],
    *"\u200b\u200c\u200d\ufe0f\u202e\u202c\u200f\u00ad\ufeff\u3164\u1160\uffa0\U000e0067\U000e007f",
    *"\u0301\u0316\u0338\u0344\u20e3\u1100\u1161\u11a8\u09c7\u09be\u0653\u064e\ufe70\uff9e",
    *"\ud83d\ude00\ud800",
]
anything = st.text(st.characters(exclude_categories=()), max_size=40)
tricky = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)
hostile_texts = anything | tricky


@settings(max_examples=600, deadline=None)
@given(hostile_texts)
def test_normalising_twice_changes_nothing_more(raw: str) -> None:
    once = normalise_text(raw)
    assert normalise_text(once) == once


@settings(max_examples=600, deadline=None)
@given(hostile_texts)
def test_the_fast_path_gives_the_same_text(raw: str) -> None:
    assert normalise_text(raw) == normalise(raw).text


@settings(max_examples=600, deadline=None)
@given(hostile_texts)
def test_offsets_rise_and_stay_inside_the_original(raw: str) -> None:
    result = normalise(raw)
    assert len(result.starts) == len(result.ends) == len(result.text)
    assert list(result.starts) == sorted(result.starts)
    assert list(result.ends) == sorted(result.ends)
    spans = zip(result.starts, result.ends, strict=True)
    assert all(0 <= start < end <= len(raw) for start, end in spans)
    assert set(result.tricks) <= set(TRICKS)


@settings(max_examples=300, deadline=None)
@given(hostile_texts)
def test_settled_text_maps_onto_itself(raw: str) -> None:
    settled = normalise_text(raw)
    length = len(settled)
    starts, ends = array("L", range(length)), array("L", range(1, length + 1))
    assert normalise(settled) == NormalisedText(settled, starts, ends, {})


@settings(max_examples=300, deadline=None)
@given(hostile_texts)
def test_no_invisible_control_or_surrogate_is_left(raw: str) -> None:
    settled = normalise_text(raw)
    assert not set(settled) & set("\u200b\u200e\u200f\u202a\u202e\u2066\u00ad\ufeff\x00\x1b\n")
    assert settled == settled.strip()
    assert "  " not in settled
    settled.encode("utf-8")  # raises on a surrogate


# Round trips ----------------------------------------------------------------------------------

PLAIN_WORDS = [
    "bom",
    "jihad",
    "kafir",
    "serang",
    "pengantin",
    "khilafah",
    "tentara",
    "Masjid",
    "DOA",
]
DISGUISES = {letter: look for look, letter in reversed((NEAR | EXACT).items())}
LEET_OF = {"a": "4@", "e": "3", "i": "1!|", "o": "0", "s": "5$", "t": "7", "l": "1"}


def _zero_width(word: str, rng: random.Random) -> str:
    return "".join(c + rng.choice(["", "\u200b", "\u2060", "\u00ad"]) for c in word)


def _homoglyph(word: str, rng: random.Random) -> str:
    kept = rng.randrange(len(word))  # one letter stays Latin
    return "".join(
        DISGUISES.get(c, c) if i != kept and rng.random() < 0.6 else c for i, c in enumerate(word)
    )


def _styled(word: str, rng: random.Random) -> str:
    first = rng.choice([0xFF21, 0x1D400, 0x1D5D4])  # fullwidth, bold, sans-serif bold
    lower = 0x20 if first == 0xFF21 else 26
    return "".join(
        chr(first + ord(c) - 65) if c.isupper() else chr(first + lower + ord(c) - 97) for c in word
    )


def _spaced(word: str, rng: random.Random) -> str:
    return rng.choice([" ", ".", "-", "_", "*", " - ", "\n"]).join(word)


def _stretched(word: str, rng: random.Random) -> str:
    place = rng.randrange(len(word))
    return word[:place] + word[place] * rng.randint(4, 8) + word[place + 1 :]


@pytest.mark.parametrize("disguise", [_zero_width, _homoglyph, _styled, _spaced, _stretched])
@settings(max_examples=100, deadline=None)
@given(word=st.sampled_from(PLAIN_WORDS), rng=st.randoms(use_true_random=False))
def test_a_disguised_word_is_read_as_the_word(
    disguise: Callable[[str, random.Random], str], word: str, rng: random.Random
) -> None:
    sentence = f"ini {disguise(word, rng)} itu"
    assert normalise_text(sentence) == f"ini {word} itu"


@settings(max_examples=400, deadline=None)
@given(word=st.sampled_from(sorted(WORDS)), rng=st.randoms(use_true_random=False))
def test_leet_inside_a_listed_word_is_read_as_that_word(word: str, rng: random.Random) -> None:
    places = [i for i in range(1, len(word) - 1) if word[i] in LEET_OF]
    chosen = [i for i in places if rng.random() < 0.7]
    hidden = "".join(rng.choice(LEET_OF[c]) if i in chosen else c for i, c in enumerate(word))
    assert normalise_text(hidden) == word


@settings(max_examples=200, deadline=None)
@given(st.from_regex(r"[gkmpr]([14][bdgkmpr]){2,4}[aiu]?", fullmatch=True))
def test_two_single_digits_between_letters_are_letters(token: str) -> None:
    plain = token.replace("1", "i").replace("4", "a")
    assert normalise_text(token) == plain


@settings(max_examples=200, deadline=None)
@given(
    st.from_regex(
        r"[a-z]{2,8}2(nya|an|ku)?|[a-z]{1,3}[0-9]{2,4}|[0-9]{2,4}[a-z]{2,4}", fullmatch=True
    )
)
def test_plurals_with_2_and_numbers_beside_letters_stay(token: str) -> None:
    stretched = any(letter * 3 in token for letter in ascii_lowercase)
    assert stretched or normalise_text(token) == token


def test_every_leet_sign_has_one_letter() -> None:
    assert set(LEET) == set("013457@$!|")
    assert set("".join(LEET_OF.values())) == set(LEET)


# Size -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("a.", None),
        ("a ", None),
        ("@", None),
        ("\u200b", ""),
        ("ａ", "a"),
        ("$", None),
        ("a\u0301\u0316", None),
        ("\u202ea", None),
        ("0812345678-", None),
        ("http://", None),
        ("k4f1r ", None),
        ("оm ", None),
    ],
)
def test_very_long_monotonous_text_settles(unit: str, expected: str | None) -> None:
    settled = normalise_text(unit * 50_000)
    assert normalise_text(settled) == settled
    if expected is not None:
        assert settled == expected


def test_a_pile_of_marks_is_cut_at_the_base() -> None:
    assert normalise_text("bo" + "\u0301\u0316" * 50_000 + "m") == "bom"


# Display --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("biasa saja", "biasa saja"),
        ("Rp5 · “ya” 😀 مرحبا", "Rp5 · “ya” 😀 مرحبا"),
        ("\x1b[31mmerah\x1b[0m", "<U+001B>[31mmerah<U+001B>[0m"),
        ("a\x9b31m", "a<U+009B>31m"),
        ("satu\r\ndua\ntiga\tempat\u2028lima", "satu dua tiga empat lima"),
        ("\u202emob\u202c", "<U+202E>mob<U+202C>"),
        ("a\u2066b\u2069\u200f", "a<U+2066>b<U+2069><U+200F>"),
        ("a\x00\x07b\x7f", "a<U+0000><U+0007>b<U+007F>"),
        ("a\ud800b", "a\ufffdb"),
    ],
)
def test_display_shows_what_could_harm_a_terminal(raw: str, shown: str) -> None:
    assert display_text(raw) == shown


@settings(max_examples=300, deadline=None)
@given(hostile_texts)
def test_displayed_text_is_one_harmless_line(raw: str) -> None:
    shown = display_text(raw)
    harmful = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u061c", "\u200e", "\u200f"}
    harmful |= {*map(chr, range(0x2028, 0x202F)), *map(chr, range(0x2066, 0x2070))}
    assert not set(shown) & harmful
    assert shown.splitlines() in ([], [shown])
    assert display_text(shown) == shown
    shown.encode("utf-8")


def test_docstring_examples_hold() -> None:
    results = doctest.testmod(text_module)
    assert results.attempted > 0
    assert results.failed == 0

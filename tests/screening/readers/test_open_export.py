"""Exports of every kind and container, known by their content."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import stat
import sys
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from screening.errors import LimitError, ReadError
from screening.readers import Columns, containers, input_size, open_export, streams
from screening.readers.detection import detect
from screening.types import ReadReport

CHAT = {
    "name": "Kanal Contoh",
    "type": "public_channel",
    "id": 1001,
    "messages": [
        {
            "id": 1,
            "type": "message",
            "date": "2023-11-15T12:00:00",
            "date_unixtime": "1700024400",
            "from": "Kanal Contoh",
            "from_id": "channel1001",
            "text": "dari json",
            "text_entities": [{"type": "plain", "text": "dari json"}],
        }
    ],
}
ACCOUNT = {"about": "Here is the data", "chats": {"about": "", "list": [CHAT]}}
TELETHON = {
    "_": "Message",
    "id": 2,
    "peer_id": {"_": "PeerChannel", "channel_id": 1001},
    "date": "2023-11-15T05:00:00+00:00",
    "message": "dari telethon",
    "entities": [],
}
TDL = {
    "id": 1001,
    "messages": [
        {"id": 3, "type": "message", "file": "", "date": 1_700_024_400, "text": "dari tdl"}
    ],
}
PAGE = """<!DOCTYPE html><html><head><meta charset="utf-8"/></head><body><div class="page_wrap">
<div class="page_header"><div class="content"><div class="text bold">Kanal</div></div></div>
<div class="page_body chat_page"><div class="history">
<div class="message default clearfix%s" id="message%d"><div class="body">
<div class="pull_right date details" title="15.11.2023 12:00:00 UTC+07:00">12:00</div>
%s<div class="text">%s</div></div></div>
</div></div></div></body></html>"""
OTHER_PAGE = '<!DOCTYPE html><html><body><div class="page_body list_page">a</div></body></html>'


def make_page(number: int, text: str, *, joined: bool = False) -> bytes:
    name = "" if joined else '<div class="from_name">Ani</div>'
    return (PAGE % (" joined" if joined else "", number, name, text)).encode()


def make_parquet(text: str) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"text": [text]}), file)
    return file.getvalue()


def dump(value: object, indent: int | None = 1) -> bytes:
    return json.dumps(value, indent=indent).encode()


CONTENTS = {
    "telegram_json": (dump(CHAT), "dari json"),
    "telegram_json in one line": (dump(CHAT, None), "dari json"),
    "telegram_json account": (dump(ACCOUNT), "dari json"),
    "telegram_html": (make_page(1, "dari html"), "dari html"),
    "telethon": (dump([TELETHON]), "dari telethon"),
    "telethon lines": (dump(TELETHON, None) + b"\n", "dari telethon"),
    "tdl": (dump(TDL, None), "dari tdl"),
    "jsonl": (b'{"text": "dari jsonl"}\n', "dari jsonl"),
    "json_array": (dump([{"text": "dari larik"}]), "dari larik"),
    "csv": (b"id;isi\n1;dari csv\n", "dari csv"),
    "parquet": (make_parquet("dari parquet"), "dari parquet"),
}


def read(
    path: str | Path, columns: Columns | None = None, username: str | None = None
) -> tuple[list[str], ReadReport]:
    report = ReadReport()
    posts = open_export(path, username=username, columns=columns, report=report)
    return [post.text for post in posts], report


def write_zip(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def write_tree(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


# One file


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("suffix", ["", ".csv", ".html", ".zip", ".jpg"])
def test_a_file_is_read_by_its_content_whatever_its_name(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    data, text = CONTENTS[kind]
    path = tmp_path / f"ekspor{suffix}"
    path.write_bytes(data)

    texts, report = read(path)
    assert texts == [text]
    assert report.posts == 1


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_gzipped_file_is_read_like_the_file(tmp_path: Path, kind: str) -> None:
    data, text = CONTENTS[kind]
    path = tmp_path / "ekspor"
    path.write_bytes(gzip.compress(data))

    assert read(path)[0] == [text]


@pytest.mark.parametrize("kind", CONTENTS)
def test_standard_input_is_read_from_a_pipe(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, text = CONTENTS[kind]
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
        assert read("-")[0] == [text]
        assert not pipe.closed


@pytest.mark.parametrize("kind", ["telegram_json", "telethon", "jsonl", "csv"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_text_formats_are_read_with_a_byte_order_mark(
    tmp_path: Path, kind: str, encoding: str
) -> None:
    data, text = CONTENTS[kind]
    path = tmp_path / "ekspor"
    path.write_bytes(data.decode().encode(encoding))

    assert read(path)[0] == [text]


def test_the_username_and_columns_reach_the_readers(tmp_path: Path) -> None:
    page = tmp_path / "messages.html"
    page.write_bytes(make_page(5, "a"))
    posts = open_export(page, username="contoh", report=ReadReport())
    assert [post.permalink for post in posts] == ["https://t.me/contoh/5"]

    table = tmp_path / "tabel"
    table.write_bytes(b"judul,harga\na,1\n")
    assert read(table, columns=Columns(text="judul"))[0] == ["a"]


def test_one_page_alone_is_read_with_a_note_on_those_beside_it(tmp_path: Path) -> None:
    files = {"messages.html": make_page(1, "a"), "messages2.html": make_page(2, "b")}
    root = write_tree(tmp_path / "ekspor", files)
    texts, report = read(root / "messages.html")

    assert texts == ["a"]
    assert report.notes == [
        f"{root}/messages.html: one page; 1 more beside it are read with the directory"
    ]


def test_a_wrong_username_is_an_error_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text":"a"}')
    with pytest.raises(ReadError, match="--username: not a Telegram username"):
        open_export(path, username="bukan nama!", report=ReadReport())


def test_one_message_reads_the_same_from_json_and_html(tmp_path: Path) -> None:
    message = CHAT["messages"][0] | {  # type: ignore[index]
        "from": "Ani",
        "forwarded_from": "Asal",
        "reply_to_message_id": 1,
        "id": 2,
        "text": [
            "lihat ",
            {"type": "text_link", "text": "ini", "href": "https://contoh.id"},
            "\nya",
        ],
    }
    (tmp_path / "json").write_bytes(dump(CHAT | {"name": "Kanal", "messages": [message]}))
    (tmp_path / "html").write_bytes(
        make_page(
            2,
            'lihat <a href="https://contoh.id">ini</a><br>ya</div></div><div class="media_wrap">',
        ).replace(
            b'<div class="text">lihat',
            b'<div class="forwarded body"><div class="from_name">Asal</div><div class="reply_to '
            b'details">In reply to <a href="#go_to_message1">this message</a></div>'
            b'<div class="text">lihat',
        )
    )
    posts = [
        next(open_export(tmp_path / name, username="contoh", report=ReadReport()))
        for name in ("json", "html")
    ]

    only_in_json = {"channel_id": None, "channel_type": None, "author_id": None}
    assert replace(posts[0], **only_in_json) == posts[1]
    assert posts[1].text == "lihat ini\nya\nhttps://contoh.id"


@pytest.mark.parametrize("data", [b"", b"\n\n  \n", b"\xef\xbb\xbf", gzip.compress(b"")])
def test_an_empty_file_is_an_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "kosong.json"
    path.write_bytes(data)
    with pytest.raises(ReadError, match=r"kosong\.json: is empty"):
        read(path)


def test_a_missing_path_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such file or directory"):
        open_export(tmp_path / "tiada", report=ReadReport())


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (bytes(range(256)) * 8, "binary data beginning 00 01 02 03"),
        (b"\x89PNG\r\n\x1a\n....", "a PNG image"),
        ("teks,isi\na,b\n".encode("utf-16-le"), "UTF-16 text without its byte order mark"),
        (b"[1, 2, 3]", "a JSON array, but not of objects"),
        (b'{\n "nama": 1,\n "isi": {"a": 2}\n}\n', "a JSON object without messages"),
        (OTHER_PAGE.encode(), "markup that is no page of messages from Telegram Desktop"),
        (b"Ini catatan biasa. Tidak ada tabel.\n", "text without a header row"),
    ],
)
def test_unknown_content_is_an_error_that_says_what_was_seen(
    tmp_path: Path, data: bytes, seen: str
) -> None:
    path = tmp_path / "ekspor.json"
    path.write_bytes(data)
    with pytest.raises(ReadError, match=re.escape(seen) + r".*Read are Telegram Desktop JSON"):
        read(path)


def test_broken_telegram_json_is_still_known_for_what_it_is() -> None:
    broken = rb'{"name": "a\x01b", "type": "public_channel", "messages": [{"id": 1, "text": "x'
    assert detect(broken, is_whole=True).kind == "telegram_json"

    unquoted = b'{"messages": [{"id": 1, "document_id": video_files/a (2).webm, "text": ""}'
    assert detect(unquoted, is_whole=False).kind == "telegram_json"


def test_a_jsonl_row_longer_than_the_look_ahead_is_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "ekspor"
    path.write_bytes(dump({"text": "x" * 200_000}, None) + b'\n{"text":"b"}\n')

    assert [len(text) for text in read(path)[0]] == [200_000, 1]


def test_a_jsonl_file_with_a_bad_first_line_is_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "ekspor"
    path.write_bytes(b'{"text": "terpo\n{"text": "a"}\n{"text": "b"}\n')

    texts, report = read(path)
    assert texts == ["a", "b"]
    assert report.skipped == Counter(malformed=1)


# Directories and archives

EXPORT = {
    "result.json": dump(CHAT),
    "files/lampiran.jsonl": b'{"text": "lampiran, bukan pesan"}\n',
    "photos/photo_1.jpg": b"\xff\xd8\xff\xe0",
    "css/style.css": b"html, body { margin: 0 }\n",
}
MIX = {
    "b.csv": b"text\ndari csv\n",
    "a2.jsonl": b'{"text":"kedua"}\n',
    "a10.jsonl": b'{"text":"kesepuluh"}\n',
    "sub/messages.html": make_page(1, "halaman 1"),
    "sub/messages2.html": make_page(2, "halaman 2", joined=True),
    "sub/messages10.html": make_page(3, "halaman 10", joined=True),
    "sub/js/script.js": b'"use strict";\nfunction a() { return 1; }\n',
    "sub/photos/x.jpg": b"\xff\xd8\xff\xe0",
    "zz/data.parquet": make_parquet("dari parquet"),
    "zz/padat.jsonl.gz": gzip.compress(b'{"text":"dari gzip"}\n'),
    "README.txt": b"Catatan.\n",
    "kosong.txt": b"",
}
MIX_TEXTS = [
    *("kedua", "kesepuluh", "dari csv", "halaman 1", "halaman 2", "halaman 10"),
    *("dari parquet", "dari gzip"),
]
MIX_SKIPPED = Counter(not_text_file=3, empty_file=1)


@pytest.fixture(params=["directory", "zip", "zip on a pipe"])
def pack(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, bytes]], str]:
    def packed(files: dict[str, bytes]) -> str:
        if request.param == "directory":
            return str(write_tree(tmp_path / "ekspor", files))
        path = write_zip(tmp_path / "ekspor.zip", **files)
        if request.param == "zip":
            return str(path)
        pipe = SimpleNamespace(read=io.BytesIO(path.read_bytes()).read, seekable=lambda: False)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
        return "-"

    return packed


def test_every_recognised_file_is_read_in_natural_order(
    pack: Callable[[dict[str, bytes]], str],
) -> None:
    texts, report = read(pack(MIX))

    assert texts == MIX_TEXTS
    assert report == ReadReport(posts=8, skipped=MIX_SKIPPED)


def test_keys_of_rows_tell_the_files_apart(pack: Callable[[dict[str, bytes]], str]) -> None:
    posts = list(open_export(pack(MIX), report=ReadReport()))

    assert [post.message_id for post in posts] == [
        *("a2.jsonl#1", "a10.jsonl#1", "b.csv#1", "1", "2", "3"),
        *("zz/data.parquet#1", "zz/padat.jsonl.gz#1"),
    ]
    assert [post.author_name for post in posts[3:6]] == ["Ani", "Ani", "Ani"]


def test_what_people_attached_to_a_chat_is_not_read(
    pack: Callable[[dict[str, bytes]], str],
) -> None:
    texts, report = read(pack(EXPORT))

    assert texts == ["dari json"]
    assert report == ReadReport(posts=1, skipped=Counter(not_text_file=3))


def test_json_is_read_instead_of_the_pages_beside_it(
    pack: Callable[[dict[str, bytes]], str],
) -> None:
    texts, report = read(pack(EXPORT | {"messages.html": make_page(1, "a")}))

    assert texts == ["dari json"]
    assert report.notes == ["HTML pages beside a JSON of the same chat are not read: messages.html"]


def test_a_whole_account_in_html_is_read_chat_by_chat(
    pack: Callable[[dict[str, bytes]], str],
) -> None:
    files = {
        "export_results.html": OTHER_PAGE.encode(),
        "lists/chats.html": OTHER_PAGE.encode(),
        "chats/chat_002/messages.html": make_page(1, "b"),
        "chats/chat_001/messages.html": make_page(1, "a"),
        "chats/chat_001/files/data.csv": b"text\nlampiran\n",
        "chats/chat_010/messages.html": make_page(1, "c"),
    }
    assert read(pack(files))[0] == ["a", "b", "c"]


def test_archives_inside_are_left_out_and_named(pack: Callable[[dict[str, bytes]], str]) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.jsonl", '{"text":"tersembunyi"}\n')
    texts, report = read(pack({"a.jsonl": b'{"text":"a"}', "dalam.bin": inner.getvalue()}))

    assert texts == ["a"]
    assert report.skipped == Counter(nested_archive=1)
    assert report.notes == ["archives inside are not opened: dalam.bin"]


def test_a_table_without_text_column_is_left_out_beside_others(
    pack: Callable[[dict[str, bytes]], str],
) -> None:
    texts, report = read(pack({"a.csv": b"judul,harga\na,1\n", "b.jsonl": b'{"text":"b"}\n'}))

    assert texts == ["b"]
    assert report.skipped == Counter(no_text_column=1)
    assert "a.csv: no text column; columns found: judul, harga." in report.notes[0]


def test_only_tables_without_text_column_are_an_error(
    pack: Callable[[dict[str, bytes]], str],
) -> None:
    with pytest.raises(ReadError, match=r"a\.csv: no text column; columns found: judul, harga"):
        read(pack({"a.csv": b"judul,harga\na,1\n"}))


def test_nothing_readable_inside_is_an_error(pack: Callable[[dict[str, bytes]], str]) -> None:
    with pytest.raises(ReadError, match=r"holds no file that can be read\. Read are"):
        read(pack({"x.png": b"\x89PNG\r\n"}))


# Hostile containers


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "RATIO_GRACE_BYTES", 2**20)


BOMB = b'{"text":"a"}\n' + b"\n" * (4 * 2**20)  # packs about 1000:1


@pytest.mark.usefixtures("small_limits")
def test_a_zip_bomb_is_refused_while_it_unfolds(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "bom.zip", **{"a.jsonl": BOMB})
    with pytest.raises(LimitError, match=r"bom\.zip/a\.jsonl: unfolds more than 200:1"):
        read(path)


@pytest.mark.usefixtures("small_limits")
def test_a_gzip_bomb_is_refused_while_it_unfolds(tmp_path: Path) -> None:
    path = tmp_path / "bom.gz"
    path.write_bytes(gzip.compress(BOMB))
    with pytest.raises(LimitError, match=r"bom\.gz: unfolds more than 200:1"):
        read(path)


@pytest.mark.usefixtures("small_limits")
def test_a_gzip_bomb_inside_a_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "bom.zip", **{"a.gz": gzip.compress(BOMB)})
    with pytest.raises(LimitError, match=r"bom\.zip/a\.gz: unfolds more than 200:1"):
        read(path)


def test_an_archive_that_unfolds_past_the_limit_in_sum_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screening.readers.exports.MAX_ARCHIVE_BYTES", 2**20)
    rows = b"".join(b'{"text":"%s"}\n' % os.urandom(20).hex().encode() for _ in range(8000))
    path = write_zip(tmp_path / "besar.zip", **{"a.jsonl": rows, "b.jsonl": rows, "c.jsonl": rows})
    with pytest.raises(LimitError, match=r"besar\.zip: unfolds to more than 1 MiB"):
        read(path)


@pytest.mark.parametrize(
    "name", ["../luar.jsonl", "a/../../luar.jsonl", "/etc/x", "C:\\x", "..\\x"]
)
def test_a_member_path_out_of_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    path = write_zip(tmp_path / "jahat.zip", **{"a.jsonl": b'{"text":"a"}', name: b"x"})
    with pytest.raises(LimitError, match=r"jahat\.zip: a member's path leads out of the archive"):
        read(path)


def test_a_symlink_in_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jahat.zip"
    link = zipfile.ZipInfo("tautan.jsonl")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(LimitError, match=r"jahat\.zip/tautan\.jsonl: a symlink out of the archive"):
        read(path)


def test_an_encrypted_member_is_an_error(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "kunci.zip", **{"a.jsonl": b'{"text":"a"}'})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(ReadError, match=r"kunci\.zip/a\.jsonl: encrypted"):
        read(path)


def test_another_compression_than_deflate_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "lzma.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.jsonl", '{"text":"a"}')
    with pytest.raises(ReadError, match=r"lzma\.zip/a\.jsonl: packed with method 14"):
        read(path)


def test_an_outsized_table_of_contents_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "MAX_DIRECTORY_BYTES", 1000)
    members = {f"{i}.jsonl": b'{"text":"a"}' for i in range(100)}
    path = write_zip(tmp_path / "banyak.zip", **members)
    with pytest.raises(LimitError, match=r"banyak\.zip: too many members"):
        read(path)


@pytest.mark.parametrize("pack_with", [gzip.compress, None])
def test_a_cut_archive_is_an_error(
    tmp_path: Path, pack_with: Callable[[bytes], bytes] | None
) -> None:
    rows = b"".join(b'{"text":"%s"}\n' % os.urandom(20).hex().encode() for _ in range(8000))
    path = write_zip(tmp_path / "potong", **{"a.jsonl": rows})
    data = path.read_bytes() if pack_with is None else pack_with(rows)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ReadError, match=r"potong: .*get a whole copy"):
        read(path)


def test_damage_inside_an_archive_is_an_error(tmp_path: Path) -> None:
    rows = b"".join(b'{"text":"%s"}\n' % os.urandom(20).hex().encode() for _ in range(8000))
    path = write_zip(tmp_path / "rusak.zip", **{"a.jsonl": rows})
    data = bytearray(path.read_bytes())
    data[100_000:100_100] = bytes(100)
    path.write_bytes(data)
    with pytest.raises(ReadError, match=r"rusak\.zip/a\.jsonl: the compressed data breaks off"):
        read(path)


def test_a_zip_inside_a_gzip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", **{"a.jsonl": b'{"text":"a"}'})
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ReadError, match="an archive inside a gzip"):
        read(path)


def test_a_symlink_out_of_a_directory_is_refused(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "ekspor", {"a.jsonl": b'{"text":"a"}'})
    (tmp_path / "luar.jsonl").write_bytes(b'{"text":"luar"}')
    (root / "tautan.jsonl").symlink_to(tmp_path / "luar.jsonl")
    with pytest.raises(LimitError, match=r"tautan\.jsonl: a symlink out of the directory"):
        read(root)


def test_a_symlink_within_a_directory_is_not_read_twice_nor_followed_round(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "ekspor", {"a.jsonl": b'{"text":"a"}', "sub/b.jsonl": b""})
    (root / "tautan.jsonl").symlink_to(root / "a.jsonl")
    (root / "sub" / "putar").symlink_to(root)
    texts, report = read(root)

    assert texts == ["a"]
    assert report.skipped == Counter(link=2, empty_file=1)


def test_a_named_pipe_in_a_directory_is_not_opened(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "ekspor", {"a.jsonl": b'{"text":"a"}'})
    os.mkfifo(root / "pipa")

    assert read(root)[1].skipped == Counter(not_text_file=1)


def test_names_that_steer_a_terminal_or_are_no_unicode_are_shown_harmless(tmp_path: Path) -> None:
    root = tmp_path / "ekspor"
    root.mkdir()
    (root / "a\x1b[2J.jsonl").write_bytes(b'{"text":"a"}')
    Path(os.fsdecode(os.fsencode(root) + b"/b\xff.jsonl")).write_bytes(b'{"text":"b"}')

    posts = list(open_export(root, report=ReadReport()))
    assert [p.message_id for p in posts] == ["a\ufffd[2J.jsonl#1", "b\ufffd.jsonl#1"]


def test_numbers_of_any_length_in_names_sort(tmp_path: Path) -> None:
    names = [f"{'9' * 10_000}.jsonl", "2.jsonl", "10.jsonl"]
    path = write_zip(
        tmp_path / "a.zip", **{name: b'{"text":"%d"}' % i for i, name in enumerate(names)}
    )

    assert read(path)[0] == ["1", "2", "0"]


# Progress and memory


def test_progress_ends_at_the_input_size_for_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text":"a"}\n' * 100_000)
    seen: list[int] = []
    for _ in open_export(path, report=ReadReport(), progress=seen.append):
        pass

    assert seen == sorted(seen)
    assert seen[-1] == input_size(path) == 1_300_000


def test_input_size_counts_what_will_be_read(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "ekspor", EXPORT)
    seen: list[int] = []
    for _ in open_export(root, report=ReadReport(), progress=seen.append):
        pass

    assert seen[-1] == input_size(root) == len(EXPORT["result.json"])
    assert input_size("-") is None
    assert input_size(tmp_path / "tiada") is None


def test_input_size_of_an_archive_is_in_packed_bytes(tmp_path: Path) -> None:
    path = write_zip(
        tmp_path / "a.zip", **{"a.jsonl": b'{"text":"a"}\n' * 1000, "b.png": b"\x89PNG"}
    )
    with zipfile.ZipFile(path) as archive:
        assert input_size(path) == archive.getinfo("a.jsonl").compress_size


@pytest.mark.parametrize("packing", ["zip", "gzip"])
def test_memory_stays_flat_over_a_hundred_thousand_rows(tmp_path: Path, packing: str) -> None:
    rows = b"".join(b'{"id":%d,"text":"pesan nomor %d"}\n' % (i, i) for i in range(100_000))
    path = tmp_path / "ekspor"
    if packing == "zip":
        write_zip(path, **{"a.jsonl": rows})
    else:
        path.write_bytes(gzip.compress(rows, 1))
    del rows
    report = ReadReport()
    tracemalloc.start()
    for _ in open_export(path, report=report):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert report.posts == 100_000
    assert peak < 3 * 2**20

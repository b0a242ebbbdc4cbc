"""CSV, JSONL, JSON arrays and Parquet into posts."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from screening.errors import LimitError, ReadError
from screening.readers import tabular
from screening.readers.table import Columns, MissingTextError, parse_time, split_key
from screening.readers.tabular import read_csv, read_json_array, read_jsonl, read_parquet
from screening.types import Post, ReadReport

Reader = Callable[..., Iterator[Post]]
MOMENT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)  # 1,700,000,000 seconds


def read(
    reader: Reader, data: bytes, columns: Columns | None = None
) -> tuple[list[Post], ReadReport]:
    report = ReadReport()
    posts = list(reader(io.BytesIO(data), name="masukan", columns=columns, report=report))
    return posts, report


def make_post(message_id: str, text: str, **fields: Any) -> Post:
    return Post("file", None, message_id, text, **({"source": {}} | fields))


def make_parquet(**columns: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


# Columns


def test_columns_are_parsed_from_the_option() -> None:
    assert Columns.parse("text=isi berita, posted_at=tgl") == Columns(
        text="isi berita", posted_at="tgl"
    )
    assert Columns.parse("") == Columns()


@pytest.mark.parametrize("spec", ["text", "text=", "=isi", "teks=isi", "text=a,text=b"])
def test_a_wrong_columns_option_is_refused_with_the_fields_there_are(spec: str) -> None:
    with pytest.raises(ReadError, match=r"columns: .* expected for example text=isi.* permalink"):
        Columns.parse(spec)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["id", "text"], {"text": "text", "message_id": "id"}),
        (["ID", "Isi", "Tanggal"], {"text": "Isi", "message_id": "ID", "posted_at": "Tanggal"}),
        (["content", "username"], {"text": "content", "author_name": "username"}),
        (["message", "text"], {"text": "text"}),
        (["Created At", "Full-Text"], {"text": "Full-Text", "posted_at": "Created At"}),
        (
            ["teks", "chat_id", "channel", "user_id", "user"],
            {
                "text": "teks",
                "channel_id": "chat_id",
                "author_id": "user_id",
                "author_name": "user",
            },
        ),
        (["judul", "harga"], {}),
    ],
)
def test_usual_names_find_their_columns(names: list[str], found: dict[str, str]) -> None:
    assert Columns().found_in(names) == found


def test_a_given_column_wins_and_serves_once() -> None:
    found = Columns(text="judul", message_id="text").found_in(["id", "text", "judul"])

    assert found == {"text": "judul", "message_id": "text"}


def test_a_key_of_three_parts_is_split() -> None:
    assert split_key("telegram:123:4") == ("telegram", "123", "4")
    assert split_key("file:-:a:b") == ("file", None, "a:b")
    assert split_key("abc") == (None, None, "abc")
    assert split_key(None) == (None, None, None)


@pytest.mark.parametrize(
    ("value", "moment", "is_zoned"),
    [
        ("2023-11-15T05:13:20+07:00", MOMENT, True),
        ("2023-11-14T22:13:20Z", MOMENT, True),
        ("2023-11-14 22:13:20", MOMENT, False),
        ("2023-11-14", datetime(2023, 11, 14, tzinfo=UTC), False),
        (1_700_000_000, MOMENT, True),
        (1_700_000_000.0, MOMENT, True),
        ("1700000000", MOMENT, True),
        ("1700000000000", MOMENT, True),
        (1_700_000_000_000, MOMENT, True),
    ],
)
def test_times_are_read_from_iso_and_unix(value: object, moment: datetime, is_zoned: bool) -> None:
    assert parse_time(value) == (moment, is_zoned)


@pytest.mark.parametrize("value", ["kemarin", "31/12/2023", True, [1], "9" * 40, 1e300])
def test_what_is_no_time_raises(value: object) -> None:
    with pytest.raises((ValueError, OverflowError)):
        parse_time(value)


# JSONL


def test_a_jsonl_row_needs_only_text_and_hands_its_other_fields_back() -> None:
    posts, report = read(read_jsonl, b'{"text": "satu"}\n{"text": "dua", "n": 1.5, "d": {"a": []}}')

    assert posts == [
        make_post("1", "satu"),
        make_post("2", "dua", source={"n": 1.5, "d": {"a": []}}),
    ]
    assert report == ReadReport(posts=2)


def test_known_fields_are_mapped_and_stay_in_source() -> None:
    row = {
        "id": 17,
        "chat_id": -5,
        "channel_name": "Kanal",
        "user_id": 9,
        "user": "ani",
        "created_at": 1_700_000_000,
        "url": "https://contoh.id/17",
        "platform": "forum",
        "fwd_from": "Asal",
    }
    posts, _ = read(read_jsonl, orjson.dumps({"isi": "halo"} | row))

    assert posts == [
        Post(
            platform="forum",
            channel_id="-5",
            message_id="17",
            text="halo",
            posted_at=MOMENT,
            channel_name="Kanal",
            author_id="9",
            author_name="ani",
            forwarded_from="Asal",
            permalink="https://contoh.id/17",
            source=row,
        )
    ]


def test_a_key_field_gives_platform_channel_and_message() -> None:
    data = b'{"text":"a","key":"telegram:77:5","id":1}\n{"text":"b","key":"x9"}\n'
    posts, _ = read(read_jsonl, data)

    assert [p.key for p in posts] == ["telegram:77:5", "file:-:x9"]


def test_the_physical_line_stands_in_for_an_id_blank_lines_counted() -> None:
    posts, report = read(read_jsonl, b'\n{"text":"a"}\n   \r\n{"text":"b","id":null}\n')

    assert [p.message_id for p in posts] == ["2", "4"]
    assert report == ReadReport(posts=2)


def test_bad_lines_are_counted_and_the_first_five_named() -> None:
    bad = [b"bukan json", b'{"text":', b"[1]", b'{"text":5}', b'{"text":["a"]}', b'{"lain":"b"}']
    deep = b'{"text":"a","x":' + b"[" * 200 + b"]" * 200 + b"}"
    posts, report = read(read_jsonl, b"\n".join([b'{"text":"a"}', *bad, deep, b'{"text":"z"}']))

    assert [p.message_id for p in posts] == ["1", "9"]
    assert report == ReadReport(
        posts=2,
        skipped=Counter(malformed=7),
        notes=["masukan: malformed rows left out, the first at line 2, 3, 4, 5, 6"],
    )


def test_a_line_nested_a_million_deep_is_malformed() -> None:
    line = b'{"text":"a","x":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"
    posts, report = read(read_jsonl, b'{"text":"a"}\n' + line)

    assert len(posts) == 1
    assert report.skipped == Counter(malformed=1)


def test_empty_texts_are_skipped_as_such() -> None:
    data = b'{"text":"a"}\n{"text":""}\n{"text":" \\n"}\n{"text":null}\n'
    _, report = read(read_jsonl, data)

    assert report == ReadReport(posts=1, skipped=Counter(no_text=3))


def test_lone_surrogates_nan_and_long_numbers_are_read_and_come_out_as_json() -> None:
    data = b'{"text":"a\\ud83d b \\ud83d\\ude00","x":"\\udc00","n":NaN,"big":1' + b"0" * 30 + b"}"
    posts, report = read(read_jsonl, data)

    source = {"x": "\ufffd", "n": None, "big": "1" + "0" * 30}
    assert posts == [make_post("1", "a\ufffd b \U0001f600", source=source)]
    assert orjson.loads(orjson.dumps(posts[0].source)) == source
    assert report == ReadReport(posts=1, repaired=Counter(lone_surrogate=2))


def test_invalid_utf8_in_a_line_is_malformed() -> None:
    _, report = read(read_jsonl, b'{"text":"a"}\n{"text":"\xff"}\n')

    assert report.skipped == Counter(malformed=1)


def test_jsonl_reads_with_byte_order_mark_and_as_utf16() -> None:
    expected = [make_post("1", "é"), make_post("2", "b")]
    text = '{"text":"é"}\r\n{"text":"b"}\r\n'

    assert read(read_jsonl, text.encode("utf-8-sig"))[0] == expected
    assert read(read_jsonl, text.encode("utf-16"))[0] == expected


def test_a_line_over_the_limit_is_refused_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "MAX_ROW_BYTES", 2**20)
    data = b'{"text":"a"}\n{"text":"' + b"x" * 2**20 + b'"}'
    with pytest.raises(LimitError, match=r"masukan: line 2 is longer than 1 MiB"):
        read(read_jsonl, data)


@pytest.mark.parametrize(
    ("reader", "data"),
    [
        (read_jsonl, b'{"judul":"a","harga":1}\n'),
        (read_json_array, b'[{"judul":"a","harga":1}]'),
        (read_csv, b"judul,harga\na,1\n"),
        (read_csv, b"judul,harga\n"),
        (read_parquet, make_parquet(judul=["a"], harga=[1])),
    ],
)
def test_a_missing_text_column_is_an_error_that_names_what_was_found(
    reader: Reader, data: bytes
) -> None:
    with pytest.raises(
        MissingTextError,
        match=r"masukan: no text column; columns found: judul, harga\. .*--columns text=NAME",
    ):
        read(reader, data)


def test_posts_of_a_headerless_table_are_not_shown_in_the_error() -> None:
    data = b"1,isi rahasia yang panjang sekali di sini\n"
    with pytest.raises(MissingTextError, match="is the header row missing") as caught:
        read(read_csv, data)
    assert "rahasia" not in str(caught.value)


def test_a_given_text_column_that_is_missing_is_named() -> None:
    with pytest.raises(MissingTextError, match="no column 'isi'; columns found: text"):
        read(read_jsonl, b'{"text":"a"}', Columns(text="isi"))


def test_another_given_column_that_is_missing_is_noted() -> None:
    posts, report = read(read_csv, b"text\na\n", Columns(posted_at="tgl"))

    assert len(posts) == 1
    assert report.notes == ["masukan: the first row has no column 'tgl' for posted_at"]


def test_a_bad_date_never_blocks() -> None:
    data = b'{"text":"a","date":"kemarin"}\n{"text":"b","date":""}\n{"text":"c","date":{}}\n'
    posts, report = read(read_jsonl, data)

    assert [p.posted_at for p in posts] == [None, None, None]
    assert report.repaired == Counter(bad_date=2)


def test_times_without_zone_are_utc_with_one_note() -> None:
    posts, report = read(read_csv, b"text,waktu\na,2023-11-14 22:13:20\nb,2023-11-14 22:13:20\n")

    assert [p.posted_at for p in posts] == [MOMENT, MOMENT]
    assert report.notes == ["masukan: times without a zone are taken as UTC"]


# JSON arrays


def test_objects_of_an_array_become_posts_numbered_by_place() -> None:
    data = b'[{"text":"a","n":1.5},\n 7, {"text":"b","d":{"x":[null,{"y":true}]}}]'
    posts, report = read(read_json_array, data)

    assert posts == [
        make_post("1", "a", source={"n": 1.5}),
        make_post("3", "b", source={"d": {"x": [None, {"y": True}]}}),
    ]
    assert report.skipped == Counter(malformed=1)


def test_a_cut_array_gives_its_whole_objects() -> None:
    posts, report = read(read_json_array, b'[{"text":"a"},{"text":"b"},{"text":"ter')

    assert [p.text for p in posts] == ["a", "b"]
    assert report == ReadReport(posts=2, repaired=Counter(truncated_tail=1))


def test_broken_json_is_an_error_with_the_place_and_without_the_text() -> None:
    with pytest.raises(ReadError, match="masukan: not valid JSON in or after item") as caught:
        read(read_json_array, b'[{"text":"rahasia"},{"text" "rahasia"}]')
    assert "rahasia" not in str(caught.value)


def test_an_array_nested_a_million_deep_is_refused() -> None:
    with pytest.raises(LimitError, match="item 2 nests deeper than 128"):
        read(read_json_array, b'[{"text":"a"},' + b"[" * 1_000_000)


def test_one_item_over_the_limit_is_refused_before_it_is_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tabular, "MAX_ROW_BYTES", 2**20)
    data = b'[{"text":"a"},{"text":"' + b"x" * 20 * 2**20 + b'"}]'
    tracemalloc.start()
    with pytest.raises(LimitError, match="item 2 is longer than 1 MiB"):
        read(read_json_array, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


# CSV


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_reads_with_each_delimiter_and_encoding(delimiter: str, encoding: str) -> None:
    rows = [["id", "isi", "catatan"], ["7", '"satu\ndua, ""é"""', ""], ["8", "tiga", "x"]]
    data = "\r\n".join(delimiter.join(row) for row in rows).encode(encoding)
    posts, report = read(read_csv, data)

    assert posts == [
        make_post("7", 'satu\ndua, "é"', source={"id": "7", "catatan": ""}),
        make_post("8", "tiga", source={"id": "8", "catatan": "x"}),
    ]
    assert report == ReadReport(posts=2)


def test_the_row_number_stands_in_for_an_id_in_csv() -> None:
    posts, _ = read(read_csv, b'text\n"a\nb"\n\nc\n')

    assert posts == [make_post("1", "a\nb"), make_post("2", "c")]


def test_rows_with_too_many_cells_are_malformed_and_with_too_few_are_filled() -> None:
    data = b"id,text,x\n1,a\n2,b,c,d\n3,e,f,,\n4\n"
    posts, report = read(read_csv, data)

    assert posts == [
        make_post("1", "a", source={"id": "1", "x": None}),
        make_post("3", "e", source={"id": "3", "x": "f"}),
    ]
    assert report == ReadReport(
        posts=2,
        skipped=Counter(malformed=1, no_text=1),
        notes=["masukan: malformed rows left out, the first at line 3"],
    )


def test_doubled_and_blank_header_cells_keep_their_values_apart() -> None:
    posts, _ = read(read_csv, b"text,x,x,\na,1,2,3\n")

    assert posts[0].source == {"x": "1", "x 3": "2", "column 4": "3"}


def test_bytes_that_are_not_utf8_are_an_error_with_line_and_byte() -> None:
    data = "text,n\nsatu,1\ncafé,2\n".encode("latin-1")  # é is byte 7 + 7 + 3 = 17
    with pytest.raises(ReadError, match=r"masukan: line 3, byte 17: not UTF-8"):
        read(read_csv, data)


def test_nul_bytes_are_taken_out_and_counted() -> None:
    posts, report = read(read_csv, b"text\na\0b\0\n")

    assert posts == [make_post("1", "ab")]
    assert report.repaired == Counter(nul_byte=2)


def test_half_a_character_cut_by_utf16_is_replaced() -> None:
    data = "\ufefftext\na\ud83d\n".encode("utf-16-le", "surrogatepass")
    posts, report = read(read_csv, data)

    assert posts == [make_post("1", "a\ufffd")]
    assert report.repaired == Counter(lone_surrogate=1)


def test_a_field_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "MAX_ROW_BYTES", 2**20)
    data = b'text\n"' + b"x\n" * 2**20 + b'"\n'
    with pytest.raises(LimitError, match="longer than 1 MiB; a quote may be open"):
        read(read_csv, data)


def test_a_long_field_under_the_limit_is_read() -> None:
    posts, _ = read(read_csv, b"text\n" + b"x" * 2**20 + b"\n")

    assert len(posts[0].text) == 2**20


def test_a_file_cut_inside_a_quoted_text_leaves_that_row_out() -> None:
    posts, report = read(read_csv, b'id,text\n1,a\n2,"terpo')

    assert [p.text for p in posts] == ["a"]
    assert report == ReadReport(
        posts=1,
        repaired=Counter(truncated_tail=1),
        notes=["masukan: line 3: the file ends inside a quoted text; left out"],
    )


def test_a_quote_that_swallows_many_rows_is_an_error() -> None:
    data = b'text\na\n"b\n' + b"baris berikut\n" * 10_000
    with pytest.raises(ReadError, match="masukan: line 3: a quote opens in this record"):
        read(read_csv, data)


# Parquet


def test_parquet_rows_become_posts_with_json_sources() -> None:
    data = make_parquet(
        teks=["a", None, "c"],
        id=[1, 2, 3],
        waktu=pa.array([1_700_000_000_000_000_001] * 3, pa.timestamp("ns", tz="UTC")),
        lain=[{"b": b"\x00\x01", "d": [Decimal("1.50")], "t": date(2023, 1, 2)}] * 3,
    )
    posts, report = read(read_parquet, data)

    def source(number: int) -> dict[str, object]:
        return {
            "id": number,
            "waktu": "2023-11-14T22:13:20+00:00",
            "lain": {"b": "AAE=", "d": ["1.50"], "t": "2023-01-02"},
        }

    assert posts == [
        make_post("1", "a", posted_at=MOMENT, source=source(1)),
        make_post("3", "c", posted_at=MOMENT, source=source(3)),
    ]
    assert report == ReadReport(posts=2, skipped=Counter(no_text=1))


def test_a_text_column_of_numbers_is_malformed_row_by_row() -> None:
    _, report = read(read_parquet, make_parquet(text=[1, 2]))

    assert report.skipped == Counter(malformed=2)


def test_a_parquet_time_beyond_the_calendar_blocks_no_row() -> None:
    times = pa.array([10**14, 1_700_000_000], pa.timestamp("s", tz="UTC"))
    posts, report = read(read_parquet, make_parquet(text=["a", "b"], date=times))

    assert [p.posted_at for p in posts] == [None, MOMENT]
    assert report == ReadReport(posts=2, repaired=Counter(bad_date=1))


def test_damaged_parquet_is_an_error() -> None:
    with pytest.raises(ReadError, match="masukan: damaged, or not Parquet"):
        read(read_parquet, make_parquet(text=["a"])[:-30])


# Memory


def jsonl_rows(n_rows: int) -> bytes:
    return b"".join(b'{"id":%d,"text":"pesan nomor %d"}\n' % (i, i) for i in range(n_rows))


def array_rows(n_rows: int) -> bytes:
    return json.dumps([{"id": i, "text": f"pesan nomor {i}"} for i in range(n_rows)]).encode()


def csv_rows(n_rows: int) -> bytes:
    return b"id,text\n" + b"".join(b"%d,pesan nomor %d\n" % (i, i) for i in range(n_rows))


@pytest.mark.parametrize(
    ("reader", "make"),
    [(read_jsonl, jsonl_rows), (read_json_array, array_rows), (read_csv, csv_rows)],
)
def test_memory_stays_flat_over_a_hundred_thousand_rows(
    reader: Reader, make: Callable[[int], bytes]
) -> None:
    stream = io.BytesIO(make(100_000))
    report = ReadReport()
    tracemalloc.start()
    for _ in reader(stream, name="masukan", columns=None, report=report):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert report.posts == 100_000
    assert peak < 3 * 2**20

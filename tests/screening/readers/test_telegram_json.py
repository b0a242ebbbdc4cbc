from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from screening.errors import LimitError, ReadError
from screening.readers.tdl import read_tdl
from screening.readers.telegram_json import read_telegram_json
from screening.readers.telethon import read_telethon
from screening.types import Post, ReadReport

JANUARY = {"date": "2026-01-01T14:00:00", "date_unixtime": "1767250800"}
MOMENT = datetime(2026, 1, 1, 7, 0, tzinfo=UTC)


def message(number: int = 1, text: Any = "halo", **fields: Any) -> dict[str, Any]:
    sender = {"from": "Sari", "from_id": "user7"}
    return {"id": number, "type": "message", **JANUARY, **sender, "text": text, **fields}


def chat(*messages: object, **header: Any) -> bytes:
    head = {"name": "Kanal", "type": "public_channel", "id": 1234567890, **header}
    return json.dumps({**head, "messages": list(messages)}, ensure_ascii=False, indent=1).encode()


def read(data: bytes, username: str | None = None) -> tuple[list[Post], ReadReport]:
    report = ReadReport()
    stream = io.BytesIO(data)
    posts = list(read_telegram_json(stream, name="result.json", username=username, report=report))
    assert report.posts == len(posts)
    return posts, report


def only(data: bytes, username: str | None = None) -> Post:
    (post,) = read(data, username)[0]
    return post


def test_a_message_is_read_field_by_field() -> None:
    fields = {"edited_unixtime": "1767254400", "edited": "x", "reply_to_message_id": 3}
    post = only(chat(message(5, forwarded_from="Asal", **fields)))
    assert post == Post(
        platform="telegram",
        channel_id="1234567890",
        message_id="5",
        text="halo",
        posted_at=MOMENT,
        edited_at=datetime(2026, 1, 1, 8, 0, tzinfo=UTC),
        channel_name="Kanal",
        channel_type="public_channel",
        author_id="user7",
        author_name="Sari",
        forwarded_from="Asal",
        reply_to="3",
        permalink="https://t.me/c/1234567890/5",
    )
    assert post.key == "telegram:1234567890:5"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"text": ["a ", {"type": "bold", "text": "b"}, " c"]}, "a b c"),
        (
            {"text": [{"type": "text_link", "text": "x", "href": "https://e.org"}]},
            "x\nhttps://e.org",
        ),
        ({"text": [{"type": "link", "text": "https://e.org"}]}, "https://e.org"),
        (
            {"text": "", "text_entities": [{"type": "plain", "text": "dari entitas"}]},
            "dari entitas",
        ),
        ({"text": "takarir", "photo": "(File not included.)", "width": 1}, "takarir"),
        (
            {
                "text": "",
                "poll": {"question": "Ikut?", "answers": [{"text": "Ya"}, {"text": ["Ti", "dak"]}]},
            },
            "Ikut?\nYa\nTidak",
        ),
        ({"text": "", "poll": {"question": ["A", {"type": "bold", "text": "B"}]}}, "AB"),
        (
            {"text": "", "todo_list": {"title": "Tugas", "answers": [{"text": "sapu"}]}},
            "Tugas\nsapu",
        ),
        ({"text": "", "game_title": "Kuis", "game_description": "Tebak"}, "Kuis\nTebak"),
        ({"text": "", "invoice_information": '{"title": "Kaos", "description": "L"}'}, "Kaos\nL"),
    ],
)
def test_every_kind_of_text_is_read(fields: dict[str, Any], text: str) -> None:
    assert only(chat(message(**fields))).text == text


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"id": 2, "type": "unsupported"}, "unsupported"),
        ({"id": 2, "type": "service", **JANUARY, "action": "pin_message", "text": ""}, "service"),
        ({"id": 2, "type": "service", **JANUARY, "information_text": "x", "text": ""}, "service"),
        (message(2, ""), "no_text"),
        (message(2, "", media_type="sticker"), "no_text"),
        (message(2, "", contact_information={"phone_number": "1"}), "no_text"),
        (message(2, "", location_information=None), "no_text"),
        (message(2, 7), "malformed"),
        (message(2, [{"type": "bold"}]), "malformed"),
        (message(2, "x", poll="bukan objek"), "malformed"),
        ({"type": "message", "text": "tanpa id"}, "malformed"),
        ("bukan objek", "malformed"),
    ],
)
def test_a_row_without_a_post_is_skipped_with_its_reason(row: object, reason: str) -> None:
    posts, report = read(chat(message(1), row, message(3)))
    assert [post.message_id for post in posts] == ["1", "3"]
    assert report.skipped == {reason: 1}


@pytest.mark.parametrize(
    ("value", "expected"),
    [("user9", "user9"), ("channel5", "channel5"), (9, "user9"), ("9", "user9"), (None, None)],
)
def test_sender_ids_of_all_versions_are_read(value: object, expected: str | None) -> None:
    assert only(chat(message(from_id=value))).author_id == expected


def test_a_deleted_account_has_no_name_and_a_hidden_origin_is_said() -> None:
    post = only(chat(message(**{"from": None}, forwarded_from=None)))
    assert (post.author_name, post.forwarded_from) == (None, "(hidden)")


def test_a_signature_stands_in_for_a_missing_name() -> None:
    assert only(chat(message(**{"from": None}, author="Admin"))).author_name == "Admin"


def test_an_old_export_s_local_time_is_taken_as_utc_and_noted_once() -> None:
    old = {"id": 1, "type": "message", "date": "2020-05-01T10:00:00", "text": "a"}
    posts, report = read(chat(old, {**old, "id": 2}))
    assert posts[0].posted_at == datetime(2020, 5, 1, 10, tzinfo=UTC)
    assert len([note for note in report.notes if "local times" in note]) == 1


@pytest.mark.parametrize("stamp", ["", "kemarin", "99999999999999999", [], "nan"])
def test_a_bad_date_never_blocks(stamp: object) -> None:
    posts, report = read(chat(message(date_unixtime=stamp)))
    assert posts[0].posted_at is None
    assert report.repaired == {"bad_date": 1}


@pytest.mark.parametrize(
    ("header", "number", "username", "link"),
    [
        ({}, 5, "@Kanal_X", "https://t.me/Kanal_X/5"),
        ({}, 5, "https://t.me/kanal_x", "https://t.me/kanal_x/5"),
        ({"id": -1001234567890}, 5, None, "https://t.me/c/1234567890/5"),
        ({"type": "private_supergroup"}, 5, None, "https://t.me/c/1234567890/5"),
        ({"type": "private_group"}, 5, None, None),
        ({"type": "personal_chat"}, 5, "kanal_x", None),
        ({}, -999999995, None, None),
    ],
)
def test_only_channels_and_supergroups_have_links(
    header: dict[str, Any], number: int, username: str | None, link: str | None
) -> None:
    post = only(chat(message(number), **header), username)
    assert post.permalink == link
    assert post.channel_id == "1234567890"
    assert post.message_id == str(number)


def test_a_bad_username_is_refused_naming_the_option() -> None:
    with pytest.raises(ReadError, match="--username: not a Telegram username"):
        read(chat(message()), "ada spasi")


def test_a_topic_is_inferred_and_said_so() -> None:
    topic = {"id": 2, "type": "service", **JANUARY, "action": "topic_created", "title": "Ronda"}
    posts, report = read(chat(topic, message(3, reply_to_message_id=2), message(4)))
    assert [post.topic for post in posts] == ["Ronda", None]
    assert any("topics are inferred" in note for note in report.notes)


def account(**parts: Any) -> bytes:
    return json.dumps({"about": "x", "personal_information": {"user_id": 1}, **parts}).encode()


def test_a_whole_account_gives_all_chats_each_with_its_header() -> None:
    first = {"name": "A", "type": "private_group", "id": 1, "messages": [message(1), message(2)]}
    second = {"type": "saved_messages", "id": 2, "messages": [message(1)]}
    left = {"name": "C", "type": "public_channel", "id": 3, "messages": [message(9)]}
    data = account(
        contacts={"list": [{"first_name": "x"}]},
        chats={"about": "y", "list": [first, second]},
        left_chats={"list": [left]},
    )
    posts, report = read(data, "kanal_x")
    assert [post.key for post in posts] == [
        "telegram:1:1", "telegram:1:2", "telegram:2:1", "telegram:3:9",
    ]  # fmt: skip
    assert [post.channel_name for post in posts] == ["A", "A", None, "C"]
    assert posts[3].permalink == "https://t.me/c/3/9"
    assert any("--username is used for none" in note for note in report.notes)


def test_an_account_without_chats_is_empty() -> None:
    assert read(account()) == ([], ReadReport())


def test_a_header_after_the_messages_is_noted() -> None:
    data = json.dumps({"messages": [message(1)], "name": "Kanal", "id": 5}).encode()
    posts, report = read(data)
    assert posts[0].channel_id is None
    assert any("stands after its messages" in note for note in report.notes)


def test_control_bytes_and_unquoted_values_are_mended_and_counted() -> None:
    data = chat(message(1, "satu"), message(2, "dua")).replace(b'"satu"', rb'"sa\x01tu"')
    data = data.replace(
        b'"text": "dua"', b'"document_id": video_files/sticker (2).webm,\n"text": "dua"'
    )
    posts, report = read(data)
    assert [post.text for post in posts] == ["sa\x01tu", "dua"]
    assert report.repaired == {"control_byte": 1, "unquoted_value": 1}


def test_a_truncated_tail_loses_no_complete_message_wherever_it_is_cut() -> None:
    data = chat(message(1, "satu"), message(2, ["dua", {"type": "bold", "text": "é"}]), message(3))
    ends = [data.index(end) + len(end) for end in (b"satu", "é".encode(), b"halo")]
    closed = [
        data.index(b"}", data.index(b"]", end) if n == 1 else end) + 1 for n, end in enumerate(ends)
    ]
    for cut in range(data.index(b"[") + 1, len(data) - 1):
        posts, report = read(data[:cut])
        assert len(posts) == sum(cut >= end for end in closed), cut
        assert report.repaired["truncated_tail"] == 1


def test_a_cut_message_is_counted() -> None:
    data = chat(message(1, "satu"), message(2, "dua"))
    _, report = read(data[: data.index(b"dua")])
    assert report.skipped == {"truncated_message": 1}


def test_damage_that_cannot_be_mended_is_named_by_place() -> None:
    data = chat(message(1), message(2)).replace(b'"type": "message"', b'"type" "message"', 1)
    with pytest.raises(ReadError, match=r"result.json: not valid JSON before byte [\d,]+"):
        read(data)


def test_a_message_of_too_many_parts_is_refused() -> None:
    with pytest.raises(LimitError, match="more than 200,000 parts"):
        read(chat(message(1, ["a"] * 250_000)))


def telethon(**fields: Any) -> dict[str, Any]:
    channel = {"_": "PeerChannel", "channel_id": 77}
    date = "2026-01-01T07:00:00+00:00"
    return {"_": "Message", "id": 5, "peer_id": channel, "date": date, "message": "halo", **fields}


def read_as(reader: Any, data: bytes) -> tuple[list[Post], ReadReport]:
    report = ReadReport()
    return list(reader(io.BytesIO(data), name="f", username=None, report=report)), report


@pytest.mark.parametrize("lines", [False, True])
def test_telethon_dumps_are_read_as_array_and_as_lines(lines: bool) -> None:
    link = {"_": "MessageEntityTextUrl", "offset": 0, "length": 4, "url": "https://e.org"}
    rows = [
        telethon(entities=[link], fwd_from={"from_name": "Asal"}, reply_to={"reply_to_msg_id": 2}),
        telethon(id=6, message=""),
        {"_": "MessageService", "id": 7},
        telethon(id=8, from_id={"_": "PeerUser", "user_id": 9}, post_author="Admin"),
        telethon(id="x"),
    ]
    data = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows)
    posts, report = read_as(read_telethon, data.encode())
    assert posts[0] == Post(
        platform="telegram", channel_id="77", message_id="5", text="halo\nhttps://e.org",
        posted_at=MOMENT, channel_type="channel", forwarded_from="Asal", reply_to="2",
        permalink="https://t.me/c/77/5",
    )  # fmt: skip
    assert (posts[1].author_id, posts[1].author_name) == ("user9", "Admin")
    assert report.skipped == {"no_text": 1, "service": 1, "malformed": 1}


def test_tdl_exports_are_read() -> None:
    rows = [
        {"id": 5, "type": "message", "file": "a.jpg", "date": 1767250800, "text": "halo"},
        {"id": 6, "type": "message", "file": "b.jpg", "date": 1767250800, "text": ""},
        {"id": 7, "type": "service", "date": 1767250800},
    ]
    posts, report = read_as(read_tdl, json.dumps({"id": 88, "messages": rows}).encode())
    assert posts == [
        Post(
            platform="telegram", channel_id="88", message_id="5", text="halo", posted_at=MOMENT,
            permalink="https://t.me/c/88/5",
        )
    ]  # fmt: skip
    assert report.skipped == {"no_text": 1, "service": 1}

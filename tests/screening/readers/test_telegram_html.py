"""Telegram Desktop HTML pages, made by hand after what the program writes."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from screening.errors import LimitError
from screening.readers import telegram_html, telegram_markup
from screening.readers.telegram_html import is_hidden, read_telegram_html
from screening.types import Post, ReadReport

NOON = datetime(2023, 11, 15, 5, 0, tzinfo=UTC)  # 12:00 at UTC+07:00


def make_page(*rows: str, chat: str = "Kanal Contoh") -> bytes:
    return f"""<!DOCTYPE html>
<html>
 <head>
  <meta charset="utf-8"/>
<title>Exported Data</title>
  <link href="css/style.css" rel="stylesheet"/>
  <script src="js/script.js" type="text/javascript">

  </script>
 </head>
 <body onload="CheckLocation();">
  <div class="page_wrap">
   <div class="page_header">
    <div class="content">
     <div class="text bold">
{chat}{" "}
     </div>
    </div>
   </div>
   <div class="page_body chat_page">
    <div class="history">
     <a class="pagination block_link" href="messages.html">
Previous messages
     </a>
{"".join(rows)}
    </div>
   </div>
  </div>
 </body>
</html>
""".encode()


def make_row(
    number: int,
    *content: str,
    sender: str | None = "Ani",
    date: str = "15.11.2023 12:00:00 UTC+07:00",
) -> str:
    """A message row; ``sender`` is ``None`` in a joined one."""
    classes = "message default clearfix" + (" joined" if sender is None else "")
    name = "" if sender is None else f'<div class="from_name">\n{sender} \n       </div>\n'
    return f"""
     <div class="{classes}" id="message{number}">
      <div class="pull_left userpic_wrap">
       <div class="userpic userpic1" style="width: 42px; height: 42px">
        <div class="initials" style="line-height: 42px">
A
        </div>
       </div>
      </div>
      <div class="body">
       <div class="pull_right date details" title="{date}">
12:00
       </div>
       {name}{"".join(content)}
      </div>
     </div>
"""


def make_text(markup: str) -> str:
    return f'\n       <div class="text">\n{markup}\n       </div>\n'


def make_service(number: int, text: str) -> str:
    return f"""
     <div class="message service" id="message{number}">
      <div class="body details">
{text}
      </div>
     </div>
"""


def make_forward(*content: str, name: str | None = "Kanal Asal") -> str:
    head = (
        ""
        if name is None
        else f'<div class="from_name">\n{name} <span class="date details" '
        'title="01.11.2023 08:00:00 UTC+07:00"> 01.11.2023 08:00:00</span>\n</div>'
    )
    return f'<div class="forwarded body">{head}{"".join(content)}</div>'


def make_post(message_id: str, text: str, **fields: object) -> Post:
    usual = {"posted_at": NOON, "channel_name": "Kanal Contoh", "author_name": "Ani"}
    return Post("telegram", None, message_id, text, **(usual | fields))  # type: ignore[arg-type]


def read(*pages: bytes, username: str | None = None) -> tuple[list[Post], ReadReport]:
    report = ReadReport()
    streams = [(f"messages{i}.html", io.BytesIO(page)) for i, page in enumerate(pages, start=1)]
    return list(read_telegram_html(streams, username=username, report=report)), report


def test_a_row_becomes_a_post_with_sender_chat_and_time_in_utc() -> None:
    posts, report = read(make_page(make_row(7, make_text("selamat pagi"))))

    assert posts == [make_post("7", "selamat pagi")]
    assert report == ReadReport(posts=1)


def test_joined_rows_carry_the_sender_on_across_pages_until_another_speaks() -> None:
    posts, _ = read(
        make_page(make_row(1, make_text("a")), make_row(2, make_text("b"), sender=None)),
        make_page(
            make_row(3, make_text("c"), sender=None),
            make_row(4, make_text("d"), sender="Budi"),
            make_row(5, make_text("e"), sender=None),
        ),
    )

    assert [(p.message_id, p.author_name) for p in posts] == [
        *(("1", "Ani"), ("2", "Ani"), ("3", "Ani"), ("4", "Budi"), ("5", "Budi"))
    ]


def test_a_deleted_sender_has_no_name_and_is_not_replaced_by_the_one_before() -> None:
    posts, _ = read(
        make_page(
            make_row(1, make_text("a")),
            make_row(2, make_text("b"), sender="Deleted Account"),
            make_row(3, make_text("c"), sender=None),
        )
    )

    assert [p.author_name for p in posts] == ["Ani", None, None]


def test_a_bot_in_between_is_no_part_of_the_sender_name() -> None:
    posts, _ = read(make_page(make_row(1, make_text("a"), sender="Ani via @contohbot")))

    assert posts[0].author_name == "Ani"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("satu<br>dua<br/><br>tiga", "satu\ndua\n\ntiga"),
        ("a <strong>b</strong> <em>c</em> <u>d</u> <s>e</s> <code>f</code>", "a b c d e f"),
        (
            'lihat <span class="spoiler hidden" onclick="ShowSpoiler(this)">'
            '<span aria-hidden="true">isinya</span></span> ini',
            "lihat isinya ini",
        ),
        ("1 &lt; 2 &amp; &quot;x&quot; &apos;y&apos;", "1 < 2 & \"x\" 'y'"),
        ("&lt;b&gt;bukan tebal&lt;/b&gt;", "<b>bukan tebal</b>"),
        ("atas<br><blockquote>kutipan</blockquote><br>bawah", "atas\nkutipan\nbawah"),
        ("atas<blockquote>kutipan</blockquote>bawah", "atas\nkutipan\nbawah"),
        ("<pre>baris 1<br>baris 2</pre>", "baris 1\nbaris 2"),
        ("dua  spasi tetap", "dua  spasi tetap"),
        ('<a href="" onclick="return ShowHashtag(&quot;x&quot;)">#x</a>', "#x"),
        ('<a href="https://t.me/contoh">@contoh</a>', "@contoh"),
        ('<a href="contoh.id">contoh.id</a>', "contoh.id"),
        ('<a href="https://contoh.id/">contoh.id</a>', "contoh.id"),
        ('<a href="tel:+62000">+62000</a>', "+62000"),
        ('<a href="mailto:a@contoh.id">a@contoh.id</a>', "a@contoh.id"),
        ('<a href = "stickers/AnimatedSticker.tgs">😀</a>', "😀"),
        (
            '<a href="https://a.contoh.id/x?a=1&amp;b=2">klik</a> atau<br>'
            '<a href="https://b.contoh.id">sini</a>',
            "klik atau\nsini\nhttps://a.contoh.id/x?a=1&b=2 https://b.contoh.id",
        ),
    ],
)
def test_text_is_read_as_shown_with_hidden_addresses_on_a_last_line(markup: str, text: str) -> None:
    posts, _ = read(make_page(make_row(1, make_text(markup))))

    assert posts == [make_post("1", text)]


def test_an_address_that_the_words_belie_is_hidden() -> None:
    assert is_hidden("https://lain.contoh.id", "https://contoh.id")
    assert is_hidden("tg://resolve?domain=contoh", "masuk")
    assert not is_hidden("HTTPS://Contoh.id/", "contoh.id")
    assert not is_hidden("messages2.html#go_to_message5", "pesan ini")


def test_forwards_carry_their_origin_without_its_date_and_joined_ones_carry_it_on() -> None:
    posts, _ = read(
        make_page(
            make_row(1, make_forward(make_text("a"))),
            make_row(2, make_forward(make_text("b"), name=None), sender=None),
            make_row(3, make_forward(make_text("c"), name="Deleted Account")),
            make_row(4, make_text("d")),
        )
    )

    assert posts == [
        make_post("1", "a", forwarded_from="Kanal Asal"),
        make_post("2", "b", forwarded_from="Kanal Asal"),
        make_post("3", "c", forwarded_from="(hidden)"),
        make_post("4", "d"),
    ]


@pytest.mark.parametrize(
    ("reply", "target"),
    [
        ('In reply to <a href="#go_to_message12" onclick="return GoToMessage(12)">this</a>', "12"),
        ('In reply to <a href="messages2.html#go_to_message34">this message</a>', "34"),
        ("In reply to a message in another chat", None),
    ],
)
def test_a_reply_names_the_message_it_answers(reply: str, target: str | None) -> None:
    row = make_row(99, f'<div class="reply_to details">\n{reply}\n</div>', make_text("ya"))

    assert read(make_page(row))[0] == [make_post("99", "ya", reply_to=target)]


def test_a_signature_names_the_author_where_no_sender_does() -> None:
    signature = '<div class="signature details">\nRedaksi\n</div>'
    posts, _ = read(
        make_page(
            make_row(1, make_text("a"), signature),
            make_row(2, make_text("b"), signature, sender="Deleted Account"),
        )
    )

    assert [p.author_name for p in posts] == ["Ani", "Redaksi"]


def test_a_poll_is_read_as_its_question_and_answers_without_votes() -> None:
    poll = """<div class="media_wrap clearfix"><div class="media_poll">
        <div class="question bold">
Setuju &amp; lanjut?
        </div>
        <div class="details">
Anonymous poll
        </div>
        <div class="answer">
- Ya <span class="details">3 votes, chosen vote</span>
        </div>
        <div class="answer">
- Tidak
        </div>
        <div class="total details	">
3 votes
        </div></div></div>"""

    assert read(make_page(make_row(1, poll)))[0] == [make_post("1", "Setuju & lanjut?\nYa\nTidak")]


def test_words_of_a_game_or_invoice_are_read_and_those_of_a_file_are_not() -> None:
    def media(kind: str) -> str:
        return f"""<div class="media_wrap clearfix">
        <div class="media clearfix pull_left media_{kind}"><div class="fill pull_left"></div>
         <div class="body"><div class="title bold">
Judul
          </div><div class="description">
Uraian
          </div><div class="status details">
9 KB
          </div></div></div></div>"""

    rows = [make_row(i, media(k)) for i, k in enumerate(["game", "invoice", "file"], start=1)]
    posts, report = read(make_page(*rows))

    assert posts == [make_post("1", "Judul\nUraian"), make_post("2", "Judul\nUraian")]
    assert report.skipped == Counter(no_text=1)


def test_rows_without_text_service_unsupported_and_date_rows_are_counted_apart() -> None:
    photo = """<div class="media_wrap clearfix">
        <a class="photo_wrap clearfix pull_left" href="photos/photo_1.jpg">
         <img class="photo" src="photos/photo_1_thumb.jpg" style="width: 200px; height: 160px"/>
        </a></div>"""
    reactions = '<span class="reactions"><span class="reaction">👍 5</span></span>'
    posts, report = read(
        make_page(
            make_service(-1, "15 November 2023"),
            make_service(3, "Ani pinned <a href='#go_to_message1'>this message</a>"),
            make_service(-999_999_998, "Ani created group &laquo;Contoh&raquo;"),
            make_service(4, "This message is not supported by this version of Telegram Desktop."),
            make_row(5, photo),
            make_row(6, photo, make_text("keterangan"), reactions, sender=None),
        )
    )

    assert posts == [make_post("6", "keterangan")]
    assert report == ReadReport(
        posts=1, skipped=Counter(date_row=1, service=2, unsupported=1, no_text=1)
    )


def test_permalinks_need_a_username_and_a_message_of_this_channel() -> None:
    page = make_page(make_row(8, make_text("a")), make_row(-999_999_990, make_text("b")))

    assert [p.permalink for p in read(page)[0]] == [None, None]
    assert [p.permalink for p in read(page, username="contoh")[0]] == [
        *("https://t.me/contoh/8", None)
    ]


def test_times_without_zone_are_taken_as_utc_with_one_note() -> None:
    rows = [make_row(i, make_text("a"), date="15.11.2023 05:00:00") for i in (1, 2)]
    posts, report = read(make_page(*rows))

    assert posts == [make_post("1", "a"), make_post("2", "a")]
    assert report.notes == ["the HTML pages name no time zone; times are taken as UTC"]


@pytest.mark.parametrize("date", ["kemarin", "", "31.02.2023 05:00:00 UTC+07:00"])
def test_a_bad_date_is_counted_and_the_post_kept(date: str) -> None:
    posts, report = read(make_page(make_row(1, make_text("a"), date=date)))

    assert posts == [make_post("1", "a", posted_at=None)]
    assert report.repaired == Counter(bad_date=1)


def test_a_page_cut_inside_a_message_gives_the_whole_messages_before() -> None:
    page = make_page(make_row(1, make_text("utuh")), make_row(2, make_text("terpotong di sini")))
    posts, report = read(page[: page.index(b" di sini")])

    assert posts == [make_post("1", "utuh")]
    assert report == ReadReport(posts=1, repaired=Counter(truncated_tail=1))


def test_tags_left_open_in_one_message_do_not_swallow_the_next() -> None:
    posts, _ = read(make_page(make_row(1, make_text("<b>a <i>b")), make_row(2, make_text("c"))))

    assert posts == [make_post("1", "a b"), make_post("2", "c")]


def test_stray_angle_brackets_and_unknown_tags_leave_the_words() -> None:
    posts, _ = read(make_page(make_row(1, make_text("x < y <tg-emoji>ok</tg-emoji> <!-- z"))))

    assert posts == [make_post("1", "x < y ok <!-- z")]


def test_a_page_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telegram_html, "MAX_PAGE_BYTES", 1000)
    with pytest.raises(LimitError, match=r"messages1\.html: a page of more than"):
        read(make_page(make_row(1, make_text("a" * 1000))))


@pytest.mark.parametrize("tag", ["div", "span", "b"])
def test_a_million_nested_tags_are_refused(tag: str) -> None:
    with pytest.raises(LimitError, match=r"messages1\.html: tags nest deeper than 128"):
        read(f"<{tag}>".encode() * 1_000_000)


def test_too_many_tags_on_a_page_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telegram_markup, "MAX_TAGS", 100)
    with pytest.raises(LimitError, match="more than 100 tags"):
        read(make_page(make_row(1, make_text("a<br>" * 100))))


def test_formatting_left_open_is_not_multiplied_by_the_parser() -> None:
    opened = "".join(f'<b title="{i}">' for i in range(60))
    page = f'<div class="message default" id="message1">{opened}</div>'.encode()
    markup, _ = telegram_markup.balanced(page + b"<div>x</div>" * 1000, "m")

    assert markup.count(b"<b ") == markup.count(b"</b>") == 60
    assert markup.index(b"</b>" * 60 + b"</div>") < markup.index(b"<div>x</div>")


def test_pages_are_opened_one_at_a_time() -> None:
    opened: list[str] = []

    def pages() -> Iterable[tuple[str, io.BytesIO]]:
        for name in ("messages.html", "messages2.html"):
            opened.append(name)
            yield name, io.BytesIO(make_page(make_row(1, make_text("a"))))

    posts = read_telegram_html(pages(), username=None, report=ReadReport())
    next(posts)
    assert opened == ["messages.html"]
    next(posts)
    assert opened == ["messages.html", "messages2.html"]


def test_chats_without_an_id_have_keys_of_their_own() -> None:
    def post(name: str | None) -> Post:
        return Post("telegram", None, "5", "teks", channel_name=name)

    first, second = post("Kanal A").key, post("Kanal B").key
    assert first != second
    assert first == post("Kanal A").key
    assert first.startswith("telegram:~")
    assert post(None).key == "telegram:-:5"

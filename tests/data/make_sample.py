"""Write ``telegram_export/result.json``: a synthetic but faithful Telegram Desktop export.

Every kind of message the format knows is there at least once. Texts are authored posts of the
corpus's test split, so nothing here is a real person's and nothing was trained on; names, ids and
times are made up. Run from the repository's root: ``python tests/data/make_sample.py``. Same
seed, same bytes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from training.data import in_split, read_corpus

OUT = Path(__file__).parent / "telegram_export" / "result.json"
CHAT_ID = 1765432100
MESSAGES = 420
LAWFUL_PER_HIT = 5
WIB = timezone(timedelta(hours=7))
PEOPLE = [
    "Bunga R",
    "Raka",
    "Sari Wulan",
    "Om Tono",
    "dewi 🌸",
    "Bagas",
    "Ujang Cirebon",
    "K. Hasan",
]
ORIGINS = ["Info Kota Sejuk", "Kajian Sabtu Pagi", "Kabar Harian Contoh"]
NOT_INCLUDED = "(File not included. Change data exporting settings to download.)"

Message = dict[str, Any]


def plain(text: str) -> Message:
    return {"text": text, "text_entities": [{"type": "plain", "text": text}]}


def entities(*parts: Message) -> Message:
    """Text as the exporter writes it when any part of it is formatted."""
    text = [part["text"] if part["type"] == "plain" else part for part in parts]
    return {"text": text, "text_entities": list(parts)}


def part(kind: str, text: str, **fields: Any) -> Message:
    return {"type": kind, "text": text, **fields}


class Sample:
    def __init__(self, seed: int = 0) -> None:
        self.rng = random.Random(seed)
        self.now = datetime(2026, 3, 1, 5, 30, tzinfo=UTC)
        self.number = 0
        self.texts = self._texts()

    def _texts(self) -> Iterator[str]:
        posts = in_split(read_corpus(), "test")
        self.rng.shuffle(posts)
        hits = [post.text for post in posts if post.labels]
        lawful = [post.text for post in posts if not post.labels]
        while True:
            for index, text in enumerate(lawful):
                yield text
                if index % LAWFUL_PER_HIT == 0:
                    yield hits[index // LAWFUL_PER_HIT % len(hits)]

    def row(self, kind: str, fields: Message, **more: Any) -> Message:
        self.number += 1
        self.now += timedelta(minutes=self.rng.randint(1, 180))
        return {
            "id": self.number,
            "type": kind,
            "date": self.now.astimezone(WIB).replace(tzinfo=None).isoformat(),
            "date_unixtime": str(int(self.now.timestamp())),
            **more,
            **fields,
        }

    def message(self, fields: Message) -> Message:
        person = self.rng.randrange(len(PEOPLE))
        return self.row(
            "message", fields, **{"from": PEOPLE[person], "from_id": f"user{70000 + person}"}
        )

    def service(self, action: str, **fields: Any) -> Message:
        more = {"actor": PEOPLE[0], "actor_id": "user70000", "action": action}
        return self.row("service", {**fields, "text": "", "text_entities": []}, **more)

    def text(self) -> str:
        return next(self.texts)

    # One method a kind; `kinds` lists them.

    def text_message(self) -> Message:
        return self.message(plain(self.text()))

    def reply(self) -> Message:
        return self.message(
            {**plain(self.text()), "reply_to_message_id": self.rng.randint(1, self.number)}
        )

    def forward(self) -> Message:
        origin = self.rng.choice(ORIGINS)
        return self.message({"forwarded_from": origin, **plain(self.text())})

    def hidden_forward(self) -> Message:
        return self.message({"forwarded_from": None, **plain(self.text())})

    def edited(self) -> Message:
        later = self.now + timedelta(hours=3)
        stamp = later.astimezone(WIB).replace(tzinfo=None).isoformat()
        edit = {"edited": stamp, "edited_unixtime": str(int(later.timestamp()))}
        return self.message({**edit, **plain(self.text())})

    def formatted(self) -> Message:
        head, _, tail = self.text().partition(" ")
        return self.message(
            entities(
                part("bold", head),
                part("plain", f" {tail} "),
                part("hashtag", "#contoh"),
                part("plain", " "),
                part("mention", "@contoh_kanal"),
                part("plain", " "),
                part("text_link", "tautan", href="https://example.org/halaman"),
                part("plain", " "),
                part("spoiler", "selesai"),
                part("custom_emoji", "🙂", document_id="stickers/AnimatedSticker.tgs"),
            )
        )

    def code_and_quote(self) -> Message:
        return self.message(
            entities(
                part("blockquote", self.text(), collapsed=True),
                part("plain", "\n"),
                part("pre", "print('halo')", language="python"),
                part("mention_name", "Raka", user_id=70001),
            )
        )

    def photo(self) -> Message:
        media = {"photo": NOT_INCLUDED, "photo_file_size": 81234, "width": 1280, "height": 720}
        return self.message({**media, **plain(self.text())})

    def photo_without_caption(self) -> Message:
        return self.message({"photo": NOT_INCLUDED, "width": 800, "height": 600, **plain("")})

    def video(self) -> Message:
        media = {"file": NOT_INCLUDED, "media_type": "video_file", "mime_type": "video/mp4"}
        return self.message({**media, "duration_seconds": 31, **plain(self.text())})

    def sticker(self) -> Message:
        media = {"file": NOT_INCLUDED, "media_type": "sticker", "sticker_emoji": "😂"}
        return self.message({**media, "width": 512, "height": 512, **plain("")})

    def voice(self) -> Message:
        media = {"file": NOT_INCLUDED, "media_type": "voice_message", "mime_type": "audio/ogg"}
        return self.message({**media, "duration_seconds": 9, **plain("")})

    def document(self) -> Message:
        media = {"file": NOT_INCLUDED, "file_name": "jadwal.pdf", "mime_type": "application/pdf"}
        return self.message({**media, **plain("")})

    def poll(self) -> Message:
        answers = [
            {"text": word, "voters": 3, "chosen": False} for word in ("Setuju", "Tidak", "Ragu")
        ]
        question = {"question": self.text(), "closed": False, "total_voters": 9, "answers": answers}
        return self.message({"poll": question, **plain("")})

    def todo_list(self) -> Message:
        answers = [{"text": "beli galon", "id": 1}, {"text": "sapu halaman", "id": 2}]
        tasks = {"title": "Kerja bakti", "others_can_append": True, "others_can_complete": True}
        return self.message({"todo_list": {**tasks, "answers": answers}, **plain("")})

    def game(self) -> Message:
        fields = {
            "game_title": "Teka-teki",
            "game_description": "Tebak kata",
            "game_link": "https://t.me/x",
        }
        return self.message({**fields, **plain("")})

    def invoice(self) -> Message:
        value = json.dumps({"title": "Kaos komunitas", "description": "Ukuran L", "amount": 95000})
        return self.message({"invoice_information": value, **plain("")})

    def contact(self) -> Message:
        fields = {"first_name": "Contoh", "last_name": "", "phone_number": "+00 000 0000"}
        return self.message({"contact_information": fields, **plain("")})

    def location(self) -> Message:
        place = {"latitude": -6.2, "longitude": 106.8}
        return self.message({"location_information": place, **plain("")})

    def deleted_account(self) -> Message:
        return self.row("message", plain(self.text()), **{"from": None, "from_id": "user79999"})

    def channel_post(self) -> Message:
        more = {"from": "Kanal Contoh", "from_id": f"channel{CHAT_ID}", "author": "Admin"}
        return self.row("message", plain(self.text()), **more)

    def reactions(self) -> Message:
        reaction = {"type": "emoji", "count": 4, "emoji": "👍"}
        return self.message({**plain(self.text()), "reactions": [reaction]})

    def bot_buttons(self) -> Message:
        button = {"type": "callback", "text": "Lihat", "data": "x", "dataBase64": "eA=="}
        fields = {"via_bot": "@contoh_bot", "inline_bot_buttons": [[button]]}
        return self.message({**fields, **plain(self.text())})

    def unsupported(self) -> Message:
        self.number += 1
        return {"id": self.number, "type": "unsupported"}

    def pinned(self) -> Message:
        return self.service("pin_message", message_id=max(1, self.number - 3))

    def joined(self) -> Message:
        return self.service("join_group_by_link", inviter="Group")

    def topic(self) -> Message:
        return self.service("topic_created", title="Jadwal ronda")

    def notice_without_action(self) -> Message:
        row = self.service("", information_text="Riwayat obrolan sebelumnya disembunyikan")
        del row["action"]
        return row

    def kinds(self) -> list[Callable[[], Message]]:
        common = [self.text_message] * 30 + [self.reply] * 6 + [self.forward] * 6
        rare = [
            self.edited, self.formatted, self.code_and_quote, self.photo, self.video, self.sticker,
            self.photo_without_caption, self.voice, self.document, self.poll, self.todo_list,
            self.game, self.invoice, self.contact, self.location, self.deleted_account,
            self.channel_post, self.reactions, self.bot_buttons, self.unsupported, self.pinned,
            self.joined, self.topic, self.notice_without_action, self.hidden_forward,
        ]  # fmt: skip
        return [*common, *rare]

    def messages(self) -> Iterator[Message]:
        for old in (-999_999_950, -999_999_949):  # from before the group became a supergroup
            yield {**self.text_message(), "id": old}
        yield self.service("migrate_from_group", title="Kelompok lama")
        while self.number < MESSAGES:
            kinds = self.kinds()
            self.rng.shuffle(kinds)
            for kind in kinds:
                yield kind()
                if self.number >= MESSAGES:
                    return


def main() -> None:
    head = {"name": "Warga Contoh", "type": "private_supergroup", "id": CHAT_ID}
    export = {**head, "messages": list(Sample().messages())}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(export, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(f"{OUT}: {len(export['messages'])} messages")  # noqa: T201


if __name__ == "__main__":
    main()

"""A post and its score as a row, and back."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson

from screening.rows import post_of_row, score_of_row, to_row
from screening.types import Post, Span
from tests.builders import POLICY, make_post, make_score


def test_a_row_holds_the_whole_post_and_score() -> None:
    post = make_post(
        edited_at=datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
        channel_type="public_channel",
        forwarded_from="Kanal Lain",
        reply_to="7",
        topic="umum",
        permalink="https://t.me/c/1001/1",
        source={"nomor": 7},
    )
    score = make_score(0.5, windows=3, truncated=True, spans=(Span(0, 7, "terrorism", 0.5),))
    for given in (post, Post("file", None, "1", "pagi")):
        row = orjson.loads(orjson.dumps(to_row(given, score, POLICY)))
        assert post_of_row(row) == given
        assert score_of_row(row) == score

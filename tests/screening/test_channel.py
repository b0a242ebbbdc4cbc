from __future__ import annotations

import pytest

from screening import channel
from screening.channel import ExportSummary
from screening.rows import to_row
from screening.types import Post, Score
from tests.builders import POLICY, make_post, make_score


def summed(*scored: tuple[Post, Score], top: int = 5) -> ExportSummary:
    summary = ExportSummary(top_size=top)
    for post, score in scored:
        summary.add(to_row(post, score, POLICY))
    return summary


def test_hits_are_counted_by_account_channel_day_and_origin() -> None:
    summary = summed(
        (make_post(1, author_id="a", author_name="A", forwarded_from="Asal"), make_score(0.95)),
        (make_post(2, author_id="a", author_name="A"), make_score(0.5)),
        (make_post(3, author_id="b", author_name="B"), make_score(0.0)),
    )
    assert summary.bands == {"urgent": 1, "review": 1, "clear": 1}
    ((key, tally),) = summary.top_accounts(10)
    assert (key, tally.name, tally.urgent, tally.review) == ("a", "A", 1, 1)
    assert (tally.first_hit, tally.last_hit) == ("2026-01-02T12:00:00Z", "2026-01-03T12:00:00Z")
    ((_, kanal),) = summary.top_channels(10)
    assert (kanal.posts, kanal.hits) == (3, 2)
    assert summary.origins == {"Asal": 1}
    assert summary.hit_days == {"2026-01-02": 1, "2026-01-03": 1}


def test_top_ranks_by_score_then_by_order() -> None:
    scores = [0.2, 0.9, 0.5, 0.9, 0.1]
    summary = summed(*((make_post(n), make_score(s)) for n, s in enumerate(scores)), top=3)
    assert [row["message_id"] for row in summary.top()] == ["1", "3", "2"]


def test_accounts_past_the_limit_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "MAX_ACCOUNTS", 2)
    given = ((make_post(n, author_id=f"u{n}"), make_score(0.95)) for n in range(5))
    summary = summed(*given)
    assert len(summary.accounts) == 2
    assert summary.other_accounts == 3


def test_a_hit_with_no_label_above_half_counts_under_its_likeliest() -> None:
    summary = summed((make_post(1), make_score(0.35)))
    assert summary.labels == {"incitement": 1}

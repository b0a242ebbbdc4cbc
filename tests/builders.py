"""Builders that fill defaults, and a scorer whose answers are plain arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from screening.policy import Policy, Threshold
from screening.taxonomy import CONTEXT_IDS, LABEL_IDS
from screening.types import Post, Score, Span

POLICY = Policy(
    {"terrorism": Threshold(0.3, 0.9), "radicalism": Threshold(0.4, None)}, version="fake-1"
)


def make_post(number: int = 1, text: str = "selamat pagi", **fields: object) -> Post:
    defaults: dict[str, object] = {
        "platform": "telegram",
        "channel_id": "1001",
        "message_id": str(number),
        "text": text,
        "posted_at": datetime(2026, 1, 1 + number % 28, 12, tzinfo=UTC),
        "channel_name": "Kanal",
        "author_id": f"user{number % 7}",
        "author_name": f"Orang {number % 7}",
    }
    return Post(**{**defaults, **fields})  # type: ignore[arg-type]


def make_score(terrorism: float = 0.0, radicalism: float = 0.0, **fields: object) -> Score:
    labels = dict.fromkeys(LABEL_IDS, 0.0) | {"incitement": terrorism, "radicalism": radicalism}
    defaults: dict[str, object] = {
        "labels": labels,
        "terrorism": terrorism,
        "contexts": dict.fromkeys(CONTEXT_IDS, 0.0),
        "release": "fake-1",
    }
    return Score(**{**defaults, **fields})  # type: ignore[arg-type]


class FakeScorer:
    """Terrorism is the share of letters ``x`` in a text; counts the texts it is asked for."""

    release = "fake-1"
    policy = POLICY

    def __init__(self) -> None:
        self.asked: list[str] = []

    def score(self, texts: Sequence[str]) -> list[Score]:
        self.asked += texts
        return [self._score(text) for text in texts]

    def score_chunks(self, chunks: Iterable[Sequence[str]]) -> Iterator[list[Score]]:
        for chunk in chunks:
            yield self.score(chunk)

    def _score(self, text: str) -> Score:
        share = round(text.count("x") / max(len(text), 1), 6)
        span = (Span(text.index("x"), text.index("x") + 1, "terrorism", share),) if share else ()
        return make_score(share, spans=span)

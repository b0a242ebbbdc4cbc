"""A scored post as one flat-enough row: what a result file holds, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from screening.policy import Policy, risk
from screening.types import Post, Score, Span

Row = dict[str, Any]


def to_row(post: Post, score: Score, policy: Policy) -> Row:
    """The result row of one post: JSON-serialisable, field order fixed.

    ``score`` is what results are ranked by: the larger of terrorism and radicalism. ``band`` is
    the machine's proposal for label ``decided_by`` at ``threshold``; a person decides.
    """
    decision = policy.decide(score)
    return {
        "key": post.key,
        "score": risk(score),
        "band": decision.band,
        "decided_by": decision.label,
        "threshold": decision.threshold,
        "labels": dict(score.labels),
        "terrorism": score.terrorism,
        "contexts": dict(score.contexts),
        "release": score.release,
        "policy": decision.policy,
        "text": post.text,
        "spans": [_span_row(span, post.text) for span in score.spans],
        "windows": score.windows,
        "truncated": score.truncated,
        "permalink": post.permalink,
        "platform": post.platform,
        "channel_id": post.channel_id,
        "channel_name": post.channel_name,
        "channel_type": post.channel_type,
        "message_id": post.message_id,
        "posted_at": _iso(post.posted_at),
        "edited_at": _iso(post.edited_at),
        "author_id": post.author_id,
        "author_name": post.author_name,
        "forwarded_from": post.forwarded_from,
        "reply_to": post.reply_to,
        "topic": post.topic,
        "source": None if post.source is None else dict(post.source),
    }


def score_of_row(row: Mapping[str, Any]) -> Score:
    """The score a row was made of, to reuse it for the same text."""
    return Score(
        labels=row["labels"],
        terrorism=row["terrorism"],
        contexts=row["contexts"],
        release=row["release"],
        windows=row["windows"],
        truncated=row["truncated"],
        spans=tuple(
            Span(span["begin"], span["end"], span["label"], span["weight"]) for span in row["spans"]
        ),
    )


def post_of_row(row: Mapping[str, Any]) -> Post:
    """The post a row was made of."""
    moments = {name: _moment(row[name]) for name in ("posted_at", "edited_at")}
    return Post(**{name: row[name] for name in _POST_FIELDS} | moments)


_POST_FIELDS = (
    *("platform", "channel_id", "message_id", "text", "channel_name", "channel_type", "author_id"),
    *("author_name", "forwarded_from", "reply_to", "topic", "permalink", "source"),
)


def _moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


def _span_row(span: Span, text: str) -> Row:
    return {
        "begin": span.begin,
        "end": span.end,
        "text": text[span.begin : span.end],
        "label": span.label,
        "weight": span.weight,
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")

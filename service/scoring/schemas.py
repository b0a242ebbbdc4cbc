"""What the scoring endpoints read and answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SkipValidation, StrictBool

from screening.language import language_hint
from screening.policy import Policy
from screening.types import Post
from service.problems import FieldProblem
from service.scoring.storing import Scored, sha256_of

MAX_POSTS = 1000


def _without_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not hold a NUL character")
    return value


def _in_range(moment: datetime) -> datetime:
    # The first and last day of the calendar have no UTC in some zones.
    if not 1 < moment.year < 9999:
        raise ValueError("must lie between the years 2 and 9998")
    return moment


Short = Annotated[str, Field(max_length=256), AfterValidator(_without_nul)]
Name = Annotated[str, Field(max_length=512), AfterValidator(_without_nul)]
Link = Annotated[str, Field(max_length=2048), AfterValidator(_without_nul)]


class PostIn(BaseModel):
    """A post to score. Only ``text`` is needed; the rest says where it can be found again."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1, max_length=1_000_000)]
    id: Short | None = Field(None, description="Yours, handed back")
    platform: Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9_.-]+$")] = "api"
    channel_id: Short | None = None
    channel_name: Name | None = None
    message_id: Short | None = Field(None, description="Default: the text's SHA-256")
    posted_at: Annotated[datetime, AfterValidator(_in_range)] | None = None
    author_id: Short | None = None
    author_name: Name | None = None
    forwarded_from: Name | None = None
    permalink: Link | None = None
    views: Annotated[int, Field(ge=0, le=2**53)] | None = None


class ScoreRequest(BaseModel):
    """Up to a thousand posts. A bad one is named in ``errors``; the others are scored."""

    model_config = ConfigDict(extra="forbid")

    # Documented as posts and read one by one, so that a bad one spoils no other.
    posts: Annotated[list[SkipValidation[PostIn]], Field(min_length=1, max_length=MAX_POSTS)]
    spans: StrictBool = Field(
        False, description="Also give the words behind a score that is not clear"
    )


class SpanOut(BaseModel):
    """A stretch of the text as sent, ``[begin, end)`` in code points, that drove ``label``."""

    begin: int
    end: int
    label: str
    weight: float


class ScoreOut(BaseModel):
    """The machine's proposal for one post. A person decides."""

    id: str | None
    key: str
    band: Literal["clear", "review", "urgent"]
    decided_by: str
    threshold: float
    labels: dict[str, float]
    terrorism: float
    contexts: dict[str, float]
    release: str
    policy: str
    windows: int
    truncated: bool
    language: str | None = Field(description="A hint, from the script and common words")
    spans: list[SpanOut] | None = None


class ScoreAnswer(BaseModel):
    """``results`` in the order of the posts, ``null`` where ``errors`` names the post."""

    request_id: str
    release: str
    results: list[ScoreOut | None]
    errors: list[FieldProblem]


def to_post(sent: PostIn) -> Post:
    """A post as the rest of Penapisan knows it."""
    return Post(
        platform=sent.platform,
        channel_id=sent.channel_id,
        message_id=sent.message_id or sha256_of(sent.text),
        text=sent.text,
        posted_at=_in_utc(sent.posted_at),
        channel_name=sent.channel_name,
        author_id=sent.author_id,
        author_name=sent.author_name,
        forwarded_from=sent.forwarded_from,
        permalink=sent.permalink,
    )


def to_answer(sent: PostIn, scored: Scored, policy: Policy, *, with_spans: bool) -> ScoreOut:
    """One post's answer."""
    score, decision = scored.score, policy.decide(scored.score)
    return ScoreOut(
        id=sent.id,
        key=scored.post.key,
        band=decision.band,
        decided_by=decision.label,
        threshold=decision.threshold,
        labels=dict(score.labels),
        terrorism=score.terrorism,
        contexts=dict(score.contexts),
        release=score.release,
        policy=decision.policy,
        windows=score.windows,
        truncated=score.truncated,
        language=language_hint(sent.text),
        spans=[
            SpanOut(begin=s.begin, end=s.end, label=s.label, weight=s.weight) for s in score.spans
        ]
        if with_spans
        else None,
    )


def _in_utc(moment: datetime | None) -> datetime | None:
    """A time without a zone is taken for UTC."""
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

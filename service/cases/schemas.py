"""What the case endpoints read and answer.

Somebody who reviews sees the posts and not the machine's score, nor how a case came to them: so the
score sways nobody, and a gold item or a sampled post looks like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from screening.taxonomy import CONTEXT_IDS, LABEL_IDS
from service.cases.service import REASONS, Ruling
from service.cases.states import State
from service.tables import Case, CaseEvent, PostRow, Review

CaseId = Annotated[int, Path(ge=1, le=2**53, description="The case's number")]
After = Annotated[int, Query(ge=0, le=2**53, description="The last id of the page before")]
Limit = Annotated[int, Query(ge=1, le=500)]
Line = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]
Note = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]
Id = Annotated[str, Field(max_length=32, pattern=r"^[a-z_]+$")]
Kind = Literal["content", "account", "channel"]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FenceIn(_In):
    fence: Annotated[int, Field(ge=0, lt=2**31, description="As the claim gave it")]


class ReleaseIn(FenceIn):
    reason: Line


class ReasonIn(_In):
    reason: Line


class ReopenIn(ReasonIn):
    is_appeal: StrictBool = False


class RulingIn(_In):
    """An answer for each label, the reason that decides, and what makes the post lawful."""

    # What the taxonomy holds is documented here and checked in ``Ruling``, with better words.
    labels: Annotated[
        dict[str, Literal["yes", "no", "unknown"]],
        Field(min_length=1, json_schema_extra={"propertyNames": {"enum": [*LABEL_IDS]}}),
    ]
    reason: Annotated[
        Id,
        Field(
            description="A label answered yes; else a context or 'none'",
            json_schema_extra={"enum": [*REASONS]},
        ),
    ]
    context: Annotated[Id, Field(json_schema_extra={"enum": [*CONTEXT_IDS]})] | None = None
    note: Note = ""

    def ruling(self) -> Ruling:
        return Ruling(self.labels, self.reason, self.context, self.note)


class DecisionIn(RulingIn, FenceIn):
    """A ruling by whoever holds the case with ``fence``."""


class PostOut(BaseModel):
    """A post as it was submitted; ``text`` is null once it was purged."""

    id: int
    platform: str
    channel_id: str
    channel_name: str | None
    message_id: str
    author_id: str | None
    author_name: str | None
    posted_at: datetime | None
    permalink: str | None
    views: int | None
    similarity: float
    text: str | None


class ReviewOut(BaseModel):
    reviewer: str
    cycle: int
    round: int
    labels: dict[str, str]
    context: str | None
    reason: str
    note: str
    is_violating: bool
    guideline: str
    came_by: str
    made_at: datetime
    undone_at: datetime | None


class EventOut(BaseModel):
    number: int
    at: datetime
    actor: str
    event: str
    state: str
    reason: str | None
    release: str | None
    detail: dict[str, Any]


class CaseSummary(BaseModel):
    """A case's place in the queue, without text."""

    id: int
    kind: str
    platform: str
    channel_id: str
    state: State
    band: str
    label: str
    probability: float
    release: str
    priority: float
    reach: int
    came_by: str
    cluster: int | None
    is_violating: bool | None
    opened_at: datetime
    closed_at: datetime | None


class CaseOut(BaseModel):
    """A case with its posts. ``summary``, ``events`` and ``reviews`` are null to its reviewers."""

    id: int
    kind: Kind
    platform: str
    channel_id: str
    fence: int
    lease_until: datetime | None
    posts: list[PostOut]
    summary: CaseSummary | None = None
    events: list[EventOut] | None = None
    reviews: list[ReviewOut] | None = None


class HeldOut(BaseModel):
    """What a step left of a case."""

    id: int
    state: State
    fence: int
    lease_until: datetime | None


class BatchOut(BaseModel):
    """A bulk decision, to be undone for 60 seconds."""

    batch: str
    cases: list[int]


class PauseOut(BaseModel):
    """``until`` is null where there is no pause."""

    until: datetime | None
    texts_in_shift: int
    texts_limit: int


class GoldOut(BaseModel):
    content_sha256: str
    labels: dict[str, str]
    is_violating: bool


class HoldOut(BaseModel):
    id: int
    content_sha256: str
    reason: str
    placed_by: str
    placed_at: datetime
    lifted_by: str | None
    lifted_at: datetime | None


def summary_of(case: Case) -> CaseSummary:
    return CaseSummary.model_validate(case, from_attributes=True)


def held_of(case: Case) -> HeldOut:
    return HeldOut.model_validate(case, from_attributes=True)


def case_of(
    case: Case,
    posts: Sequence[tuple[PostRow, float]],
    texts: Mapping[str, str | None],
    *,
    events: Sequence[CaseEvent] | None = None,
    reviews: Sequence[Review] | None = None,
    has_summary: bool = False,
) -> CaseOut:
    """The case as one person may see it."""
    return CaseOut(
        id=case.id,
        kind="content" if case.kind == "gold" else case.kind,
        platform=case.platform,
        channel_id=case.channel_id,
        fence=case.fence,
        lease_until=case.lease_until,
        posts=[_post_of(post, similarity, texts) for post, similarity in posts],
        summary=summary_of(case) if has_summary else None,
        events=events
        and [EventOut.model_validate(event, from_attributes=True) for event in events],
        reviews=None
        if reviews is None
        else [ReviewOut.model_validate(review, from_attributes=True) for review in reviews],
    )


def _post_of(post: PostRow, similarity: float, texts: Mapping[str, str | None]) -> PostOut:
    fields = {name: getattr(post, name) for name in PostOut.model_fields if hasattr(post, name)}
    return PostOut(**fields, similarity=similarity, text=texts.get(post.content_sha256))

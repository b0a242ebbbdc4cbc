"""The SQL of the review statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import distinct, func, select
from sqlalchemy.orm import Session, aliased

from service.tables import Case, CasePost, GoldItem, PostRow, Review

Labels = Mapping[str, str]
"""``yes``, ``no`` or ``unknown`` by label."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one reviewer answered."""

    reviewer: str
    labels: Labels
    is_violating: bool
    batch: str | None = None


@dataclass(frozen=True, slots=True)
class TwoOpinions:
    """A first review and the blind second one."""

    case_id: int
    first: Opinion
    second: Opinion
    at: datetime


@dataclass(frozen=True, slots=True)
class GoldOpinion:
    """A reviewer's answer to a gold item, and the right one."""

    given: Opinion
    right: Opinion


@dataclass(frozen=True, slots=True)
class Screened:
    """A content case as it was opened: flagged, or drawn from the clear with a probability.

    ``contents`` counts its near-duplicates; ``ruling`` is the latest, ``None`` before the first.
    """

    is_sample: bool
    probability: float
    contents: int
    ruling: Opinion | None


def two_opinions(session: Session, since: datetime) -> list[TwoOpinions]:
    """Both blind reviews of each case that had a second one since then."""
    first, second = aliased(Review), aliased(Review)
    rows = session.execute(
        select(first, second)
        .join(second, (second.case_id == first.case_id) & (second.cycle == first.cycle))
        .where(first.round == 1, first.undone_at.is_(None))
        .where(second.round == 2, second.undone_at.is_(None), second.made_at >= since)
        .order_by(second.id)
    )
    return [TwoOpinions(a.case_id, _opinion(a), _opinion(b), b.made_at) for a, b in rows]


def gold_opinions(session: Session, since: datetime) -> list[GoldOpinion]:
    rows = session.execute(
        select(Review, GoldItem)
        .join(Case, Case.id == Review.case_id)
        .join(GoldItem, GoldItem.content_sha256 == Case.content_sha256)
        .where(Case.kind == "gold", GoldItem.retired_at.is_(None))
        .where(Review.undone_at.is_(None), Review.made_at >= since)
        .order_by(Review.id)
    )
    return [
        GoldOpinion(_opinion(review), Opinion(item.made_by, item.labels, item.is_violating))
        for review, item in rows
    ]


def screened(session: Session, since: datetime) -> list[Screened]:
    """The cases of contents opened since then."""
    of_period = (Case.kind == "content", Case.opened_at >= since)
    counts = session.execute(
        select(CasePost.case_id, func.count(distinct(PostRow.content_sha256)))
        .join(PostRow, PostRow.id == CasePost.post_id)
        .join(Case, Case.id == CasePost.case_id)
        .where(*of_period)
        .group_by(CasePost.case_id)
    )
    contents = {row[0]: row[1] for row in counts}
    reviews = session.scalars(
        select(Review)
        .join(Case, Case.id == Review.case_id)
        .where(*of_period, Review.undone_at.is_(None))
        .order_by(Review.cycle, Review.round)
    )
    first: dict[int, Review] = {}
    latest: dict[int, Review] = {}
    for review in reviews:
        first.setdefault(review.case_id, review)
        latest[review.case_id] = review
    cases = session.execute(
        select(Case.id, Case.came_by, Case.sampling_probability).where(*of_period).order_by(Case.id)
    )
    found = []
    for case_id, came_by, probability in cases:
        # An appeal changes how a case came; its first review still says how it was opened.
        origin = first.get(case_id)
        found.append(
            Screened(
                is_sample=(origin.came_by if origin else came_by) == "random_audit",
                probability=origin.sampling_probability if origin else probability,
                contents=contents.get(case_id, 1),
                ruling=_opinion(latest[case_id]) if origin else None,
            )
        )
    return found


def _opinion(review: Review) -> Opinion:
    return Opinion(review.reviewer, review.labels, review.is_violating, review.batch)

"""The SQL of the label export."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.tables import Case, GoldItem, Review


def page_of_contents(session: Session, after: str, limit: int) -> Sequence[str]:
    """Contents with a review that stands, by SHA-256."""
    found = session.scalars(
        select(Case.content_sha256)
        .join(Review, Review.case_id == Case.id)
        .where(Case.content_sha256 > after, Review.undone_at.is_(None))
        .distinct()
        .order_by(Case.content_sha256)
        .limit(limit)
    )
    return [sha256 for sha256 in found if sha256 is not None]


def reviews_by_content(
    session: Session, contents: Sequence[str]
) -> dict[str, list[tuple[Review, Case]]]:
    """The standing reviews of each content with their cases, oldest first."""
    rows = session.execute(
        select(Review, Case)
        .join(Case, Case.id == Review.case_id)
        .where(Case.content_sha256.in_(contents), Review.undone_at.is_(None))
        .order_by(Review.id)
    )
    found: dict[str, list[tuple[Review, Case]]] = {sha256: [] for sha256 in contents}
    for review, case in rows:
        found[case.content_sha256 or ""].append((review, case))
    return found


def cluster_by_content(session: Session, contents: Sequence[str]) -> dict[str, int]:
    """The first cluster of near-duplicates that each content is in."""
    rows = session.execute(
        select(Case.content_sha256, func.min(Case.cluster))
        .where(Case.content_sha256.in_(contents), Case.cluster.is_not(None))
        .group_by(Case.content_sha256)
    )
    return {sha256: cluster for sha256, cluster in rows if sha256 and cluster}


def gold_by_content(session: Session, contents: Sequence[str]) -> dict[str, GoldItem]:
    found = session.scalars(
        select(GoldItem).where(GoldItem.content_sha256.in_(contents), GoldItem.retired_at.is_(None))
    )
    return {item.content_sha256: item for item in found}


def undone_reviews(session: Session) -> int:
    query = select(func.count()).select_from(Review).where(Review.undone_at.is_not(None))
    return session.scalar(query) or 0


def gathered_reviews(session: Session) -> int:
    """Reviews of accounts and channels, which answer for no text of their own."""
    query = (
        select(func.count())
        .select_from(Review)
        .join(Case, Case.id == Review.case_id)
        .where(Case.content_sha256.is_(None), Review.undone_at.is_(None))
    )
    return session.scalar(query) or 0

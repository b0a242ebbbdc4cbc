"""The SQL of labels out and in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, union
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.tables import Case, GoldItem, ImportedLabel, Review


def page_of_contents(session: Session, after: str, limit: int) -> Sequence[str]:
    """Contents with a review that stands or an imported label, by SHA-256."""
    reviewed = (
        select(Case.content_sha256.label("sha256"))
        .join(Review, Review.case_id == Case.id)
        .where(Case.content_sha256 > after, Review.undone_at.is_(None))
    )
    imported = select(ImportedLabel.content_sha256).where(ImportedLabel.content_sha256 > after)
    found = session.scalars(union(reviewed, imported).order_by("sha256").limit(limit))
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


def imports_by_content(session: Session, contents: Sequence[str]) -> dict[str, list[ImportedLabel]]:
    """What each annotator last said about each content."""
    rows = session.scalars(
        select(ImportedLabel)
        .where(ImportedLabel.content_sha256.in_(contents))
        .order_by(ImportedLabel.labelled_at, ImportedLabel.is_gold, ImportedLabel.id)
    )
    latest = {(row.content_sha256, row.annotator): row for row in rows}
    found: dict[str, list[ImportedLabel]] = {sha256: [] for sha256 in contents}
    for row in sorted(latest.values(), key=lambda row: row.id):
        found[row.content_sha256].append(row)
    return found


def known_sources(session: Session, sources: Sequence[str]) -> set[str]:
    """Which answers were imported before."""
    return set(
        session.scalars(select(ImportedLabel.source).where(ImportedLabel.source.in_(sources)))
    )


def known_annotators(session: Session) -> set[str]:
    return set(session.scalars(select(ImportedLabel.annotator).distinct()))


def known_reviewers(session: Session) -> set[str]:
    return set(session.scalars(select(Review.reviewer).distinct()))


def add_imports(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Keep answers; one that another import has just added is left as it is."""
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    insert = (postgresql if is_postgresql else sqlite).insert(ImportedLabel)
    session.execute(insert.on_conflict_do_nothing(index_elements=["source"]), rows)


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

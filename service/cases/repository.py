"""The SQL of the review queue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, text
from sqlalchemy.orm import Session

from service.cases.states import HELD, QUEUED, State, Step
from service.tables import Case, CaseEvent, CasePost, Content, GoldItem, PostRow, Review


def lock_case(session: Session, case_id: int) -> Case | None:
    """The case, locked and as it stands now."""
    return session.get(Case, case_id, with_for_update=True, populate_existing=True)


def get_case(session: Session, case_id: int) -> Case | None:
    return session.get(Case, case_id)


def waiting_cases(session: Session) -> Sequence[Case]:
    """Cases in the queue that are ranked by risk, locked; ones being claimed are passed over."""
    return session.scalars(
        select(Case)
        .where(Case.state.in_(QUEUED), Case.came_by != "random_audit", Case.kind != "gold")
        .order_by(Case.id)
        .with_for_update(skip_locked=True)
    ).all()


def next_case(session: Session, reviewer: str, at: datetime) -> Case | None:
    """The first case in the queue that ``reviewer`` may take, locked; locked ones are passed over.

    Nobody gets a case twice: not one they have reviewed, nor one they gave back.
    """
    return session.scalars(
        select(Case)
        .where(_is_free(at), ~_reviewed_by(reviewer), ~_given_back_by(reviewer))
        .order_by(Case.priority.desc(), Case.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).first()


def free_members(
    session: Session, case: Case, reviewer: str, state: Sequence[State], at: datetime
) -> Sequence[Case]:
    """The other cases of a cluster that wait in one of the states, locked."""
    return session.scalars(
        select(Case)
        .where(
            Case.cluster == case.cluster,
            Case.id != case.id,
            Case.kind == "content",
            Case.state.in_(state),
            _is_free(at),
            ~_reviewed_by(reviewer),
        )
        .order_by(Case.id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()


def standing_reviews(session: Session, case: Case) -> Sequence[Review]:
    """The reviews of the case's cycle, first round first."""
    return session.scalars(
        select(Review)
        .where(Review.case_id == case.id, Review.cycle == case.cycle, Review.undone_at.is_(None))
        .order_by(Review.round)
    ).all()


def has_reviewed(session: Session, case_id: int, reviewer: str) -> bool:
    """Whether a review of the case is theirs, of any cycle, that was not undone."""
    found = select(Case.id).where(Case.id == case_id, _reviewed_by(reviewer))
    return session.scalars(found).first() is not None


def reviews_of(session: Session, case_id: int) -> Sequence[Review]:
    return session.scalars(
        select(Review).where(Review.case_id == case_id).order_by(Review.id)
    ).all()


def batch_reviews(session: Session, batch: str) -> Sequence[Review]:
    return session.scalars(
        select(Review)
        .where(Review.batch == batch, Review.undone_at.is_(None))
        .order_by(Review.case_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()


def events_of(session: Session, case_id: int) -> Sequence[CaseEvent]:
    return session.scalars(
        select(CaseEvent).where(CaseEvent.case_id == case_id).order_by(CaseEvent.number)
    ).all()


def posts_of(session: Session, case_id: int, limit: int) -> Sequence[tuple[PostRow, float]]:
    """The case's posts with their similarity, oldest first."""
    rows = session.execute(
        select(PostRow, CasePost.similarity)
        .join(CasePost, CasePost.post_id == PostRow.id)
        .where(CasePost.case_id == case_id)
        .order_by(PostRow.id)
        .limit(limit)
    )
    return [(post, similarity) for post, similarity in rows]


def sealed_texts(session: Session, sha256s: Sequence[str]) -> dict[str, bytes | None]:
    rows = session.execute(
        select(Content.sha256, Content.sealed).where(Content.sha256.in_(sha256s))
    )
    return {row.sha256: row.sealed for row in rows}


def unseen_gold(session: Session, reviewer: str) -> Sequence[GoldItem]:
    """Gold items of others whose text the reviewer has neither decided nor been given as gold."""
    known = exists().where(
        Review.case_id == Case.id,
        Review.reviewer == reviewer,
        Case.content_sha256 == GoldItem.content_sha256,
    )
    given = exists().where(
        Case.kind == "gold", Case.subject == GoldItem.content_sha256 + f":{reviewer}"
    )
    return session.scalars(
        select(GoldItem)
        .where(GoldItem.retired_at.is_(None), GoldItem.made_by != reviewer, ~known, ~given)
        .order_by(GoldItem.content_sha256)
    ).all()


def post_of(session: Session, item: GoldItem) -> PostRow | None:
    return session.scalars(
        select(PostRow)
        .where(
            PostRow.content_sha256 == item.content_sha256,
            PostRow.platform == item.platform,
            PostRow.channel_id == item.channel_id,
        )
        .order_by(PostRow.id)
        .limit(1)
    ).first()


def held_by(session: Session, reviewer: str, at: datetime) -> Sequence[Case]:
    return session.scalars(
        select(Case)
        .where(Case.state.in_(HELD), Case.holder == reviewer, Case.lease_until > at)
        .order_by(Case.id)
    ).all()


def page_of_cases(
    session: Session, *, state: str | None, kind: str | None, after_id: int, limit: int
) -> Sequence[Case]:
    query = select(Case).where(Case.id > after_id).order_by(Case.id).limit(limit)
    if state:
        query = query.where(Case.state == state)
    if kind:
        query = query.where(Case.kind == kind)
    return session.scalars(query).all()


def queue_counts(session: Session) -> dict[str, int]:
    rows = session.execute(select(Case.state, func.count()).group_by(Case.state))
    return {row[0]: row[1] for row in rows}


def oldest_waiting(session: Session) -> datetime | None:
    """When the case that has waited longest was opened."""
    return session.scalar(select(func.min(Case.opened_at)).where(Case.state.in_(QUEUED)))


def _is_free(at: datetime) -> ColumnElement[bool]:
    """Waiting, or held on a lease that has run out; gold is for one reviewer and never waits."""
    return and_(
        # Literally, so that both databases see that the queue's partial index serves.
        text("cases.state <> 'closed'"),
        Case.kind != "gold",
        or_(Case.not_before.is_(None), Case.not_before <= at),
        or_(Case.state.in_(QUEUED), and_(Case.state.in_(HELD), Case.lease_until <= at)),
    )


def _reviewed_by(reviewer: str) -> ColumnElement[bool]:
    return exists().where(
        Review.case_id == Case.id, Review.reviewer == reviewer, Review.undone_at.is_(None)
    )


def _given_back_by(reviewer: str) -> ColumnElement[bool]:
    return exists().where(
        CaseEvent.case_id == Case.id,
        CaseEvent.actor == reviewer,
        CaseEvent.event == Step.RELEASE.value,
    )

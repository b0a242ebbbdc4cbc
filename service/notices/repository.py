"""The SQL of notices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session

from service.cases.states import State
from service.tables import (
    Case,
    CasePost,
    IssuedNotice,
    Notice,
    NoticeApproval,
    NoticeItem,
    NoticeWithdrawal,
    PostRow,
    Review,
    ScoreRow,
)


@dataclass(frozen=True, slots=True)
class Whole:
    """A notice with what came of it."""

    notice: Notice
    approval: NoticeApproval | None
    issued: IssuedNotice | None
    withdrawal: NoticeWithdrawal | None

    @property
    def state(self) -> str:
        if self.withdrawal is not None:
            return "withdrawn"
        return "draft" if self.issued is None else "approved"


def lock_cases(session: Session, ids: Sequence[int]) -> dict[int, Case]:
    found = session.scalars(
        select(Case)
        .where(Case.id.in_(ids))
        .order_by(Case.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {case.id: case for case in found}


def violating_cases(
    session: Session, platform: str, scope: str, subject: str, limit: int
) -> Sequence[int]:
    """Closed cases of a channel's or an account's posts that found them to violate and have a post
    that no notice in force has."""
    where = PostRow.channel_id if scope == "channel" else PostRow.author_id
    return session.scalars(
        select(Case.id)
        .join(CasePost, CasePost.case_id == Case.id)
        .join(PostRow, PostRow.id == CasePost.post_id)
        .where(
            Case.kind == "content",
            Case.state == State.CLOSED.value,
            Case.is_violating.is_(True),
            Case.platform == platform,
            PostRow.content_sha256 == Case.content_sha256,
            where == subject,
            ~_is_noticed(),
        )
        .distinct()
        .order_by(Case.id)
        .limit(limit)
    ).all()


def reviews_by_case(session: Session, cases: Sequence[Case]) -> dict[int, list[Review]]:
    """The standing reviews of each case's cycle, first round first."""
    rows = session.scalars(
        select(Review)
        .join(Case, (Case.id == Review.case_id) & (Case.cycle == Review.cycle))
        .where(Case.id.in_([case.id for case in cases]), Review.undone_at.is_(None))
        .order_by(Review.round)
    )
    found: dict[int, list[Review]] = {case.id: [] for case in cases}
    for review in rows:
        found[review.case_id].append(review)
    return found


def unnoticed_posts(session: Session, cases: Sequence[Case]) -> list[tuple[Case, PostRow]]:
    """The posts of exactly each case's content that no notice in force has."""
    rows = session.execute(
        select(Case, PostRow)
        .join(CasePost, CasePost.case_id == Case.id)
        .join(PostRow, PostRow.id == CasePost.post_id)
        .where(
            Case.id.in_([case.id for case in cases]),
            # Nobody ruled on the words of a near-duplicate.
            PostRow.content_sha256 == Case.content_sha256,
            ~_is_noticed(),
        )
        .order_by(PostRow.id)
    )
    return [(case, post) for case, post in rows]


def scores_of(session: Session, cases: Sequence[Case]) -> dict[int, ScoreRow]:
    """The score by which each case was opened."""
    rows = session.execute(
        select(Case.id, ScoreRow)
        .join(
            ScoreRow,
            (ScoreRow.content_sha256 == Case.content_sha256) & (ScoreRow.release == Case.release),
        )
        .where(Case.id.in_([case.id for case in cases]))
    )
    return {row[0]: row[1] for row in rows}


def lock_notice(session: Session, notice_id: int) -> Whole | None:
    if session.get(Notice, notice_id, with_for_update=True) is None:
        return None
    return get_notice(session, notice_id)


def get_notice(session: Session, notice_id: int) -> Whole | None:
    found = _wholes(session, [Notice.id == notice_id], 1)
    return found[0] if found else None


def page_of_notices(
    session: Session, *, state: str | None, drafter: str | None, after_id: int, limit: int
) -> list[Whole]:
    conditions = [Notice.id > after_id]
    if drafter is not None:
        conditions.append(Notice.drafted_by == drafter)
    if state == "withdrawn":
        conditions.append(NoticeWithdrawal.notice_id.is_not(None))
    elif state is not None:
        is_issued = IssuedNotice.notice_id.is_not(None)
        conditions.append(NoticeWithdrawal.notice_id.is_(None))
        conditions.append(is_issued if state == "approved" else ~is_issued)
    return _wholes(session, conditions, limit)


def items_of(session: Session, notice_id: int) -> Sequence[NoticeItem]:
    return session.scalars(
        select(NoticeItem).where(NoticeItem.notice_id == notice_id).order_by(NoticeItem.post_id)
    ).all()


def took_part(session: Session, notice_id: int, who: str) -> bool:
    """Whether somebody ever reviewed a case of the notice, undone reviews included."""
    query = select(
        exists()
        .where(NoticeItem.notice_id == notice_id)
        .where(Review.case_id == NoticeItem.case_id, Review.cycle <= NoticeItem.cycle)
        .where(Review.reviewer == who)
    )
    return bool(session.scalar(query))


def _wholes(session: Session, where: Sequence[ColumnElement[bool]], limit: int) -> list[Whole]:
    rows = session.execute(
        select(Notice, NoticeApproval, IssuedNotice, NoticeWithdrawal)
        .outerjoin(NoticeApproval, NoticeApproval.notice_id == Notice.id)
        .outerjoin(IssuedNotice, IssuedNotice.notice_id == Notice.id)
        .outerjoin(NoticeWithdrawal, NoticeWithdrawal.notice_id == Notice.id)
        .where(*where)
        .order_by(Notice.id)
        .limit(limit)
    )
    return [Whole(*row) for row in rows]


def _is_noticed() -> ColumnElement[bool]:
    """Whether a notice that was not withdrawn has the post."""
    withdrawn = exists().where(NoticeWithdrawal.notice_id == NoticeItem.notice_id)
    return exists().where(NoticeItem.post_id == PostRow.id, ~withdrawn)

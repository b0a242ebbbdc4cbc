"""How long what is kept, and what a legal hold spares (UU 27/2022: deletion at the end of the
retention period, except for data tied to legal proceedings).

=====================  ==========================  ==========================================
class                  kept for                    from
=====================  ==========================  ==========================================
text without a case    ``clear_text_days``         last time it was submitted
text of a case         ``case_text_days``          the close of its last case
text of imported       ``case_text_days``          its last import
labels
who was shown what     ``exposure_days``           when it was shown
idempotent answers     ``answer_days``             when they were given
sessions               their own end
uploaded exports       their job's end
results of exports     ``result_days``             their job's end
cases, reviews, audit  for good: they hold no text
notices                for good: they hold no text
=====================  ==========================  ==========================================

Files of exports are not encrypted, and no hold spares them: a held text is in the database.
With a text go the authors' names and ids on its posts, and the signature made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, CursorResult, and_, delete, exists, or_, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.base import Executable

from service import audit
from service.auth import Permission, Principal
from service.cases.states import State
from service.db import Database
from service.errors import NotFound
from service.exports.service import purge_files
from service.settings import Settings
from service.tables import (
    Answered,
    Case,
    CasePost,
    Content,
    Exposure,
    GoldItem,
    ImportedLabel,
    LegalHold,
    PostRow,
    RateWindow,
    SessionRow,
    Signature,
    SignatureBand,
    SignInFlow,
    SignInLink,
)

BATCH = 500


@dataclass(slots=True)
class Purged:
    """How many of each class were removed."""

    texts: int = 0
    answers: int = 0
    exposures: int = 0
    sessions: int = 0
    results: int = 0


def purge(database: Database, settings: Settings, actor: str, at: datetime) -> Purged:
    """Remove what is past its retention period, in short transactions, each of them audited."""
    done = Purged()
    while True:
        with database.session() as session:
            texts = _purge_texts(session, settings, actor, at)
        done.texts += texts
        if texts < BATCH:
            break
    done.results = purge_files(database, settings, actor, at)
    with database.session() as session:
        done.answers = _delete(
            session,
            delete(Answered).where(Answered.answered_at < at - timedelta(settings.answer_days)),
        )
        done.exposures = _delete(
            session, delete(Exposure).where(Exposure.at < at - timedelta(settings.exposure_days))
        )
        done.sessions = _delete(session, delete(SessionRow).where(SessionRow.expires_at < at))
        for of_sign_ins in (SignInLink, SignInFlow, RateWindow):
            _delete(session, delete(of_sign_ins).where(of_sign_ins.expires_at < at))
        audit.append(session, actor, "retention.purge", "retention", asdict(done))
    return done


def place_hold(
    session: Session, who: Principal, case_id: int, reason: str, at: datetime
) -> list[LegalHold]:
    """Spare every text of a case from the purge until the hold is lifted."""
    who.require(Permission.SETTLE)
    if session.get(Case, case_id) is None:
        raise NotFound(f"there is no case {case_id}")
    contents = session.scalars(
        select(PostRow.content_sha256)
        .join(CasePost, CasePost.post_id == PostRow.id)
        .where(CasePost.case_id == case_id)
        .distinct()
        .order_by(PostRow.content_sha256)
    ).all()
    holds = [
        LegalHold(content_sha256=sha256, reason=reason, placed_by=who.id, placed_at=at)
        for sha256 in contents
    ]
    session.add_all(holds)
    session.flush()
    detail = {"reason": reason, "holds": [hold.id for hold in holds]}
    audit.append(session, who.id, "hold.place", f"case:{case_id}", detail)
    return holds


def lift_hold(session: Session, who: Principal, hold_id: int, at: datetime) -> LegalHold:
    """The text is purged again at the end of its period, unless another hold spares it."""
    who.require(Permission.SETTLE)
    hold = session.get(LegalHold, hold_id, with_for_update=True)
    if hold is None or hold.lifted_at is not None:
        raise NotFound(f"there is no hold {hold_id} in force")
    hold.lifted_by, hold.lifted_at = who.id, at
    audit.append(session, who.id, "hold.lift", f"hold:{hold_id}")
    return hold


def _purge_texts(session: Session, settings: Settings, actor: str, at: datetime) -> int:
    due = session.scalars(
        select(Content.sha256)
        .where(Content.sealed.is_not(None), ~_is_spared(), _is_due(settings, at))
        .order_by(Content.sha256)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    if due:
        _forget(session, due, at)
        detail = {"contents": list(due)}
        audit.append(session, actor, "retention.purge_texts", "retention", detail)
    return len(due)


def _forget(session: Session, due: Sequence[str], at: datetime) -> None:
    session.execute(
        update(Content).where(Content.sha256.in_(due)).values(sealed=None, purged_at=at)
    )
    session.execute(
        update(PostRow)
        .where(PostRow.content_sha256.in_(due))
        .values(author_id=None, author_name=None, forwarded_from=None)
    )
    session.execute(delete(SignatureBand).where(SignatureBand.content_sha256.in_(due)))
    session.execute(delete(Signature).where(Signature.content_sha256.in_(due)))


def _is_spared() -> ColumnElement[bool]:
    held = exists().where(LegalHold.content_sha256 == Content.sha256, LegalHold.lifted_at.is_(None))
    gold = exists().where(GoldItem.content_sha256 == Content.sha256, GoldItem.retired_at.is_(None))
    return or_(held, gold)


def _is_due(settings: Settings, at: datetime) -> ColumnElement[bool]:
    of_content = and_(
        PostRow.content_sha256 == Content.sha256,
        CasePost.post_id == PostRow.id,
        Case.id == CasePost.case_id,
    )
    has_case = exists().where(of_content)
    closed_after = at - timedelta(settings.case_text_days)
    needed = exists().where(
        of_content, or_(Case.state != State.CLOSED.value, Case.closed_at >= closed_after)
    )
    imported = exists().where(
        ImportedLabel.content_sha256 == Content.sha256, ImportedLabel.imported_at >= closed_after
    )
    seen_before = Content.last_seen_at < at - timedelta(settings.clear_text_days)
    return and_(seen_before, or_(~has_case, ~needed), ~imported)


def _delete(session: Session, statement: Executable) -> int:
    result = session.execute(statement)
    return result.rowcount if isinstance(result, CursorResult) else 0

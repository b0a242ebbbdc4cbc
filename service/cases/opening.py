"""From scored posts to cases: hits, a random sample of the rest, repeats and near-duplicates."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from service.cases import near
from service.cases.events import SYSTEM, note
from service.cases.states import State, priority
from service.db import now
from service.tables import Case, CasePost, PostRow, ScoreRow

ACCOUNT_CASES = 3
"""An account with so many contents in the queue gets a case of its own that gathers them."""

CHANNEL_CASES = 5
"""The same for a channel."""

SAMPLE_PRIORITY = 2.0
"""A sampled clear post gets a random place up to here, so that its place betrays nothing and it is
not starved by hits."""

draw = random.SystemRandom().random
_RANK = {"clear": 0, "review": 1, "urgent": 2}


@dataclass(frozen=True, slots=True)
class Stored:
    """A post just stored with its score; ``is_new`` where its content is new in its channel.

    ``is_drawn`` says whether the random sample takes it, where that was decided before.
    """

    post: PostRow
    score: ScoreRow
    text: str
    is_new: bool = True
    is_drawn: bool | None = None


@dataclass(slots=True)
class Opened:
    """Ids of the cases that were opened, and of those a post was attached to; ``by_post`` counts
    both by the post that did it."""

    opened: list[int] = field(default_factory=list)
    attached: list[int] = field(default_factory=list)
    by_post: dict[int, Counter[str]] = field(default_factory=dict)

    def note_opened(self, case: Case, post: PostRow) -> None:
        self.opened.append(case.id)
        self.by_post.setdefault(post.id, Counter())["opened"] += 1

    def note_attached(self, case: Case, post: PostRow) -> None:
        self.attached.append(case.id)
        self.by_post.setdefault(post.id, Counter())["attached"] += 1


def open_cases(
    session: Session,
    stored: Iterable[Stored],
    *,
    audit_share: float = 0.0,
    draw: Callable[[], float] = draw,
    at: datetime | None = None,
) -> Opened:
    """Open a case for every hit, or attach it to the one its channel has for the same content.

    A near-duplicate attaches to an open case of its channel, and to the same cluster elsewhere.
    ``audit_share`` of the clear contents new to their channel are put up for review too. Rows are
    locked in one order, channels first; the audit chain is not written, so that the caller can
    write it last.
    """
    at = at or now()
    hits = [item for item in stored if item.score.band != "clear"]
    sampled = [
        item
        for item in stored
        if item.score.band == "clear"
        and item.is_new
        and (draw() < audit_share if item.is_drawn is None else item.is_drawn)
    ]
    made = Opened()
    _lock(session, [*hits, *sampled])
    for item in sorted(hits, key=_order):
        _place_hit(session, item, at, made)
    for item in sorted(sampled, key=_order):
        _place_sample(session, item, at, audit_share, draw(), made)
    _gather(session, hits, at, made)
    session.flush()
    return made


def attach(session: Session, case: Case, post: PostRow, similarity: float, at: datetime) -> bool:
    """Whether the post was new to the case; its reach raises the case's priority."""
    if session.get(CasePost, (case.id, post.id)) is not None:
        return False
    session.add(CasePost(case_id=case.id, post_id=post.id, similarity=similarity))
    case.reach += 1 + (post.views or 0)
    if post.posted_at and (case.posted_at is None or post.posted_at > case.posted_at):
        case.posted_at = post.posted_at
    if case.came_by != "random_audit":
        case.priority = priority(case.labels, case.reach, case.posted_at, at)
    detail = {"post": post.id, "similarity": round(similarity, 4)}
    note(session, case, "attach", SYSTEM, at, detail=detail)
    return True


def _place_hit(session: Session, item: Stored, at: datetime, made: Opened) -> None:
    case = find_case(session, "content", item.post, item.score.content_sha256)
    similarity, cluster, values = 1.0, None, None
    if case is None:
        values = near.signature(item.text)
        similar = near.find_near(session, values)
        case, cluster = _near_case(session, item.post, list(similar))
        similarity = similar.get(case.content_sha256 or "", 1.0) if case else 1.0
    if case is None:
        case = _new_case(session, "content", item, item.score.content_sha256, at)
        case.cluster = cluster or case.id
        if values is not None and not near.is_remembered(session, item.score.content_sha256):
            near.remember(session, item.score.content_sha256, values)
        note(session, case, "open", SYSTEM, at)
        made.note_opened(case, item.post)
    else:
        _raise_to(case, item.score)
        made.note_attached(case, item.post)
    attach(session, case, item.post, similarity, at)


def _place_sample(
    session: Session, item: Stored, at: datetime, share: float, place: float, made: Opened
) -> None:
    if find_case(session, "content", item.post, item.score.content_sha256) is not None:
        return
    case = _new_case(session, "content", item, item.score.content_sha256, at)
    case.cluster, case.came_by, case.sampling_probability = case.id, "random_audit", share
    case.priority = place * SAMPLE_PRIORITY
    note(session, case, "open", SYSTEM, at)
    attach(session, case, item.post, 1.0, at)
    made.note_opened(case, item.post)


def find_case(session: Session, kind: str, post: PostRow, subject: str) -> Case | None:
    """A channel's case of a content, or an account's or channel's own, locked."""
    channel = "" if kind == "account" else post.channel_id
    return session.scalars(
        select(Case)
        .where(
            Case.kind == kind,
            Case.platform == post.platform,
            Case.channel_id == channel,
            Case.subject == subject,
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()


def _near_case(
    session: Session, post: PostRow, similar: Sequence[str]
) -> tuple[Case | None, int | None]:
    """The most similar open case of the channel, and the cluster of the most similar anywhere."""
    if not similar:
        return None, None
    session.flush()
    found = session.execute(
        select(Case.id, Case.content_sha256, Case.cluster, Case.platform, Case.channel_id)
        .add_columns(Case.state)
        .where(Case.kind == "content", Case.content_sha256.in_(similar))
    ).all()
    ranked = sorted(found, key=lambda row: (similar.index(row.content_sha256), row.id))
    here = [
        row.id
        for row in ranked
        if (row.platform, row.channel_id) == (post.platform, post.channel_id)
        and row.state != State.CLOSED
    ]
    case = (
        session.get(Case, here[0], with_for_update=True, populate_existing=True) if here else None
    )
    return case, ranked[0].cluster if ranked else None


def _new_case(session: Session, kind: str, item: Stored, subject: str, at: datetime) -> Case:
    score, post = item.score, item.post
    case = Case(
        kind=kind,
        platform=post.platform,
        channel_id="" if kind == "account" else post.channel_id,
        subject=subject,
        content_sha256=score.content_sha256 if kind == "content" else None,
        state=State.NEW.value,
        band=score.band,
        label=score.decided_by,
        probability=score.terrorism
        if score.decided_by == "terrorism"
        else score.labels[score.decided_by],
        labels=dict(score.labels),
        release=score.release,
        priority=0.0,
        reach=0,
        posted_at=post.posted_at,
        came_by={"urgent": "urgent", "review": "review_band"}.get(score.band, "random_audit"),
        opened_at=at,
        changed_at=at,
        fence=0,
        cycle=1,
        events=0,
    )
    session.add(case)
    session.flush()
    return case


def _raise_to(case: Case, score: ScoreRow) -> None:
    """Take over what is worse in another post of the case."""
    case.labels = {
        label: max(value, case.labels.get(label, 0.0)) for label, value in score.labels.items()
    }
    if _RANK[score.band] > _RANK[case.band]:
        case.band = score.band


def _gather(session: Session, hits: Sequence[Stored], at: datetime, made: Opened) -> None:
    session.flush()
    for item in sorted(hits, key=lambda item: (item.post.platform, item.post.author_id or "")):
        if item.post.author_id:
            _gather_into(session, "account", item, item.post.author_id, ACCOUNT_CASES, at, made)
    for item in sorted(hits, key=_order):
        if item.post.channel_id:
            _gather_into(session, "channel", item, item.post.channel_id, CHANNEL_CASES, at, made)


def _gather_into(
    session: Session, kind: str, item: Stored, subject: str, least: int, at: datetime, made: Opened
) -> None:
    case = find_case(session, kind, item.post, subject)
    if case is not None:
        _raise_to(case, item.score)
        attach(session, case, item.post, 1.0, at)
        return
    mine = (
        PostRow.author_id == subject if kind == "account" else PostRow.channel_id == subject,
        PostRow.platform == item.post.platform,
        CasePost.post_id == PostRow.id,
        Case.id == CasePost.case_id,
        Case.kind == "content",
        Case.came_by != "random_audit",
    )
    cases = session.scalar(select(func.count(func.distinct(Case.id))).where(*mine)) or 0
    if cases < least:
        return
    case = _new_case(session, kind, item, subject, at)
    note(session, case, "open", SYSTEM, at)
    made.note_opened(case, item.post)
    for post in session.scalars(select(PostRow).where(*mine).distinct().order_by(PostRow.id)).all():
        attach(session, case, post, 1.0, at)


def _order(item: Stored) -> tuple[str, str, str, int]:
    return item.post.platform, item.post.channel_id, item.score.content_sha256, item.post.id


def _lock(session: Session, items: Sequence[Stored]) -> None:
    """Let one transaction at a time open cases of a channel or account (SQLite has one writer)."""
    if session.get_bind().dialect.name != "postgresql":
        return
    names = {f"channel {item.post.platform} {item.post.channel_id}" for item in items}
    names |= {f"account {item.post.platform} {item.post.author_id}" for item in items}
    keys = {
        int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)
        for name in names
    }
    for key in sorted(keys):
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})

"""Reading a case's texts: opened from their seal, counted as exposure, and on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from service import audit
from service.auth import Permission, Principal
from service.cases import exposure, repository
from service.cases.schemas import CaseOut, case_of
from service.cases.service import is_held_by, sees_reviews
from service.sealing import Sealer
from service.settings import Settings
from service.tables import Case, PostRow

SHOWN_POSTS = 100
SHOWN_MEMBERS = 10


def read_case(
    session: Session,
    sealer: Sealer,
    who: Principal,
    case: Case,
    settings: Settings,
    at: datetime,
) -> CaseOut:
    """The case as ``who`` may see it, up to ``SHOWN_POSTS`` of its posts."""
    posts = repository.posts_of(session, case.id, SHOWN_POSTS)
    texts = open_texts(session, sealer, [post for post, _ in posts])
    is_full = who.may(Permission.READ_ALL) and not is_held_by(case, who.id, at)
    is_open = is_full and sees_reviews(case, who)
    # A claim has counted its exposure already.
    if who.may(Permission.REVIEW) and not exposure.has_seen(session, who.id, case.id):
        exposure.record(session, who.id, case.id, settings, at)
    detail = {"contents": sorted(texts)}
    audit.append(session, who.id, "text.read", f"case:{case.id}", detail)
    return case_of(
        case,
        posts,
        texts,
        events=repository.events_of(session, case.id) if is_open else None,
        reviews=repository.reviews_of(session, case.id) if is_open else None,
        has_summary=is_full,
    )


def open_texts(
    session: Session, sealer: Sealer, posts: Sequence[PostRow]
) -> Mapping[str, str | None]:
    """Texts by SHA-256; ``None`` where one was purged."""
    sealed = repository.sealed_texts(session, sorted({post.content_sha256 for post in posts}))
    return {sha256: None if raw is None else sealer.open(raw) for sha256, raw in sealed.items()}

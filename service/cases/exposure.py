"""How much a reviewer is shown: a limit for each shift, and a pause nobody skips silently."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service import audit
from service.errors import Conflict, NotFound
from service.settings import Settings
from service.tables import Exposure, Pause


def check(session: Session, reviewer: str, settings: Settings, at: datetime) -> None:
    """Refuse another text to somebody who pauses or has seen enough for a shift.

    Raises
    ------
    Conflict
        With the seconds to wait.
    """
    pause = current_pause(session, reviewer, at)
    if pause is not None:
        raise Conflict(
            f"you are on a pause until {pause.until.isoformat(timespec='seconds')}; "
            "it can be cut short with a reason, which is recorded",
            retry_after_seconds=_seconds(pause.until - at),
        )
    shift = timedelta(hours=settings.shift_hours)
    if shown_since(session, reviewer, at - shift) >= settings.shift_texts:
        oldest = session.scalars(
            select(Exposure.at)
            .where(Exposure.reviewer == reviewer, Exposure.at > at - shift)
            .order_by(Exposure.at)
        ).first()
        raise Conflict(
            f"you have been shown {settings.shift_texts} texts in {settings.shift_hours} hours, "
            "the limit of a shift; go on later",
            retry_after_seconds=_seconds((oldest or at) + shift - at),
        )


def record(session: Session, reviewer: str, case_id: int, settings: Settings, at: datetime) -> None:
    """Count a text shown; the last one before a pause begins it."""
    session.add(Exposure(reviewer=reviewer, case_id=case_id, at=at))
    session.flush()
    last = session.scalars(
        select(Pause).where(Pause.reviewer == reviewer).order_by(Pause.id.desc()).limit(1)
    ).first()
    since = at - timedelta(hours=settings.shift_hours)
    if last is not None:
        since = max(since, last.begins_at)
    enough = shown_since(session, reviewer, since) >= settings.pause_after_texts
    if settings.pause_minutes and enough and current_pause(session, reviewer, at) is None:
        until = at + timedelta(minutes=settings.pause_minutes)
        session.add(Pause(reviewer=reviewer, begins_at=at, until=until))


def skip_pause(session: Session, reviewer: str, reason: str, at: datetime) -> Pause:
    """Cut the current pause short; who did it and why is kept.

    Raises
    ------
    NotFound
        There is no pause to skip.
    """
    pause = current_pause(session, reviewer, at)
    if pause is None:
        raise NotFound("you are not on a pause")
    pause.skipped_at, pause.skip_reason = at, reason
    audit.append(session, reviewer, "pause.skip", f"pause:{pause.id}", {"reason": reason})
    return pause


def current_pause(session: Session, reviewer: str, at: datetime) -> Pause | None:
    return session.scalars(
        select(Pause)
        .where(
            Pause.reviewer == reviewer,
            Pause.begins_at <= at,
            Pause.until > at,
            Pause.skipped_at.is_(None),
        )
        .limit(1)
    ).first()


def shown_since(session: Session, reviewer: str, since: datetime) -> int:
    """Texts shown after ``since``."""
    shown = select(func.count()).where(Exposure.reviewer == reviewer, Exposure.at > since)
    return session.scalar(shown) or 0


def shown_in_shift(session: Session, reviewer: str, hours: int, at: datetime) -> int:
    return shown_since(session, reviewer, at - timedelta(hours=hours))


def has_seen(session: Session, reviewer: str, case_id: int) -> bool:
    seen = select(Exposure.id).where(Exposure.reviewer == reviewer, Exposure.case_id == case_id)
    return session.scalars(seen.limit(1)).first() is not None


def _seconds(wait: timedelta) -> int:
    return max(1, int(wait.total_seconds()) + 1)

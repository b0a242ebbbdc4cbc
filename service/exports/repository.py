"""Jobs in the database: who holds one, and how far it is."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, CursorResult, and_, or_, select, update
from sqlalchemy.orm import Session

from service.errors import ServiceError
from service.tables import Job

EXPORT = "export"


class JobState(StrEnum):
    """``queued → running → done | failed``; a run that stops or dies puts its job back."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


ENDED = (JobState.DONE, JobState.FAILED)


class LeaseLostError(ServiceError):
    """Another run holds the job now."""


def is_any_waiting(session: Session, at: datetime) -> bool:
    return session.scalar(select(Job.id).where(_is_free(at)).limit(1)) is not None


def claim(session: Session, holder: str, lease_seconds: int, at: datetime) -> Job | None:
    """The oldest job that nobody works on, now held by ``holder``; each by one at a time."""
    job = session.scalars(
        select(Job)
        .where(_is_free(at))
        .order_by(Job.created_at, Job.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if job is not None:
        job.state, job.holder = JobState.RUNNING.value, holder
        job.lease_until = at + timedelta(seconds=lease_seconds)
        job.fence += 1
        job.attempts += 1
    return job


def held(session: Session, job_id: str, fence: int) -> Job:
    """The job, locked, for the run that claimed it under ``fence``.

    Raises
    ------
    LeaseLostError
        The lease ended and another run claimed it, or it is done.
    """
    job = session.get(Job, job_id, with_for_update=True, populate_existing=True)
    if job is None or job.fence != fence or job.state != JobState.RUNNING:
        raise LeaseLostError(f"job {job_id} is held by another run")
    return job


def renew(session: Session, job_id: str, fence: int, until: datetime) -> bool:
    """Whether the run still holds the job, now until ``until``."""
    result = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.fence == fence, Job.state == JobState.RUNNING.value)
        .values(lease_until=until)
    )
    return isinstance(result, CursorResult) and result.rowcount == 1


def put_back(job: Job) -> None:
    """Let the next run take it up."""
    job.state, job.holder, job.lease_until = JobState.QUEUED.value, None, None


def end(job: Job, state: JobState, at: datetime) -> None:
    job.state, job.holder, job.lease_until, job.finished_at = state.value, None, None, at


def due_for_purge(session: Session, before: datetime, limit: int) -> list[Job]:
    """Ended jobs whose files' time is over."""
    return list(
        session.scalars(
            select(Job)
            .where(Job.kind == EXPORT, Job.finished_at < before, Job.purged_at.is_(None))
            .order_by(Job.finished_at, Job.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    )


def states_of(session: Session, job_ids: Collection[str]) -> dict[str, tuple[str, int]]:
    """State and fence of those of the jobs that there are."""
    rows = session.execute(select(Job.id, Job.state, Job.fence).where(Job.id.in_(job_ids)))
    return {job_id: (state, fence) for job_id, state, fence in rows}


def _is_free(at: datetime) -> ColumnElement[bool]:
    is_given_up = and_(Job.state == JobState.RUNNING.value, Job.lease_until < at)
    return and_(Job.kind == EXPORT, or_(Job.state == JobState.QUEUED.value, is_given_up))

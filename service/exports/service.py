"""Who may send an export, who may see what became of it, and how long its files are kept."""

from __future__ import annotations

import secrets
import shutil
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from screening.errors import ReadError
from screening.readers import Columns
from screening.readers.containers import printable, zip_members
from screening.readers.detection import READABLE, detect
from screening.readers.streams import HEAD_BYTES, MAX_ARCHIVE_BYTES, Allowance
from screening.readers.telegram import clean_username
from service import audit
from service.auth import Permission, Principal
from service.db import Database, now
from service.errors import Conflict, NotFound, Overloaded, Unprocessable
from service.exports import repository
from service.exports.folders import JobFolder
from service.exports.repository import ENDED, EXPORT, JobState
from service.exports.running import RESULT_NAME
from service.exports.schemas import Format, to_answer
from service.scoring.service import Once, Room, answering, given_before, remember
from service.settings import Settings
from service.tables import Job

MAX_OPEN_JOBS = 50
"""Jobs that one key or person may have waiting."""

PURGED_TOGETHER = 100

STRAY_SECONDS = 24 * 3600
"""Age at which files that belong to no job are taken for left behind."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was said of an export beside its bytes."""

    name: str
    username: str | None
    columns: str | None

    @classmethod
    def checked(cls, name: str, username: str | None, columns: str | None) -> Options:
        """The options, in the form that the readers take.

        Raises
        ------
        Unprocessable
            Naming the one that is wrong.
        """
        try:
            username = clean_username(username)
        except ReadError as error:
            words = "not a Telegram username; give 4 to 32 letters, digits or underscores"
            raise Unprocessable(words, pointer="/query/username") from error
        try:
            Columns.parse(columns or "")
        except ReadError as error:
            raise Unprocessable(str(error), pointer="/query/columns") from error
        return cls(printable(name), username, columns)


@dataclass(frozen=True, slots=True)
class Received:
    """An upload that is whole on disk."""

    job_id: str
    n_bytes: int
    sha256: str


def new_id() -> str:
    return secrets.token_hex(16)


def check_may_send(room: Room, who: Principal) -> None:
    """Raise ``Overloaded`` where ``MAX_OPEN_JOBS`` of the sender wait already."""
    with room.database.reading() as session:
        count = session.scalar(
            select(func.count())
            .select_from(Job)
            .where(Job.principal == who.id, Job.state.not_in([state.value for state in ENDED]))
        )
    if (count or 0) >= MAX_OPEN_JOBS:
        words = f"{count} of your exports wait already; send more when some are done"
        raise Overloaded(words, retry_after_seconds=60)


def check_readable(path: Path, options: Options) -> None:
    """Refuse at once what no reader knows, and a .zip that is not whole.

    Raises
    ------
    Unprocessable
        Saying what was seen instead.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        columns = Columns.parse(options.columns or "")
        found = detect(head, is_whole=len(head) < HEAD_BYTES, columns=columns)
        if found.kind == "empty":
            raise Unprocessable(f"{options.name}: is empty")
        if found.kind == "unknown":
            raise Unprocessable(f"{options.name}: {found.seen}. Read are {READABLE}.")
        if found.kind == "zip":
            try:
                zip_members(file, options.name, Allowance(options.name, MAX_ARCHIVE_BYTES))
            except ReadError as error:
                raise Unprocessable(str(error)) from error


def accept(
    room: Room, who: Principal, upload: Received, options: Options, key: str | None
) -> tuple[dict[str, Any], bool]:
    """The new job of an upload, or the answer that its ``Idempotency-Key`` was given before.

    When this returns, the job outlives the server.

    Raises
    ------
    Unprocessable
        The key was used for another request.
    Conflict
        The same key is being answered at this moment.
    """
    about = {"name": options.name, "username": options.username, "columns": options.columns}
    once = Once.of(key, {"export": upload.sha256, **about})
    if once is not None and (given := given_before(room, who, once)) is not None:
        return given, True
    at = now()
    job = Job(
        id=upload.job_id,
        kind=EXPORT,
        state=JobState.QUEUED.value,
        principal=who.id,
        name=options.name,
        detail={"username": options.username, "columns": options.columns},
        report={},
        parts=0,
        posts=0,
        hits=0,
        bytes_total=upload.n_bytes,
        bytes_read=0,
        fence=0,
        attempts=0,
        created_at=at,
    )
    body = to_answer(job).model_dump(mode="json")
    with answering(once), room.database.session() as session:
        session.add(job)
        session.flush()
        if once is not None:
            remember(session, who, once, body, at)
        detail = {"bytes": upload.n_bytes, "sha256": upload.sha256}
        audit.append(session, who.id, "export.submit", f"job:{job.id}", detail)
    return body, False


def find_job(session: Session, who: Principal, job_id: str) -> Job:
    """A job for whoever sent it, and for those who read all.

    Raises
    ------
    NotFound
        There is none, or it is someone else's.
    """
    job = session.get(Job, job_id)
    if job is None or not (job.principal == who.id or who.may(Permission.READ_ALL)):
        raise NotFound(f"there is no job {job_id} of yours")
    return job


def open_result(
    database: Database, settings: Settings, who: Principal, job_id: str, wanted: Format
) -> Path:
    """The file of a done job's scores; that it was read is on record.

    Raises
    ------
    NotFound
        No such job, or its files were removed.
    Conflict
        It is not done.
    """
    with database.session() as session:
        job = find_job(session, who, job_id)
        if job.purged_at is not None:
            raise NotFound(
                f"the result was removed on {job.purged_at.date()}, "
                f"{settings.result_days} days after the job had ended"
            )
        if job.state != JobState.DONE:
            raise Conflict(f"the job is {job.state}; only one that is done has a result")
        folder = JobFolder(settings.data_dir, job.id).result(job.fence)
        path = folder / f"{RESULT_NAME}.{wanted}"
        if not path.is_file():
            raise NotFound("the result is not in this server's data folder")
        audit.append(session, who.id, "export.read", f"job:{job.id}", {"format": wanted})
    return path


def purge_files(database: Database, settings: Settings, actor: str, at: datetime) -> int:
    """Remove the files of jobs that ended ``result_days`` ago, and what a kill left behind.

    The job's row stays, without the names that were given for it. Returns how many jobs.
    """
    before, done = at - timedelta(days=settings.result_days), 0
    while purged := _purge_some(database, settings.data_dir, before, actor, at):
        done += purged
    _remove_strays(database, settings.data_dir)
    return done


def _purge_some(
    database: Database, data_dir: Path, before: datetime, actor: str, at: datetime
) -> int:
    with database.session() as session:
        jobs = repository.due_for_purge(session, before, PURGED_TOGETHER)
        for job in jobs:
            JobFolder(data_dir, job.id).remove()
            job.purged_at, job.name, job.detail = at, "", {}
            job.report = {**job.report, "notes": []}
        if jobs:
            detail = {"jobs": [job.id for job in jobs]}
            audit.append(session, actor, "retention.purge_results", "retention", detail)
    return len(jobs)


def _remove_strays(database: Database, data_dir: Path) -> None:
    root = data_dir / "exports"
    folders = {path.name: path for path in root.iterdir()} if root.is_dir() else {}
    with database.reading() as session:
        known = repository.states_of(session, folders.keys())
    for name, path in folders.items():
        state, fence = known.get(name, (None, 0))
        if state == JobState.DONE:
            JobFolder(data_dir, name).settle(fence)
        elif state == JobState.FAILED or (state is None and _age_seconds(path) > STRAY_SECONDS):
            shutil.rmtree(path)


def _age_seconds(path: Path) -> float:
    return time.time() - path.stat().st_mtime

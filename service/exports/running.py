"""One job from upload to results: scored part by part, each part stored once.

``screening.batch`` makes the parts, on disk and checked against the upload when a run takes over.
A part's posts, scores and cases are stored in one transaction with the job's count of parts, so
that a run killed at any moment stores nothing twice and leaves nothing out.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from screening.batch import Progress, WorkFolder, score_posts
from screening.errors import OutputError, ReadError, ResumeError
from screening.outputs import RESULT_SUFFIXES, write_rows
from screening.policy import Policy
from screening.readers import Columns, open_export
from screening.rows import Row, post_of_row, score_of_row
from screening.types import Post, ReadReport, Score
from service import audit
from service.auth import Principal, Role
from service.db import now
from service.errors import InsufficientStorage, Overloaded, ServiceError, Unavailable, Unprocessable
from service.exports import repository
from service.exports.fitting import fitted
from service.exports.folders import FULL, JobFolder, sync_folder
from service.exports.repository import JobState, LeaseLostError
from service.scoring.batcher import Batcher
from service.scoring.service import Room
from service.scoring.storing import Scored, store

PART_POSTS = 64
"""Posts scored between two saves: what a kill can cost, and what one transaction stores while
others wait to write."""

PIECE_POSTS = 32
"""Posts of a job in the scorer's queue at a time, so that requests hardly wait for it."""

MAX_NOTES = 20
RESULT_NAME = "scores"


class StoppedError(Exception):
    """The server stops; the job goes back to the queue."""


@dataclass(frozen=True, slots=True)
class Held:
    """A claimed job: what its run needs to know of it."""

    id: str
    fence: int
    name: str
    principal: str
    username: str | None
    columns: str | None
    parts: int
    release: str | None


class Run:
    """One run of a job that is held under a fence."""

    def __init__(self, room: Room, job: Held, stopping: threading.Event) -> None:
        self._room = room
        self._job = job
        self._stopping = stopping
        self.lost = threading.Event()
        self._folder = JobFolder(room.settings.data_dir, job.id)
        self._report = ReadReport()
        self._bytes_read = 0
        self._next_part = 0
        self._stored_parts = job.parts

    def run(self) -> None:
        """Score the upload, store it, write the results, and mark the job done.

        Raises
        ------
        StoppedError
            The server stops.
        LeaseLostError
            Another run holds the job.
        ServiceError
            ``Unprocessable`` or ``InsufficientStorage``: trying again would not help.
            ``Unavailable``: the database or the disk is away; another run may go on.
        ResumeError
            The upload does not hold the posts of the parts made before.
        """
        work = self._opened_work()
        try:
            if self._scored(work).posts == 0:
                raise Unprocessable(f"{self._job.name}: no posts with text found")
            self._write_results(work)
        except ResumeError:
            # The upload is read otherwise than before, as by a newer version: from the start.
            work.remove()
            self._start_over()
            raise
        except ReadError as error:
            raise Unprocessable(self._without_path(str(error))) from error
        except (OutputError, OSError) as error:
            raise _disk_error(error) from error
        self._finish()

    def _opened_work(self) -> WorkFolder:
        job, release = self._job, self._room.batcher.release
        if not self._folder.upload.exists():
            raise Unprocessable(
                f"{job.name}: the upload is not in this server's data folder; upload it again"
            )
        self._folder.take_over_work(job.fence)
        work = WorkFolder(
            self._folder.work(job.fence), {"release": release, "part_posts": PART_POSTS}
        )
        is_other_release = job.release not in (None, release)
        try:
            work.open(restart=is_other_release)
        except ResumeError:  # of another release, which stored nothing yet
            work.open(restart=True)
        if is_other_release:
            self._start_over()
        return work

    def _start_over(self) -> None:
        """Another release scores all posts anew; what is stored of the former stays."""
        with self._room.database.session() as session:
            job = repository.held(session, self._job.id, self._job.fence)
            job.parts = job.posts = job.hits = job.bytes_read = 0
        self._stored_parts = 0

    def _scored(self, work: WorkFolder) -> Progress:
        job = self._job
        posts = open_export(
            self._folder.upload,
            username=job.username,
            columns=Columns.parse(job.columns) if job.columns else None,
            report=self._report,
            progress=self._note_bytes,
        )
        with closing(posts):  # type: ignore[type-var]  # a generator
            return score_posts(
                self._checked(posts),
                Patient(self._room.batcher, self.check, self._stopping),
                work,
                on_progress=lambda progress: self._store_next(work),
                chunk_posts=PART_POSTS,
            )

    def check(self) -> None:
        """Raise where this run should go no further."""
        if self.lost.is_set():
            raise LeaseLostError(f"job {self._job.id} is held by another run")
        if self._stopping.is_set():
            raise StoppedError

    def _checked(self, posts: Iterable[Post]) -> Iterator[Post]:
        for post in posts:
            self.check()
            yield post

    def _note_bytes(self, total: int) -> None:
        self._bytes_read = total

    def _store_next(self, work: WorkFolder) -> None:
        """Store the part just finished or taken over, unless an earlier run did."""
        self.check()
        number = self._next_part
        self._next_part += 1
        if number < self._stored_parts:
            return
        if (part := work.read_part(number)) is not None:
            self._store(part[1])

    def _store(self, rows: Sequence[Row]) -> None:
        room, policy = self._room, self._room.batcher.policy
        scored = [Scored(fitted(post_of_row(row)), score_of_row(row)) for row in rows]
        with room.database.session() as session:
            job = repository.held(session, self._job.id, self._job.fence)
            job.parts += 1
            job.posts += len(rows)
            job.hits += sum(row["band"] != "clear" for row in rows)
            job.release = room.batcher.release
            job.attempts = 0
            self._note_reading(job)
            session.flush()
            store(
                session,
                room.sealer,
                scored,
                policy=policy,
                who=Principal(self._job.principal, "", Role.SUBMITTER),
                at=now(),
                audit_share=room.settings.audit_share,
            )
        for row in rows:
            room.metrics.bands.labels(row["band"], row["release"]).inc()

    def _note_reading(self, job: Any) -> None:
        job.bytes_read = min(self._bytes_read, job.bytes_total)
        job.report = {
            "skipped": dict(self._report.skipped),
            "repaired": dict(self._report.repaired),
            "notes": [self._without_path(note) for note in self._report.notes[:MAX_NOTES]],
        }

    def _write_results(self, work: WorkFolder) -> None:
        folder = self._folder.result(self._job.fence)
        folder.mkdir()
        for suffix in RESULT_SUFFIXES:
            path = folder / f"{RESULT_NAME}{suffix}"
            write_rows(path, self._checked_rows(work))
            with path.open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(folder)

    def _checked_rows(self, work: WorkFolder) -> Iterator[Row]:
        for row in work.rows():
            self.check()
            yield row

    def _finish(self) -> None:
        with self._room.database.session() as session:
            job = repository.held(session, self._job.id, self._job.fence)
            self._note_reading(job)
            job.bytes_read = job.bytes_total
            repository.end(job, JobState.DONE, now())
            detail = {"posts": job.posts, "hits": job.hits}
            audit.append(session, self._job.principal, "export.done", f"job:{job.id}", detail)
        self._folder.settle(self._job.fence)

    def _without_path(self, words: str) -> str:
        """A reader names files by path; the caller knows the export by its own name."""
        return words.replace(str(self._folder.upload), self._job.name)


class Patient:
    """The service's batcher as a ``Scorer`` for work that nobody waits for: a few posts at a time,
    and where the queue is full, later."""

    def __init__(
        self, batcher: Batcher, check: Callable[[], None], stopping: threading.Event
    ) -> None:
        self._batcher = batcher
        self._check = check
        self._stopping = stopping

    @property
    def release(self) -> str:
        return self._batcher.release

    @property
    def policy(self) -> Policy:
        return self._batcher.policy

    def score(self, texts: Sequence[str]) -> list[Score]:
        scores: list[Score] = []
        while len(scores) < len(texts):
            self._check()
            try:
                scores += self._batcher.score(texts[len(scores) : len(scores) + PIECE_POSTS])
            except Overloaded as error:
                self._stopping.wait(error.retry_after_seconds)
        return scores

    def score_chunks(self, chunks: Iterable[Sequence[str]]) -> Iterator[list[Score]]:
        for texts in chunks:
            yield self.score(texts)


def _disk_error(error: OutputError | OSError) -> ServiceError:
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, OSError) and cause.errno in FULL:
        return InsufficientStorage(
            "the server's disk is full; posts stored so far are kept: upload the export again "
            "when there is space"
        )
    return Unavailable("the server cannot write or read the job's files")

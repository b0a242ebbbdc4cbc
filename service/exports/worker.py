"""The thread of a server that works on jobs, one after the other."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from service import audit
from service.db import now
from service.errors import InsufficientStorage, ServiceError, Unavailable, Unprocessable
from service.exports import repository
from service.exports.folders import JobFolder
from service.exports.repository import JobState, LeaseLostError
from service.exports.running import Held, Run, StoppedError
from service.scoring.service import Room

log = logging.getLogger("penapisan.jobs")

POLL_SECONDS = 5.0
"""How soon a job is found that another server left."""

MAX_ATTEMPTS = 5
"""Runs without a stored part, after which a job counts as one that cannot be done."""


class Worker:
    """Claims jobs under a lease, runs them, and puts back what it cannot finish."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._holder = f"{socket.gethostname()[:32]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._lease_seconds = room.settings.job_lease_seconds
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look for jobs now."""
        self._woken.set()

    def close(self) -> None:
        """Stop after the posts being scored; the job goes back to the queue with what is done."""
        self._stopping.set()
        self._woken.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                was_busy = self._run_next()
            except ServiceError as error:
                # The database is away or full: what was held is found again when its lease ends.
                log.warning("jobs wait: %s", error.detail)
                was_busy = False
            except Exception as error:  # noqa: BLE001  the thread lives
                log.error("jobs wait: %s", type(error).__name__)
                was_busy = False
            if not was_busy:
                self._woken.wait(min(POLL_SECONDS, self._lease_seconds))

    def _run_next(self) -> bool:
        """Whether a job was run to an end, so that the next may follow at once."""
        job = self._claim()
        if job is None:
            return False
        run = Run(self._room, job, self._stopping)
        try:
            with self._renewed(run, job):
                run.run()
        except LeaseLostError:
            log.warning("job %s is held by another run", job.id)
        except StoppedError:
            self._put_back(job, is_attempt=False)
        except (Unprocessable, InsufficientStorage) as error:
            self._fail(job, error)
        except Exception as error:  # noqa: BLE001  the thread lives, and the job has its attempts
            # By its kind alone: an error's words may quote a post.
            log.error("job %s broke off: %s", job.id, type(error).__name__)
            self._put_back(job, is_attempt=True)
            return False
        return True

    def _claim(self) -> Held | None:
        at = now()
        with self._room.database.reading() as session:
            if not repository.is_any_waiting(session, at):
                return None
        with self._room.database.session() as session:
            job = repository.claim(session, self._holder, self._lease_seconds, at)
            if job is None:
                return None
            held = Held(
                job.id,
                job.fence,
                job.name,
                job.principal,
                job.detail.get("username"),
                job.detail.get("columns"),
                job.parts,
                job.release,
            )
            attempts = job.attempts
        if attempts > MAX_ATTEMPTS:
            words = f"the job broke off {MAX_ATTEMPTS} times at the same place"
            self._fail(held, ServiceError(words))
            return None
        return held

    @contextmanager
    def _renewed(self, run: Run, job: Held) -> Iterator[None]:
        """Renew the lease until the block ends; a run that lost it is told."""
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(self._lease_seconds / 3):
                until = now() + timedelta(seconds=self._lease_seconds)
                try:
                    with self._room.database.session() as session:
                        if not repository.renew(session, job.id, job.fence, until):
                            run.lost.set()
                            return
                except Unavailable as error:
                    log.warning("the lease of job %s is not renewed: %s", job.id, error.detail)

        thread = threading.Thread(target=renew, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _put_back(self, job: Held, *, is_attempt: bool) -> None:
        try:
            with self._room.database.session() as session:
                row = repository.held(session, job.id, job.fence)
                repository.put_back(row)
                if not is_attempt:
                    row.attempts = max(0, row.attempts - 1)
        except LeaseLostError:
            log.warning("job %s is held by another run", job.id)

    def _fail(self, job: Held, error: ServiceError) -> None:
        try:
            with self._room.database.session() as session:
                row = repository.held(session, job.id, job.fence)
                row.error, row.error_status = error.detail[:2000], error.status
                repository.end(row, JobState.FAILED, now())
                detail = {"status": error.status, "posts": row.posts}
                audit.append(session, job.principal, "export.fail", f"job:{job.id}", detail)
        except LeaseLostError:
            log.warning("job %s is held by another run", job.id)
        else:
            JobFolder(self._room.settings.data_dir, job.id).remove()

"""Who runs a job, what a stop or a kill costs, and how long its files are kept."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from screening.types import Score
from service import audit
from service.auth import Role
from service.db import Database, now
from service.exports import repository
from service.exports.folders import JobFolder
from service.exports.repository import JobState, LeaseLostError
from service.exports.running import PART_POSTS
from service.exports.service import MAX_OPEN_JOBS
from service.exports.worker import MAX_ATTEMPTS, Worker
from service.retention import purge
from service.settings import Settings
from service.tables import Job, PostRow
from tests.builders import FakeScorer, make_score
from tests.service.building import AT
from tests.service.exports.sending import (
    assert_stored_once,
    ended,
    jsonl,
    kept_files,
    posts,
    read,
    result_rows,
    send,
)
from tests.service.serving import key_of, served

MINUTE = timedelta(minutes=1)
POSTS = 4 * PART_POSTS


class ClosedAfter(FakeScorer):
    """Scores a number of texts, then waits until it is opened."""

    def __init__(self, texts: int) -> None:
        super().__init__()
        self._texts = texts
        self.is_reached = threading.Event()
        self.gate = threading.Event()

    def score(self, texts: Sequence[str]) -> list[Score]:
        if len(self.asked) >= self._texts:
            self.is_reached.set()
            self.gate.wait(60)
        return super().score(texts)


class OtherRelease(FakeScorer):
    release = "fake-2"

    def _score(self, text: str) -> Score:
        return make_score(0.95 if "x" in text else 0.0, release=self.release)


class BrokenScorer(FakeScorer):
    def score(self, texts: Sequence[str]) -> list[Score]:
        raise ValueError("a post's words")


def new_job(database: Database, name: str = "a", **fields: object) -> str:
    defaults: dict[str, object] = {
        "id": name.rjust(32, "0"),
        "kind": "export",
        "state": "queued",
        "principal": "key:1",
        "name": name,
        "detail": {},
        "report": {},
        "created_at": AT,
    }
    with database.session() as session:
        session.add(Job(**{**defaults, **fields}))
    return str(defaults["id"])


def interrupted(settings: Settings, headers: dict[str, str], content: bytes) -> str:
    """A job whose server was stopped after some parts."""
    scorer = ClosedAfter(2 * PART_POSTS)
    with served(settings, scorer) as client:
        client.headers.update(headers)
        job_id = send(client, content)
        assert scorer.is_reached.wait(60)
        worker: Worker = client.app.state.worker  # type: ignore[attr-defined]
        opener = threading.Thread(target=open_once, args=(worker._stopping, scorer.gate))
        opener.start()
    opener.join()
    return job_id


def open_once(condition: threading.Event, gate: threading.Event) -> None:
    condition.wait(60)
    gate.set()


def test_a_stopped_server_puts_its_job_back_and_the_next_goes_on(
    settings: Settings, database: Database
) -> None:
    headers = key_of(database, Role.SUBMITTER)
    job_id = interrupted(settings, headers, posts(POSTS))
    with database.reading() as session:
        job = session.get_one(Job, job_id)
        assert (job.state, job.holder, job.attempts) == ("queued", None, 0)
        assert 0 < job.posts < POSTS
        assert job.posts == session.scalar(select(func.count()).select_from(PostRow))
        done = job.posts
    scorer = FakeScorer()
    with served(settings, scorer) as client:
        client.headers.update(headers)
        job_now = ended(client, job_id)
        assert (job_now["state"], job_now["posts"]) == ("done", POSTS)
        rows = result_rows(client, job_id)
    assert [row["message_id"] for row in rows] == [str(n) for n in range(POSTS)]
    assert len(scorer.asked) <= POSTS - done, "finished parts are not scored again"
    assert_stored_once(database, POSTS)


def test_a_job_taken_up_by_another_release_is_scored_anew(
    settings: Settings, database: Database
) -> None:
    headers = key_of(database, Role.SUBMITTER)
    job_id = interrupted(settings, headers, posts(POSTS))
    with served(settings, OtherRelease()) as client:
        client.headers.update(headers)
        job = ended(client, job_id)
        assert (job["state"], job["release"], job["posts"]) == ("done", "fake-2", POSTS)
        assert {row["release"] for row in result_rows(client, job_id)} == {"fake-2"}
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(PostRow)) == POSTS


def test_a_job_that_always_breaks_off_fails_in_the_end_without_a_word_of_a_post(
    settings: Settings,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("service.exports.worker.POLL_SECONDS", 0.01)
    with served(settings, BrokenScorer()) as client:
        client.headers.update(key_of(database, Role.SUBMITTER))
        job = ended(client, send(client, posts(10)))
    assert (job["state"], job["error"]["status"]) == ("failed", 500)
    assert job["error"]["detail"] == f"the job broke off {MAX_ATTEMPTS} times at the same place"
    assert kept_files(settings) == []
    assert "ValueError" in caplog.text
    assert "words" not in caplog.text


def test_a_job_without_its_upload_fails(settings: Settings, database: Database) -> None:
    """As after a restore: files are not in a back-up."""
    headers = key_of(database, Role.AUDITOR)
    job_id = new_job(database, "b")
    with served(settings) as client:
        client.headers.update(headers)
        job = ended(client, job_id)
    assert "not in this server's data folder" in job["error"]["detail"]


def test_a_sender_may_have_so_many_jobs_waiting(settings: Settings, database: Database) -> None:
    held = {"state": "running", "lease_until": now() + 60 * MINUTE}
    for number in range(MAX_OPEN_JOBS):
        last = new_job(database, f"j{number}", **held)
    with served(settings) as client:
        client.headers.update(key_of(database, Role.SUBMITTER))
        refused = client.post("/v1/exports", content=posts(1))
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == "60"
        with database.session() as session:
            session.get_one(Job, last).state = "done"
        assert client.post("/v1/exports", content=posts(1)).status_code == 202


def test_the_oldest_job_is_claimed_and_each_once(database: Database) -> None:
    new_job(database, "late", created_at=AT + MINUTE)
    first = new_job(database, "early")
    new_job(database, "done", state="done")
    with database.session() as session:
        job = repository.claim(session, "a", 60, AT)
        assert job is not None
        assert (job.id, job.fence, job.holder) == (first, 1, "a")

    def claim(number: int) -> str | None:
        with database.session() as session:
            job = repository.claim(session, f"worker {number}", 60, AT)
            return None if job is None else job.id

    ids = [new_job(database, f"n{n}", created_at=AT + MINUTE) for n in range(10)]
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(claim, range(40)))
    assert sorted(filter(None, claimed)) == sorted([*ids, "late".rjust(32, "0")])


def test_two_servers_share_the_jobs_and_run_each_once(
    settings: Settings, database: Database
) -> None:
    headers = key_of(database, Role.SUBMITTER)
    with served(settings) as one, served(settings) as other:
        ids = []
        for number in range(8):
            client = (one, other)[number % 2]
            client.headers.update(headers)
            rows = [{"text": f"pagi {number} {n}", "message_id": f"{n}"} for n in range(100)]
            ids.append(send(client, jsonl(rows)))
        assert {ended(one, job_id)["state"] for job_id in ids} == {"done"}
    with database.reading() as session:
        done = [e.subject for e in audit.entries(session) if e.action == "export.done"]
        assert sorted(done) == sorted(f"job:{job_id}" for job_id in ids)
        submitted = [e.detail for e in audit.entries(session) if e.action == "posts.submit"]
        assert sum(detail["posts"] for detail in submitted) == 800
        assert session.scalar(select(func.count()).select_from(PostRow)) == 800
        assert {job.fence for job in session.scalars(select(Job))} == {1}


def test_a_lease_that_ended_gives_the_job_away_and_fences_the_former_holder_off(
    database: Database,
) -> None:
    job_id = new_job(database)
    with database.session() as session:
        assert repository.claim(session, "a", 60, AT) is not None
    with database.session() as session:
        assert not repository.is_any_waiting(session, AT + MINUTE)
        assert repository.claim(session, "b", 60, AT + MINUTE) is None
        assert repository.renew(session, job_id, 1, AT + 2 * MINUTE)
        assert repository.claim(session, "b", 60, AT + 1.5 * MINUTE) is None
    with database.session() as session:
        job = repository.claim(session, "b", 60, AT + 3 * MINUTE)
        assert job is not None
        assert (job.fence, job.holder) == (2, "b")
    with database.session() as session:
        assert not repository.renew(session, job_id, 1, AT + 9 * MINUTE)
        with pytest.raises(LeaseLostError):
            repository.held(session, job_id, 1)
        assert repository.held(session, job_id, 2).holder == "b"
        repository.end(repository.held(session, job_id, 2), JobState.DONE, AT)
        session.flush()
        with pytest.raises(LeaseLostError):
            repository.held(session, job_id, 2)


def test_a_run_that_lost_its_job_stores_nothing_more(
    settings: Settings, database: Database
) -> None:
    headers = key_of(database, Role.SUBMITTER)
    scorer = ClosedAfter(2 * PART_POSTS)
    with served(settings, scorer) as client:
        client.headers.update(headers)
        job_id = send(client, posts(POSTS))
        assert scorer.is_reached.wait(60)
        with database.session() as session:
            job = session.get_one(Job, job_id)
            stored, job.fence, job.holder = job.posts, job.fence + 1, "other"
        scorer.gate.set()
        next_id = send(client, posts(1))
        assert ended(client, next_id)["state"] == "done"
        job_now = read(client, job_id)
    assert (job_now["state"], job_now["posts"]) == ("running", stored)


def test_a_work_folder_is_taken_over_without_what_was_half_written(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path, "a")
    for fence in (1, 3):
        folder.work(fence).mkdir(parents=True)
        (folder.work(fence) / "part-0000000.jsonl").write_text(str(fence))
    (folder.work(3) / "part-0000001.partial").write_text("half")
    folder.take_over_work(4)
    assert [path.name for path in folder.path.iterdir()] == ["work-4"]
    assert [path.name for path in folder.work(4).iterdir()] == ["part-0000000.jsonl"]
    assert (folder.work(4) / "part-0000000.jsonl").read_text() == "3"


def test_results_are_removed_after_their_days_and_names_with_them(
    settings: Settings, database: Database
) -> None:
    with served(settings) as client:
        client.headers.update(key_of(database, Role.SUBMITTER))
        job_id = send(client, posts(10), name="obrolan dengan Ada.jsonl")
        finished = ended(client, job_id)["finished_at"]
        with database.reading() as session:
            at = session.get_one(Job, job_id).finished_at
        assert at is not None
        days = timedelta(days=settings.result_days)
        assert purge(database, settings, "system", at + days).results == 0
        assert kept_files(settings)
        assert purge(database, settings, "system", at + days + MINUTE).results == 1
        assert purge(database, settings, "system", at + days + MINUTE).results == 0
        job = read(client, job_id)
        assert (job["state"], job["name"], job["posts"]) == ("done", "", 10)
        assert (job["finished_at"], job["removed_at"] is None) == (finished, False)
        gone = client.get(f"/v1/jobs/{job_id}/result")
        assert gone.status_code == 404
        assert "was removed on" in gone.json()["detail"]
    assert not JobFolder(settings.data_dir, job_id).path.exists()
    with database.reading() as session:
        entries = [e for e in audit.entries(session) if e.action == "retention.purge_results"]
        assert [entry.detail for entry in entries] == [{"jobs": [job_id]}]


def test_what_a_kill_left_is_removed_and_what_is_needed_stays(
    settings: Settings, database: Database
) -> None:
    root = settings.data_dir / "exports"
    done = new_job(database, "d", state="done", fence=2, finished_at=AT)
    waiting, failed = new_job(database, "w"), new_job(database, "f", state="failed", finished_at=AT)
    for name in (done, waiting, failed, "old", "young"):
        (root / name).mkdir(parents=True)
        (root / name / "upload").write_text("posts")
    for fence in (1, 2):
        (root / done / f"result-{fence}").mkdir()
    os.utime(root / "old", (0, 0))
    purge(database, settings, "system", AT)
    assert sorted(path.name for path in root.iterdir()) == sorted([done, waiting, "young"])
    assert [path.name for path in (root / done).iterdir()] == ["result-2"]
    assert (root / waiting / "upload").exists()

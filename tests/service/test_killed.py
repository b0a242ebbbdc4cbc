"""``kill -9`` at any moment: what was acknowledged is there, nothing is there twice."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from sqlalchemy import func, select

from service import audit
from service.auth import Role
from service.client import Client
from service.db import Database
from service.settings import Settings
from service.tables import Case, CasePost, Content, PostRow
from tests.service.exports.sending import assert_stored_once, posts, unlike
from tests.service.processes import running
from tests.service.serving import key_of

KILLS = 20
SUBMISSIONS = 200
POSTS = 3
REPEATED = unlike(-1, is_hit=True)


class Submitter:
    """Sends submissions to a server that may die, and notes which were acknowledged."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._changed = threading.Condition()
        self.answers: dict[int, dict[str, Any]] = {}

    def send(self, number: int) -> httpx.Response | None:
        """The answer, or ``None`` where none came."""
        headers = {"Idempotency-Key": f"submission {number}"}
        try:
            return self._http.post("/v1/score", json={"posts": posts_of(number)}, headers=headers)
        except httpx.TransportError:
            return None

    def submit(self, number: int) -> None:
        answer = self.send(number)
        if answer is None:
            return
        assert answer.status_code == 200, answer.text
        with self._changed:
            self.answers[number] = answer.json()
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Return when so many are acknowledged."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.answers) >= count, 60)


def posts_of(number: int) -> list[dict[str, Any]]:
    """A hit, a clear post, and one of a content that every submission repeats."""
    texts = (unlike(number, is_hit=True), unlike(number, is_hit=False), REPEATED)
    return [
        {"text": text, "platform": "telegram", "channel_id": "7", "message_id": f"{number}.{n}"}
        for n, text in enumerate(texts)
    ]


def test_a_server_killed_twenty_times_keeps_what_it_acknowledged_and_nothing_twice(
    settings: Settings, database: Database
) -> None:
    draw = random.Random(20_260_301)
    headers = key_of(database, Role.SUBMITTER)
    with (
        running(settings, seconds_per_post=0.001) as server,
        httpx.Client(base_url=server.url, headers=headers, timeout=60) as http,
        ThreadPoolExecutor(32) as pool,
    ):
        submitter = Submitter(http)
        cut_off = 0
        for kill in range(KILLS):
            new = (kill + 1) * SUBMISSIONS // KILLS
            waiting = [n for n in range(new) if n not in submitter.answers]
            sent = [pool.submit(submitter.submit, number) for number in waiting]
            # After a number of answers, and somewhere in what the next ones go through.
            answered = len(submitter.answers) + draw.randrange(len(waiting) - 1)
            submitter.wait_for(answered)
            time.sleep(draw.uniform(0, 0.03))
            server.kill()
            for future in sent:
                future.result()
            cut_off += sum(number not in submitter.answers for number in waiting)
            server.start()
        assert cut_off, "every kill came after the last answer"
        acknowledged = dict(submitter.answers)
        assert_there(database, set(acknowledged))
        for number, answer in enumerate(pool.map(submitter.send, range(SUBMISSIONS))):
            assert answer is not None
            assert answer.status_code == 200
            assert answer.json() == acknowledged.get(number, answer.json())
    assert_all_once(database)


def assert_there(database: Database, acknowledged: set[int]) -> None:
    with database.reading() as session:
        stored = set(session.scalars(select(PostRow.message_id)))
        assert stored >= {f"{n}.{part}" for n in acknowledged for part in range(POSTS)}
        assert audit.verify(session) is None


def assert_all_once(database: Database) -> None:
    with database.reading() as session:
        messages = session.scalars(select(PostRow.message_id)).all()
        wanted = {f"{n}.{part}" for n in range(SUBMISSIONS) for part in range(POSTS)}
        assert set(messages) == wanted
        assert len(messages) == len(wanted)
        assert session.scalar(select(func.count()).select_from(Content)) == 2 * SUBMISSIONS + 1
        assert audit.verify(session) is None
        submits = [e.detail for e in audit.entries(session) if e.action == "posts.submit"]
        assert [detail["posts"] for detail in submits] == [POSTS] * SUBMISSIONS
        reach = dict(
            session.execute(
                select(Case.subject, func.count(CasePost.post_id))
                .join(CasePost)
                .where(Case.kind == "content")
                .group_by(Case.id)
            ).all()
        )
        assert sorted(reach.values()) == [1] * SUBMISSIONS + [SUBMISSIONS]


def test_a_killed_export_is_taken_up_again_and_stores_each_post_once(
    settings: Settings, database: Database
) -> None:
    draw = random.Random(20_260_302)
    key = key_of(database, Role.SUBMITTER)["Authorization"].removeprefix("Bearer ")
    number = 640
    impatient = settings.model_copy(update={"job_lease_seconds": 1})
    export = settings.data_dir / "export.jsonl"
    export.write_bytes(posts(number))
    with running(impatient, seconds_per_post=0.002) as server, Client(server.url, key) as client:
        job_id = client.upload_export(export)["id"]
        for kill in range(4):
            wait_for_posts(client, job_id, kill * 130)
            time.sleep(draw.uniform(0, 0.1))
            server.kill()
            server.start()
        wait_for_posts(client, job_id, number)
        while client.job(job_id)["state"] != "done":
            time.sleep(0.02)
        client.download_result(job_id, settings.data_dir / "scores.jsonl")
    assert len((settings.data_dir / "scores.jsonl").read_bytes().splitlines()) == number
    assert_stored_once(database, number)


def wait_for_posts(client: Client, job_id: str, count: int) -> None:
    for _ in range(6000):
        if (job := client.job(job_id))["posts"] >= count:
            return
        assert job["state"] in {"queued", "running"}, job
        time.sleep(0.01)
    raise AssertionError(f"not {count} posts in a minute")

"""SIGTERM: what is in flight is finished or returned, and nobody gets half an answer."""

from __future__ import annotations

import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import httpx
from sqlalchemy import func, select

from service import audit
from service.auth import Role
from service.client import Client
from service.db import Database
from service.settings import Settings
from service.tables import Job, PostRow
from tests.service.exports.sending import assert_stored_once, kept_files, posts, unlike
from tests.service.processes import running
from tests.service.serving import key_of

CLIENTS = 16
POSTS = 4
POSTS_PER_SECOND = 400


class Sender:
    """Sends requests from many threads until the server takes no more, and notes every outcome."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._numbers = count()
        self._answered = threading.Semaphore(0)
        self.answered: list[int] = []
        self.refused: list[int] = []

    def send_until_refused(self) -> None:
        while True:
            number = next(self._numbers)
            try:
                answer = self._http.post("/v1/score", json=body_of(number))
            except (httpx.ConnectError, httpx.ReadError, httpx.WriteError):
                self.refused.append(number)
                return
            except httpx.RemoteProtocolError as error:
                # Closed before the first byte of an answer, never within one.
                if "without sending a response" not in str(error):
                    raise
                self.refused.append(number)
                return
            if answer.status_code == 503:
                assert answer.headers["Retry-After"]
                self.refused.append(number)
                return
            assert answer.status_code == 200, answer.text
            assert len(answer.json()["results"]) == POSTS
            self.answered.append(number)
            self._answered.release()

    def wait_for_answers(self, number: int) -> None:
        for _ in range(number):
            assert self._answered.acquire(timeout=60)


def body_of(number: int) -> dict[str, Any]:
    texts = [unlike(number * POSTS + n, is_hit=n == 0) for n in range(POSTS)]
    return {"posts": [{"text": t, "message_id": f"{number}.{n}"} for n, t in enumerate(texts)]}


def test_each_request_gets_a_whole_answer_or_a_clean_refusal(
    settings: Settings, database: Database
) -> None:
    headers = key_of(database, Role.SUBMITTER)
    with (
        running(settings, seconds_per_post=1 / POSTS_PER_SECOND) as server,
        httpx.Client(base_url=server.url, headers=headers, timeout=60) as http,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        sender = Sender(http)
        sent = [pool.submit(sender.send_until_refused) for _ in range(CLIENTS)]
        sender.wait_for_answers(2 * CLIENTS)
        server.ask_to_stop()
        for future in sent:
            future.result()
        assert server.exit_code() == -signal.SIGTERM
    assert len(sender.refused) == CLIENTS
    with database.reading() as session:
        stored = set(session.scalars(select(PostRow.message_id)))
        assert stored == {f"{n}.{part}" for n in sender.answered for part in range(POSTS)}
        submits = [e for e in audit.entries(session) if e.action == "posts.submit"]
        assert len(submits) == len(sender.answered)
        assert audit.verify(session) is None


def test_a_running_job_is_returned_with_what_it_has_done(
    settings: Settings, database: Database
) -> None:
    key = key_of(database, Role.SUBMITTER)["Authorization"].removeprefix("Bearer ")
    export = settings.data_dir / "export.jsonl"
    export.write_bytes(posts(640))
    with running(settings, seconds_per_post=1 / POSTS_PER_SECOND) as server:
        with Client(server.url, key) as client:
            job_id = client.upload_export(export)["id"]
            while client.job(job_id)["posts"] == 0:
                time.sleep(0.01)
        server.ask_to_stop()
        assert server.exit_code() == -signal.SIGTERM
        with database.reading() as session:
            job = session.get_one(Job, job_id)
            assert (job.state, job.holder, job.lease_until) == ("queued", None, None)
            assert job.posts == session.scalar(select(func.count()).select_from(PostRow))
            assert 0 < job.posts < 640
        server.start()
        with Client(server.url, key) as client:
            while client.job(job_id)["state"] != "done":
                time.sleep(0.01)
    assert_stored_once(database, 640)


def test_an_upload_that_does_not_end_is_cut_off_and_leaves_nothing(
    settings: Settings, database: Database
) -> None:
    key = key_of(database, Role.SUBMITTER)["Authorization"]
    with running(settings, stop_seconds=1) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            head = f"POST /v1/exports HTTP/1.1\r\nHost: {host}\r\nAuthorization: {key}\r\n"
            connection.sendall(f"{head}Content-Length: 9000000\r\n\r\n".encode() + bytes(2**21))
            while kept_files(settings) != ["upload"]:
                time.sleep(0.01)
            server.ask_to_stop()
            assert server.exit_code() == -signal.SIGTERM
    assert kept_files(settings) == []
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 0

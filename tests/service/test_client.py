"""The client against a served application, and against answers it must try again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from service import client as client_module
from service.auth import Role
from service.client import AsyncClient, Client, ClientError, Retries
from service.db import Database
from service.settings import Settings
from service.tables import PostRow
from tests.service.exports.sending import posts
from tests.service.serving import key_of, listening

HIT = "xxxxxxxx bb"
NOW = Retries(attempts=3, first_seconds=0)


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    with listening(settings) as url:
        yield url


@pytest.fixture
def key(database: Database) -> str:
    return key_of(database, Role.SUBMITTER)["Authorization"].removeprefix("Bearer ")


def stored(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(PostRow)) or 0


def test_texts_and_posts_are_scored(url: str, key: str, database: Database) -> None:
    with Client(url, key) as client:
        answer = client.score(["selamat pagi", {"text": HIT, "id": "mine"}], spans=True)
    calm, hit = answer.results
    assert calm is not None
    assert hit is not None
    assert (calm["band"], hit["band"], hit["id"]) == ("clear", "review", "mine")
    assert hit["spans"]
    assert answer.errors == []
    assert stored(database) == 2


def test_more_than_one_request_is_counted_as_one_list(
    url: str, key: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_POSTS", 4)
    posts: list[client_module.Sendable] = [f"pagi {n}" for n in range(10)]
    posts[6] = {"text": ""}
    with Client(url, key) as client:
        answer = client.score(posts)
    assert [error["pointer"] for error in answer.errors] == ["/posts/6/text"]
    assert [result is None for result in answer.results] == [n == 6 for n in range(10)]
    assert stored(database) == 9


def test_the_asynchronous_client_answers_the_same(url: str, key: str) -> None:
    async def score() -> tuple[client_module.Answer, ...]:
        async with AsyncClient(url, key) as client:
            return tuple(await asyncio.gather(*(client.score([HIT]) for _ in range(5))))

    with Client(url, key) as client:
        expected = client.score([HIT])
    assert asyncio.run(score()) == (expected,) * 5


def test_an_export_is_sent_watched_and_fetched(url: str, key: str, tmp_path: Path) -> None:
    export, result = tmp_path / "kanal.jsonl", tmp_path / "scores.jsonl"
    export.write_bytes(posts(70))
    with Client(url, key) as client:
        job = client.upload_export(export)
        assert (job["name"], job["state"]) == ("kanal.jsonl", "queued")
        while client.job(job["id"])["state"] not in {"done", "failed"}:
            time.sleep(0.01)
        assert client.job(job["id"])["posts"] == 70
        client.download_result(job["id"], result)
        client.download_result(job["id"], tmp_path / "scores.csv", "csv")
    assert len(result.read_bytes().splitlines()) == 70
    assert (tmp_path / "scores.csv").read_bytes().startswith(b"\xef\xbb\xbfkey,score")

    async def run() -> bytes:
        async with AsyncClient(url, key) as client:
            job = await client.upload_export(export, name="b", columns="text=text")
            while (await client.job(job["id"]))["state"] not in {"done", "failed"}:
                await asyncio.sleep(0.01)
            await client.download_result(job["id"], result)
            return result.read_bytes()

    before = result.read_bytes()
    assert asyncio.run(run()) == before
    assert {path.name for path in tmp_path.glob("*.partial")} == set()


@pytest.mark.parametrize("is_async", [False, True])
def test_an_upload_is_sent_whole_again_under_one_key(is_async: bool, tmp_path: Path) -> None:
    export, bodies = tmp_path / "kanal.jsonl", []
    export.write_bytes(posts(3))
    script = Script(busy(), lost, lambda: httpx.Response(202, json={"id": "j"}))

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        return script(request)

    def sync_answer(request: httpx.Request) -> httpx.Response:
        request.read()
        return answer(request)

    async def async_answer(request: httpx.Request) -> httpx.Response:
        await request.aread()
        return answer(request)

    async def run() -> client_module.Job:
        transport = httpx.MockTransport(async_answer)
        async with AsyncClient("http://s", "pnp_k", retries=NOW, transport=transport) as client:
            return await client.upload_export(export)

    if is_async:
        assert asyncio.run(run())["id"] == "j"
    else:
        transport = httpx.MockTransport(sync_answer)
        with Client("http://s", "pnp_k", retries=NOW, transport=transport) as client:
            assert client.upload_export(export)["id"] == "j"
    assert bodies == [posts(3)] * 3
    assert len(set(script.keys)) == 1


def test_a_result_that_cannot_be_fetched_leaves_the_old_file(
    url: str, key: str, tmp_path: Path
) -> None:
    result = tmp_path / "scores.jsonl"
    result.write_text("old")
    with Client(url, key) as client, pytest.raises(ClientError, match="there is no job") as caught:
        client.download_result("0" * 32, result)
    assert caught.value.status == 404
    assert result.read_text() == "old"


def test_a_refusal_says_why_and_is_not_repeated(url: str, key: str) -> None:
    with Client(url, "pnp_wrong") as client, pytest.raises(ClientError, match="API key") as bad:
        client.score([HIT])
    assert bad.value.status == 401
    with Client(url, key) as client, pytest.raises(ClientError) as empty:
        client.score([{"text": ""}])
    assert empty.value.status == 422
    assert [error["pointer"] for error in empty.value.errors] == ["/posts/0/text"]


class Script:
    """Answers in the order given, and notes what was sent."""

    def __init__(self, *answers: Callable[[], httpx.Response]) -> None:
        self._answers = list(answers)
        self.keys: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.keys.append(request.headers["Idempotency-Key"])
        return self._answers.pop(0)()


def busy(retry_after: str = "0") -> Callable[[], httpx.Response]:
    problem = {"detail": "12 posts are waiting already"}
    return lambda: httpx.Response(429, json=problem, headers={"Retry-After": retry_after})


def lost() -> httpx.Response:
    raise httpx.ReadError("reset by peer")


def proxy_failed() -> httpx.Response:
    return httpx.Response(502, text="<html>Bad gateway</html>")


def done() -> httpx.Response:
    return httpx.Response(200, json={"results": [None], "errors": []})


def score(
    script: Script, *, retries: Retries = NOW, is_async: bool = False
) -> client_module.Answer:
    transport = httpx.MockTransport(script)
    if not is_async:
        with Client("http://service", "pnp_k", retries=retries, transport=transport) as client:
            return client.score(["pagi"])

    async def run() -> client_module.Answer:
        async with AsyncClient(
            "http://service", "pnp_k", retries=retries, transport=transport
        ) as client:
            return await client.score(["pagi"])

    return asyncio.run(run())


@pytest.mark.parametrize("is_async", [False, True])
def test_passing_failures_are_tried_again_under_one_key(is_async: bool) -> None:
    script = Script(busy(), lost, done)
    assert score(script, is_async=is_async).results == [None]
    assert len(script.keys) == 3
    assert len(set(script.keys)) == 1


@pytest.mark.parametrize("is_async", [False, True])
def test_the_last_failure_is_told(is_async: bool) -> None:
    with pytest.raises(ClientError, match="12 posts are waiting") as caught:
        score(Script(lost, proxy_failed, busy()), is_async=is_async)
    assert caught.value.status == 429
    with pytest.raises(ClientError, match="cannot be reached: ReadError") as caught:
        score(Script(busy(), busy(), lost), is_async=is_async)
    assert caught.value.status is None
    with pytest.raises(ClientError, match="answered 502"):
        score(Script(busy(), busy(), proxy_failed), is_async=is_async)


def test_waits_double_and_never_fall_short_of_what_is_asked() -> None:
    retries = Retries(first_seconds=1, most_seconds=10)
    for attempt in (1, 2, 3, 4):
        assert 2 ** (attempt - 1) / 2 <= retries.seconds(attempt, None) <= 2 ** (attempt - 1)
    assert retries.seconds(1, 7.0) == 7.0
    assert retries.seconds(1, 70.0) == 10.0
    assert retries.seconds(9, None) == 10.0


@pytest.mark.parametrize(
    ("given", "low", "high"),
    [("3", 3, 3), ("Fri, 01 Jan 2100 00:00:00 GMT", 10**8, 10**10), ("soon", None, None)],
)
def test_retry_after_is_seconds_or_a_date(
    given: str, low: float | None, high: float | None
) -> None:
    found = client_module._retry_after(busy(given)())
    if low is None or high is None:
        assert found is None
    else:
        assert found is not None
        assert low <= found <= high


PROGRAM = """
import sys
from penapisan.client import Client

with Client(*sys.argv[1:]) as client:
    print(client.score(["selamat pagi"]).results[0]["band"])
strangers = {"fastapi", "sqlalchemy", "openvino", "numpy"} & set(sys.modules)
assert not strangers, strangers
"""


def test_another_program_imports_it_by_its_public_name(url: str, key: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, url, key],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("clear\n", "")

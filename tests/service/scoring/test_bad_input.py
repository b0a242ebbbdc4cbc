"""Requests that are broken, hostile or odd, and machines that fail: a clear error, nothing lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from service import audit
from service.auth import Role
from service.db import Database
from service.settings import Settings
from service.tables import Answered, Case, Content, PostRow, ScoreRow
from tests.service.serving import key_of, served

HIT = "xxxxxxxx bb"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def client(settings: Settings, database: Database) -> Iterator[TestClient]:
    with served(settings) as client:
        client.headers.update(key_of(database, Role.SUBMITTER))
        yield client


def stored(database: Database) -> dict[str, int]:
    tables = (PostRow, Content, ScoreRow, Case, Answered)
    with database.reading() as session:
        return {
            table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0
            for table in tables
        }


NOTHING = dict.fromkeys(("posts", "contents", "scores", "cases", "answered_requests"), 0)


def assert_problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["detail"]
    return problem


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"posts"',
        b"5",
        b'{"posts": []}',
        b'{"posts": null}',
        b'{"posts": "pagi"}',
        b'{"posts": {"text": "pagi"}}',
        b'{"posts": [{"text": "pagi"}], "surprise": 1}',
        b'{"posts": [{"text": "pagi"}], "spans": "maybe"}',
        b'{"posts": [{"text": "pagi"}',
        b'{"posts": [{"text": "pagi\x00"}]}',
        b'{"posts": [{"text": NaN}]}',
        b'{"posts": [{"text": "pagi", "views": 1e400}]}',
        b'{"posts": [{"text": "pagi", "views": 9007199254740993}]}',
        b"\xff\xfe",
        b'{"posts": [{"text": "\xff"}]}',
        b"[" * 100_000,
        b'{"\\ud800": 1}',
        b'{"posts": [{"text": "a", "\\ud800": 1}]}',
        b'{"posts": [{"text": "a\\ud800"}]}',
        b'{"posts": [{"text": "a", "message_id": "\\udfff"}]}',
        b'{"posts": [{"text": "a", "platform": "\\ud800"}]}',
        b'{"posts": [{"text": ["\\ud800"]}]}',
    ],
)
def test_a_body_that_cannot_be_read_is_refused_whole(
    client: TestClient, database: Database, body: bytes
) -> None:
    answer = client.post("/v1/score", content=body, headers=JSON)
    assert_problem(answer, answer.status_code if answer.status_code == 400 else 422)
    assert stored(database) == NOTHING


@pytest.mark.parametrize("is_chunked", [False, True])
def test_ten_megabytes_are_refused_with_the_limit(
    client: TestClient, database: Database, is_chunked: bool
) -> None:
    body = b'{"posts": [{"text": "' + b"a" * 10 * 2**20 + b'"}]}'
    pieces = iter([body[start : start + 2**16] for start in range(0, len(body), 2**16)])
    answer = client.post("/v1/score", content=pieces if is_chunked else body, headers=JSON)
    assert f"{8 * 2**20} bytes" in assert_problem(answer, 413)["detail"]
    assert stored(database) == NOTHING


def test_a_hostile_post_among_a_thousand_is_named_and_the_others_are_kept(
    client: TestClient, database: Database
) -> None:
    posts: list[Any] = [{"text": f"pagi {n}", "message_id": str(n)} for n in range(1000)]
    bad = {3: "a\ud800", 500: "", 998: 7}
    for place, text in bad.items():
        posts[place] = {"text": text}
    posts[999] = {"text": HIT, "author_name": "a\x00"}
    answer = client.post("/v1/score", content=json.dumps({"posts": posts}), headers=JSON)
    assert answer.status_code == 200
    body = answer.json()
    named = [f"/posts/{place}/text" for place in bad] + ["/posts/999/author_name"]
    assert [error["pointer"] for error in body["errors"]] == named
    assert [n for n, result in enumerate(body["results"]) if result is None] == [*bad, 999]
    assert stored(database)["posts"] == 996


def test_one_id_given_twice_is_two_posts_where_the_texts_differ(
    client: TestClient, database: Database
) -> None:
    """The second is an edit of the first; the same text again is the same post."""
    post = {"id": "mine", "platform": "telegram", "channel_id": "7", "message_id": "1"}
    texts = (HIT, f"{HIT} yang sudah diubah", HIT)
    answer = client.post("/v1/score", json={"posts": [{**post, "text": text} for text in texts]})
    results = answer.json()["results"]
    assert [result["id"] for result in results] == ["mine"] * 3
    assert results[0] == results[2]
    assert stored(database)["posts"] == 2
    assert stored(database)["contents"] == 2
    with database.reading() as session:
        assert audit.verify(session) is None


@pytest.mark.parametrize(
    "moment",
    ["1901-01-01T00:00:00Z", "1969-12-31T23:59:59+07:00", "2999-12-31T00:00:00Z", -1, 9e15],
)
def test_a_clock_that_is_wrong_changes_no_more_than_freshness(
    client: TestClient, database: Database, moment: object
) -> None:
    post = {"text": HIT, "channel_id": "7", "posted_at": moment}
    answer = client.post("/v1/score", json={"posts": [post]})
    if moment == 9e15:
        assert_problem(answer, 422)
        assert stored(database) == NOTHING
        return
    assert answer.status_code == 200
    with database.reading() as session:
        case = session.scalars(select(Case).where(Case.kind == "content")).one()
        whole = case.probability  # severity 1, one post, half of it once stale
        assert whole / 2 - 1e-6 <= case.priority <= whole
        posted = session.scalars(select(PostRow.posted_at)).one()
        assert posted is not None
        assert case.posted_at == posted

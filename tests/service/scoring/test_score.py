"""Posts in, scores out, everything kept: on SQLite and PostgreSQL."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from screening.types import Score
from service import audit
from service.app import create_app
from service.auth import Principal, Role
from service.db import Database
from service.scoring.storing import Scored, store_all
from service.sealing import Sealer
from service.settings import Settings
from service.tables import Case, CasePost, Content, PostRow, ScoreRow
from tests.builders import FakeScorer, make_post
from tests.service.building import AT
from tests.service.serving import count, key_of, served

HIT = "xxxxxxxx bb"


@pytest.fixture
def client(settings: Settings, database: Database) -> Iterator[TestClient]:
    with served(settings) as client:
        client.headers.update(key_of(database, Role.SUBMITTER))
        yield client


def test_a_hit_is_scored_kept_and_opens_a_case(client: TestClient, database: Database) -> None:
    post = {"text": HIT, "id": "mine", "platform": "telegram", "channel_id": "7", "message_id": "1"}
    answer = client.post("/v1/score", json={"posts": [post], "spans": True})
    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("request_id").startswith("req_")
    share = round(8 / 11, 6)
    assert body["errors"] == []
    assert body["results"][0] == {
        "id": "mine",
        "key": "telegram:7:1",
        "band": "review",
        "decided_by": "terrorism",
        "threshold": 0.3,
        "labels": body["results"][0]["labels"],
        "terrorism": share,
        "contexts": body["results"][0]["contexts"],
        "release": "fake-1",
        "policy": "fake-1",
        "windows": 1,
        "truncated": False,
        "language": None,
        "spans": [{"begin": 0, "end": 1, "label": "terrorism", "weight": share}],
    }
    assert body["results"][0]["labels"]["incitement"] == share
    with database.reading() as session:
        content = session.scalars(select(Content)).one()
        assert content.sha256 == hashlib.sha256(HIT.encode()).hexdigest()
        assert content.sealed is not None
        assert Sealer().open(content.sealed) == HIT
        case = session.scalars(select(Case).where(Case.kind == "content")).one()
        assert (case.platform, case.channel_id, case.band) == ("telegram", "7", "review")
        assert audit.verify(session) is None


def test_a_bad_post_is_named_and_the_others_are_scored(
    client: TestClient, database: Database
) -> None:
    posts: list[Any] = [{"text": f"pagi {n}", "message_id": str(n)} for n in range(1000)]
    posts[417] = {"text": "pagi", "views": -1}
    body = client.post("/v1/score", json={"posts": posts}).json()
    assert [e["pointer"] for e in body["errors"]] == ["/posts/417/views"]
    assert body["results"][417] is None
    assert sum(result is not None for result in body["results"]) == 999
    assert count(database, PostRow) == 999


@pytest.mark.parametrize(
    ("post", "pointer"),
    [
        ({}, "/posts/0/text"),
        ({"text": ""}, "/posts/0/text"),
        ({"text": 5}, "/posts/0/text"),
        ({"text": "a", "surprise": 1}, "/posts/0/surprise"),
        ({"text": "a", "message_id": "a\x00b"}, "/posts/0/message_id"),
        ({"text": "a", "posted_at": "soon"}, "/posts/0/posted_at"),
        ({"text": "a", "posted_at": "0001-01-01T00:00:00+14:00"}, "/posts/0/posted_at"),
        ("not an object", "/posts/0"),
    ],
)
def test_nothing_is_stored_of_a_request_with_no_good_post(
    client: TestClient, database: Database, post: object, pointer: str
) -> None:
    answer = client.post("/v1/score", json={"posts": [post]})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert count(database, PostRow) == 0


def test_text_may_hold_nul_and_control_characters(client: TestClient, database: Database) -> None:
    text = "pagi\x00\x07\u202e semua"
    assert client.post("/v1/score", json={"posts": [{"text": text}]}).status_code == 200
    with database.reading() as session:
        sealed = session.scalars(select(Content.sealed)).one()
    assert sealed is not None
    assert Sealer().open(sealed) == text


def test_a_lone_surrogate_is_refused_by_name(client: TestClient) -> None:
    answer = client.post(
        "/v1/score",
        content=b'{"posts": [{"text": "a\\ud800"}]}',
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/posts/0/text"


def test_a_body_that_is_too_large_is_refused(settings: Settings, database: Database) -> None:
    small = settings.model_copy(update={"request_bytes": 2000})
    with served(small) as client:
        client.headers.update(key_of(database, Role.SUBMITTER))
        answer = client.post("/v1/score", json={"posts": [{"text": "a" * 3000}]})
        assert answer.status_code == 413
        assert "2000 bytes" in answer.json()["detail"]
        assert client.post("/v1/score", json={"posts": [{"text": "a"}]}).status_code == 200
    assert count(database, PostRow) == 1


def test_a_repeat_is_one_post_and_one_content_in_two_channels(
    client: TestClient, database: Database
) -> None:
    post = {"text": HIT, "platform": "telegram", "channel_id": "7", "message_id": "1"}
    for fields in ({}, {}, {"message_id": "2"}, {"channel_id": "8"}):
        assert client.post("/v1/score", json={"posts": [post | fields]}).status_code == 200
    assert count(database, Content) == 1
    assert count(database, ScoreRow) == 1
    assert count(database, PostRow) == 3
    with database.reading() as session:
        cases = session.scalars(select(Case).where(Case.kind == "content")).all()
        assert sorted(case.channel_id for case in cases) == ["7", "8"]
        attached = select(func.count()).select_from(CasePost).join(Case)
        assert session.scalar(attached.where(Case.channel_id == "7")) == 2


def test_an_idempotency_key_makes_a_repeat_change_nothing(
    client: TestClient, database: Database
) -> None:
    headers = {"Idempotency-Key": "k1"}
    body = {"posts": [{"text": HIT}]}
    first = client.post("/v1/score", json=body, headers=headers)
    again = client.post("/v1/score", json=body, headers=headers)
    assert again.json() == first.json()
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    other = client.post("/v1/score", json={"posts": [{"text": "b"}]}, headers=headers)
    assert other.status_code == 422
    assert "another request" in other.json()["detail"]
    assert count(database, PostRow) == 1


def test_concurrent_requests_with_the_same_texts_store_each_once(
    client: TestClient, database: Database
) -> None:
    posts = [{"text": f"{HIT} {n}", "channel_id": "7", "message_id": str(n)} for n in range(20)]
    with ThreadPoolExecutor(8) as pool:
        requests = [
            pool.submit(client.post, "/v1/score", json={"posts": posts if n % 2 else posts[::-1]})
            for n in range(12)
        ]
        assert {request.result().status_code for request in requests} == {200}
    assert count(database, PostRow) == 20
    assert count(database, Content) == 20
    with database.reading() as session:
        assert audit.verify(session) is None


def test_text_is_encrypted_where_a_key_is_configured(
    settings: Settings, database: Database
) -> None:
    from cryptography.fernet import Fernet

    key = Fernet.generate_key().decode()
    with served(Settings.model_validate({**settings.model_dump(), "text_keys": key})) as client:
        client.headers.update(key_of(database, Role.SUBMITTER))
        assert client.post("/v1/score", json={"posts": [{"text": HIT}]}).status_code == 200
    with database.reading() as session:
        sealed = session.scalars(select(Content.sealed)).one()
    assert sealed is not None
    assert HIT.encode() not in sealed
    assert Sealer([key]).open(sealed) == HIT


def test_only_those_who_may_score_can(client: TestClient, database: Database) -> None:
    headers = key_of(database, Role.REVIEWER)
    answer = client.post("/v1/score", json={"posts": [{"text": "a"}]}, headers=headers)
    assert answer.status_code == 403
    del client.headers["Authorization"]
    refused = client.post("/v1/score", json={"posts": [{"text": "a"}]})
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert count(database, PostRow) == 0


class GatedScorer(FakeScorer):
    """Scores once its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def score(self, texts: Sequence[str]) -> list[Score]:
        self.gate.wait(30)
        return super().score(texts)


def test_more_requests_than_the_queue_holds_are_refused_and_the_others_are_kept(
    settings: Settings, database: Database
) -> None:
    scorer = GatedScorer()
    small = settings.model_copy(update={"queue_posts": 60, "queue_seconds": 100})
    headers = key_of(database, Role.SUBMITTER)
    with TestClient(create_app(small, scorer)) as client, ThreadPoolExecutor(100) as pool:
        sent = [
            pool.submit(
                client.post, "/v1/score", json={"posts": [{"text": f"pagi {n}"}]}, headers=headers
            )
            for n in range(100)
        ]
        refused = [request.result() for request in islice(as_completed(sent), 40)]
        assert {answer.status_code for answer in refused} == {429}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        assert count(database, PostRow) == 0
        unread = client.post("/v1/score", content=b"{", headers=headers)
        assert unread.status_code == 429, "what is full reads nothing more"
        assert client.get("/v1/me", headers=headers).status_code == 200
        scorer.gate.set()
        answers = [request.result().status_code for request in sent]
    assert (answers.count(200), answers.count(429)) == (60, 40)
    assert count(database, PostRow) == 60
    with database.reading() as session:
        assert audit.verify(session) is None


def test_each_submission_stored_in_one_transaction_has_its_own_entry(database: Database) -> None:
    ada, budi = (Principal(f"key:{n}", "k", Role.SUBMITTER) for n in (1, 2))
    shared, own = (
        Scored(make_post(n, text=text), FakeScorer().score([text])[0])
        for n, text in enumerate((HIT, HIT + " lain lagi sekali dan seterusnya"))
    )
    with database.session() as session:
        store_all(
            session,
            Sealer(),
            [(ada, [shared]), (budi, [shared, own])],
            policy=FakeScorer.policy,
            at=AT,
            audit_share=0,
        )
    with database.reading() as session:
        entries = [
            (entry.actor, entry.detail)
            for entry in audit.entries(session)
            if entry.action == "posts.submit"
        ]
        assert audit.verify(session) is None
    assert entries == [
        ("key:1", {"posts": 1, "opened": 1, "attached": 0}),
        ("key:2", {"posts": 2, "opened": 0, "attached": 0}),
    ]

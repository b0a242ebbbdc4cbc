"""The queue and the audit chain over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from screening.taxonomy import LABEL_IDS
from service.auth import Role
from service.cases.opening import open_cases
from service.db import Database
from service.settings import Settings
from tests.service.building import AT, store_post
from tests.service.serving import key_of, served

VIOLATING = {"labels": {"incitement": "yes"}, "reason": "incitement"}
LAWFUL = {"labels": dict.fromkeys(LABEL_IDS, "no"), "reason": "news", "context": "news"}
TEXT = "mari kita berkumpul di lapangan besar pada hari minggu pagi untuk acara kecil bersama warga"


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    sure = settings.model_copy(update={"second_share": 0.0})
    with served(sure) as client:
        yield client


def fill(database: Database, count: int = 1) -> None:
    with database.session() as session:
        for number in range(count):
            text = f"{TEXT} {number}"
            open_cases(session, [store_post(session, number, text, channel_id=f"c{number}")], at=AT)


def ok(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def decide(client: TestClient, who: dict[str, str], ruling: dict[str, Any]) -> Any:
    case = ok(client.post("/v1/cases/claim", headers=who))
    body = ruling | {"fence": case["fence"]}
    return ok(client.post(f"/v1/cases/{case['id']}/decide", headers=who, json=body))


def test_the_whole_way_of_a_case_is_on_record(client: TestClient, database: Database) -> None:
    fill(database)
    ada, budi = key_of(database, Role.REVIEWER), key_of(database, Role.REVIEWER)
    senior, auditor = key_of(database, Role.SENIOR), key_of(database, Role.AUDITOR)
    case = ok(client.post("/v1/cases/claim", headers=ada))
    assert [post["text"] for post in case["posts"]] == [f"{TEXT} 0"]
    assert (case["summary"], case["events"], case["reviews"]) == (None, None, None)
    assert client.post("/v1/cases/claim", headers=budi).status_code == 204
    decided = client.post(
        f"/v1/cases/{case['id']}/decide", headers=ada, json=VIOLATING | {"fence": case["fence"]}
    )
    assert ok(decided)["state"] == "second_review"
    assert decide(client, budi, LAWFUL)["state"] == "disputed"
    settled = client.post(f"/v1/cases/{case['id']}/settle", headers=senior, json=VIOLATING)
    assert ok(settled)["state"] == "closed"
    seen = ok(client.get(f"/v1/cases/{case['id']}", headers=auditor))
    assert seen["summary"]["is_violating"] is True
    assert [review["is_violating"] for review in seen["reviews"]] == [True, False, True]
    log = ok(client.get("/v1/audit", headers=auditor))
    assert [entry["action"] for entry in log][4:] == [
        "case.claim", "text.read", "case.decide",
        "case.claim", "text.read", "case.decide",
        "case.settle", "text.read",
    ]  # fmt: skip
    assert TEXT not in str(log)
    verdict = ok(client.get("/v1/audit/verify", headers=auditor))
    assert (verdict["fault"], verdict["entries"]) == (None, 12)
    assert ok(client.get("/v1/audit/head", headers=auditor))["sha256"] == verdict["head"]


def test_a_late_decision_is_a_conflict_in_problem_json(
    client: TestClient, database: Database
) -> None:
    fill(database)
    ada = key_of(database, Role.REVIEWER)
    case = ok(client.post("/v1/cases/claim", headers=ada))
    stale = LAWFUL | {"fence": case["fence"] - 1}
    answer = client.post(f"/v1/cases/{case['id']}/decide", headers=ada, json=stale)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert "nothing was recorded" in answer.json()["detail"]


def test_a_reviewer_cannot_read_what_the_queue_did_not_give(
    client: TestClient, database: Database
) -> None:
    fill(database, 2)
    ada, budi = key_of(database, Role.REVIEWER), key_of(database, Role.REVIEWER)
    case = ok(client.post("/v1/cases/claim", headers=ada))
    assert client.get(f"/v1/cases/{case['id']}", headers=budi).status_code == 404
    assert client.get("/v1/cases/999", headers=budi).status_code == 404
    assert client.get(f"/v1/cases/{case['id']}/cluster", headers=budi).status_code == 404
    assert client.get("/v1/cases", headers=budi).status_code == 403
    assert ok(client.get(f"/v1/cases/{case['id']}", headers=ada))["id"] == case["id"]


def test_a_cluster_is_seen_decided_and_undone(client: TestClient, database: Database) -> None:
    fill(database, 3)
    ada, senior = key_of(database, Role.REVIEWER), key_of(database, Role.SENIOR)
    case = ok(client.post("/v1/cases/claim", headers=ada))
    path, body = f"/v1/cases/{case['id']}", LAWFUL | {"fence": case["fence"]}
    assert client.post(f"{path}/decide-cluster", headers=ada, json=body).status_code == 409
    assert len(ok(client.get(f"{path}/cluster", headers=ada))) == 2
    made = ok(client.post(f"{path}/decide-cluster", headers=ada, json=body))
    assert sorted(made["cases"]) == [1, 2, 3]
    closed = ok(client.get("/v1/cases", headers=senior, params={"state": "closed"}))
    assert len(closed) == 3
    ok(client.post(f"/v1/batches/{made['batch']}/undo", headers=ada))
    waiting = ok(client.get("/v1/cases", headers=senior, params={"state": "new", "limit": 2}))
    assert [entry["id"] for entry in waiting] == [1, 2]


def test_release_renew_reopen_gold_and_hold(client: TestClient, database: Database) -> None:
    fill(database)
    ada, budi = key_of(database, Role.REVIEWER), key_of(database, Role.REVIEWER)
    senior = key_of(database, Role.SENIOR)
    case = ok(client.post("/v1/cases/claim", headers=ada))
    path, fence = f"/v1/cases/{case['id']}", {"fence": case["fence"]}
    renewed = ok(client.post(f"{path}/renew", headers=ada, json=fence))
    assert renewed["lease_until"] > case["lease_until"]
    released = client.post(f"{path}/release", headers=ada, json=fence | {"reason": "unsure"})
    assert ok(released)["state"] == "new"
    assert decide(client, budi, LAWFUL)["state"] == "closed"
    gold = ok(client.post(f"{path}/gold", headers=senior, json=LAWFUL), 201)
    assert gold["is_violating"] is False
    (hold,) = ok(client.post(f"{path}/hold", headers=senior, json={"reason": "case 12"}), 201)
    lifted = ok(client.post(f"/v1/holds/{hold['id']}/lift", headers=senior))
    assert lifted["lifted_at"] is not None
    reopened = client.post(
        f"{path}/reopen", headers=senior, json={"reason": "appeal", "is_appeal": True}
    )
    assert ok(reopened)["state"] == "reopened"


def test_a_pause_is_shown_and_skipped_with_a_reason(settings: Settings, database: Database) -> None:
    fill(database, 3)
    ada = key_of(database, Role.REVIEWER)
    with served(settings.model_copy(update={"pause_after_texts": 1})) as client:
        assert client.post("/v1/pause/skip", headers=ada, json={"reason": "x"}).status_code == 404
        ok(client.post("/v1/cases/claim", headers=ada))
        refused = client.post("/v1/cases/claim", headers=ada)
        assert refused.status_code == 409
        assert 590 <= int(refused.headers["Retry-After"]) <= 601
        assert ok(client.get("/v1/pause", headers=ada))["until"] is not None
        skipped = ok(client.post("/v1/pause/skip", headers=ada, json={"reason": "short day"}))
        assert (skipped["until"], skipped["texts_in_shift"]) == (None, 1)
        ok(client.post("/v1/cases/claim", headers=ada))


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/labels"),
        (LAWFUL, "/fence"),
        (LAWFUL | {"fence": -1}, "/fence"),
        (LAWFUL | {"fence": 2**40}, "/fence"),
        (LAWFUL | {"fence": 1, "extra": 1}, "/extra"),
        (LAWFUL | {"fence": 1, "note": "a\x00b"}, "/note"),
        (LAWFUL | {"fence": 1, "labels": {}}, "/labels"),
        (LAWFUL | {"fence": 1, "labels": {"none": "no"}}, "/labels"),
        (LAWFUL | {"fence": 1, "reason": "incitement"}, "/reason"),
    ],
)
def test_a_wrong_field_is_named(
    client: TestClient, database: Database, body: dict[str, Any], pointer: str
) -> None:
    fill(database)
    ada = key_of(database, Role.REVIEWER)
    answer = client.post("/v1/cases/1/decide", headers=ada, json=body)
    assert answer.status_code == 422
    assert pointer in {error["pointer"] for error in answer.json()["errors"]}


@pytest.mark.parametrize(
    ("path", "status"), [("0", 422), (f"{2**70}", 422), ("abc", 404), ("claim", 405)]
)
def test_an_impossible_case_number_is_refused(
    client: TestClient, database: Database, path: str, status: int
) -> None:
    headers = key_of(database, Role.AUDITOR)
    assert client.get(f"/v1/cases/{path}", headers=headers).status_code == status


def test_without_a_key_nothing_is_answered(client: TestClient) -> None:
    answer = client.get("/v1/cases")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    wrong = client.get("/v1/cases", headers={"X-API-Key": "pnp_wrong"})
    assert wrong.status_code == 401


@pytest.mark.parametrize("role", [Role.SUBMITTER, Role.ADMINISTRATOR, Role.APPROVER])
def test_who_does_not_review_cannot_claim_or_decide(
    client: TestClient, database: Database, role: Role
) -> None:
    headers = key_of(database, role)
    assert client.post("/v1/cases/claim", headers=headers).status_code == 403
    body = LAWFUL | {"fence": 1}
    assert client.post("/v1/cases/1/decide", headers=headers, json=body).status_code == 403
    assert client.get("/v1/audit", headers=headers).status_code == 403

"""What of a case who may see, and that nobody decides twice on one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service import audit
from service.auth import Principal, Role
from service.cases import repository, service
from service.cases.opening import open_cases
from service.cases.service import Ruling
from service.db import Database, now
from service.errors import Forbidden
from service.settings import Settings
from service.tables import Case, Review
from tests.service.building import AT, LAWFUL, VIOLATING, person, store_post
from tests.service.cases.test_endpoints import LAWFUL as LAWFUL_BODY
from tests.service.cases.test_endpoints import fill, ok
from tests.service.serving import key_of, served

SENIORS = [person(number, Role.SENIOR) for number in (1, 2, 3, 4)]


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with served(settings.model_copy(update={"second_share": 0.0})) as client:
        yield client


def open_one(session: Session) -> None:
    open_cases(session, [store_post(session)], at=AT)


def decide(session: Session, settings: Settings, who: Principal, ruling: Ruling) -> Case:
    case = service.claim(session, who, settings, draw=lambda: 1.0, at=AT)
    assert case is not None
    return service.decide(
        session, who, case.id, case.fence, ruling, settings, draw=lambda: 1.0, at=AT
    )


def test_a_reviewer_reads_a_case_only_while_they_hold_it(
    client: TestClient, database: Database
) -> None:
    fill(database, 3)
    ada, budi = key_of(database, Role.REVIEWER), key_of(database, Role.REVIEWER)

    def reads(number: int) -> bool:
        return client.get(f"/v1/cases/{number}", headers=ada).status_code == 200

    assert not any(map(reads, (1, 2, 3))), "waiting in the queue"
    mine = [ok(client.post("/v1/cases/claim", headers=ada)) for _ in range(2)]
    theirs = ok(client.post("/v1/cases/claim", headers=budi))["id"]
    assert [reads(case["id"]) for case in mine] == [True, True]
    assert not reads(theirs), "another one's"
    decided, released = mine
    body = {"fence": decided["fence"]}
    ok(client.post(f"/v1/cases/{decided['id']}/decide", headers=ada, json=LAWFUL_BODY | body))
    body = {"fence": released["fence"], "reason": "unsure"}
    ok(client.post(f"/v1/cases/{released['id']}/release", headers=ada, json=body))
    assert not any(map(reads, (1, 2, 3))), "decided, given back, another one's"


def test_a_case_is_out_of_sight_once_the_lease_has_ended(
    client: TestClient, database: Database
) -> None:
    fill(database)
    ada = key_of(database, Role.REVIEWER)
    case = ok(client.post("/v1/cases/claim", headers=ada))
    with database.session() as session:
        session.get_one(Case, case["id"]).lease_until = now() - timedelta(seconds=1)
    hidden = client.get(f"/v1/cases/{case['id']}", headers=ada)
    absent = client.get("/v1/cases/999", headers=ada)
    assert (hidden.status_code, absent.status_code) == (404, 404)
    assert hidden.json()["detail"] == absent.json()["detail"].replace("999", str(case["id"]))


def test_an_auditor_reads_every_text_and_that_is_on_record(
    client: TestClient, database: Database
) -> None:
    fill(database, 2)
    auditor = key_of(database, Role.AUDITOR)
    for number in (1, 2):
        read = ok(client.get(f"/v1/cases/{number}", headers=auditor))
        assert read["posts"][0]["text"]
    with database.reading() as session:
        texts = [(e.actor, e.subject) for e in audit.entries(session) if e.action == "text.read"]
    assert texts == [("key:1", "case:1"), ("key:1", "case:2")]


def test_a_bulk_decision_is_undone_by_nobody_else(client: TestClient, database: Database) -> None:
    fill(database, 2)
    ada, senior = key_of(database, Role.REVIEWER), key_of(database, Role.SENIOR)
    case = ok(client.post("/v1/cases/claim", headers=ada))
    path = f"/v1/cases/{case['id']}"
    ok(client.get(f"{path}/cluster", headers=ada))
    body = LAWFUL_BODY | {"fence": case["fence"]}
    batch = ok(client.post(f"{path}/decide-cluster", headers=ada, json=body))["batch"]
    assert client.post(f"/v1/batches/{batch}/undo", headers=senior).status_code == 404
    assert client.post(f"/v1/batches/{batch}/undo", headers=ada).status_code == 200


def test_one_submitters_repeated_request_is_not_answered_with_anothers(
    client: TestClient, database: Database
) -> None:
    answers = [
        client.post(
            "/v1/score",
            headers=key_of(database, Role.SUBMITTER) | {"Idempotency-Key": "same"},
            json={"posts": [{"text": text}]},
        )
        for text in ("selamat pagi", "selamat malam")
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len({answer.json()["request_id"] for answer in answers}) == 2


def test_nobody_settles_a_case_they_reviewed_before_it_was_reopened(
    database: Database, settings: Settings
) -> None:
    ada, budi, citra, dewi = SENIORS
    with database.session() as session:
        open_one(session)
        decide(session, settings, ada, LAWFUL)
        case = service.reopen(session, dewi, 1, "appeal", is_appeal=True, at=AT)
        assert service.claim(session, ada, settings, draw=lambda: 1.0, at=AT) is None
        decide(session, settings, budi, VIOLATING)
        decide(session, settings, citra, LAWFUL)
        for who in (ada, budi, citra):
            with pytest.raises(Forbidden, match="another senior"):
                service.settle(session, who, case.id, LAWFUL, AT)
        assert service.settle(session, dewi, case.id, LAWFUL, AT).state == "closed"
        reviewers = [review.reviewer for review in repository.reviews_of(session, case.id)]
    assert reviewers == ["person:1", "person:2", "person:3", "person:4"]


def test_the_database_refuses_a_second_review_by_the_same_person(
    database: Database, settings: Settings
) -> None:
    with database.session() as session:
        open_one(session)
        decide(session, settings, SENIORS[0], VIOLATING)
        first = session.scalars(select(Review)).one()
        columns = {column.key for column in Review.__table__.columns} - {"id"}
        again = {name: getattr(first, name) for name in columns} | {"round": 2}
    with pytest.raises(IntegrityError), database.session() as session:
        session.add(Review(**again))


def test_who_made_a_gold_item_is_not_measured_by_it(database: Database, settings: Settings) -> None:
    ada, budi, citra, _ = SENIORS
    with database.session() as session:
        open_one(session)
        decide(session, settings, ada, LAWFUL)
        service.make_gold(session, budi, 1, LAWFUL, AT)
        known = [len(repository.unseen_gold(session, who.id)) for who in (ada, budi, citra)]
    assert known == [0, 0, 1]

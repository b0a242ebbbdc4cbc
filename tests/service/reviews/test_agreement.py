"""Statistics of what is in the database, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from service.auth import Permission, Principal, Role
from service.cases import service
from service.cases.opening import open_cases
from service.db import Database, now
from service.reviews import endpoints
from service.settings import Settings
from service.tables import Case, Review
from tests.service.building import LAWFUL, VIOLATING, person, store_post
from tests.service.serving import key_of, served

ADA, BUDI, SENIOR = person(1), person(2), person(9, Role.SENIOR)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with served(settings) as client:
        yield client


def read(client: TestClient, database: Database, query: str = "") -> dict[str, Any]:
    answer = client.get(f"/v1/reviews/agreement{query}", headers=key_of(database, Role.AUDITOR))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def fill(database: Database, *numbers: int, share: float = 0, **fields: object) -> None:
    with database.session() as session:
        for number in numbers:
            stored = store_post(session, number, channel_id=f"c{number}", **fields)
            open_cases(session, [stored], audit_share=share, draw=lambda: 0.0, at=now())


def decide(
    database: Database, settings: Settings, who: Principal, *, violates: bool, draw: float = 1.0
) -> int:
    ruling = VIOLATING if violates else LAWFUL
    with database.session() as session:
        case = service.claim(session, who, settings, draw=lambda: draw, at=now())
        assert case is not None
        service.decide(
            session, who, case.id, case.fence, ruling, settings, draw=lambda: draw, at=now()
        )
        return case.id


def of_any(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["label"] == "any"]


def test_two_blind_reviews_are_compared_and_a_settlement_is_not(
    client: TestClient, database: Database, settings: Settings
) -> None:
    fill(database, 1, 2)
    cases = [decide(database, settings, ADA, violates=True) for _ in range(2)]
    agreed = decide(database, settings, BUDI, violates=True)
    disputed = decide(database, settings, BUDI, violates=False)
    assert {agreed, disputed} == set(cases)
    with database.session() as session:
        service.settle(session, SENIOR, disputed, LAWFUL, now())
    found = read(client, database)
    pair, this_week = ["person:1", "person:2"], now().strftime("%G-W%V")
    kappas, alphas = of_any(found["kappa"]), of_any(found["alpha"])
    assert [(row["reviewers"], row["week"]) for row in kappas] == [(pair, None), (pair, this_week)]
    assert {(row["cases"], row["observed"], row["kappa"]) for row in kappas} == {(2, 0.5, 0.0)}
    assert [(row["reviewers"], row["week"]) for row in alphas] == [
        (None, None), (None, this_week), (pair, None), (pair, this_week),
    ]  # fmt: skip
    assert {row["cases"] for row in alphas} == {2}
    assert [row["alpha"] for row in alphas] == [pytest.approx(0)] * 4


def test_an_undone_or_earlier_second_review_is_left_out(
    client: TestClient, database: Database, settings: Settings
) -> None:
    fill(database, 1, 2)
    for who in (ADA, ADA, BUDI, BUDI):
        decide(database, settings, who, violates=True)
    with database.session() as session:
        first, second = session.scalars(select(Review).where(Review.round == 2)).all()
        first.undone_at = now()
        second.made_at = now() - timedelta(weeks=3)
    assert of_any(read(client, database)["kappa"])[0]["cases"] == 1
    assert read(client, database, "?weeks=2")["kappa"] == []


def test_gold_items_measure_a_reviewer_and_nothing_else(
    client: TestClient, database: Database, settings: Settings
) -> None:
    fill(database, 1)
    case = decide(database, settings, ADA, violates=False)
    with database.session() as session:
        service.make_gold(session, SENIOR, case, VIOLATING, now())
    sure = settings.model_copy(update={"gold_share": 1.0})
    decide(database, sure, BUDI, violates=False, draw=0.0)
    found = read(client, database)
    (budi,) = found["gold"]
    assert (budi["reviewer"], budi["items"], budi["right"], budi["missed"]) == ("person:2", 1, 0, 1)
    assert (found["kappa"], found["alpha"]) == ([], [])
    assert of_any(found["recall"])[0]["found"] == 0


def test_recall_weighs_random_samples_and_counts_near_duplicates_of_hits(
    client: TestClient, database: Database, settings: Settings
) -> None:
    long = "mari kita berkumpul di lapangan besar pada hari minggu pagi untuk acara kecil warga"
    with database.session() as session:
        posts = [store_post(session, n, f"{long}{' ya' * n}") for n in range(2)]
        assert len(open_cases(session, posts, at=now()).opened) == 1
    fill(database, 7, 8, share=0.5, band="clear", probability=0.01)
    for _ in range(2):
        decide(database, settings, ADA, violates=True)
    found = read(client, database)
    (row,) = of_any(found["recall"])
    assert (row["found"], row["samples"], row["samples_violating"]) == (2, 1, 1)
    # One of two samples is ruled on: both stand for two contents each.
    assert (row["missed"], row["recall"]) == (4.0, pytest.approx(1 / 3))
    assert (found["undecided_hits"], found["undecided_samples"]) == (0, 1)
    with database.session() as session:
        session.execute(update(Case).values(opened_at=now() - timedelta(weeks=30)))
    assert of_any(read(client, database)["recall"])[0]["recall"] is None


def test_an_appeal_does_not_change_how_a_case_was_opened(
    client: TestClient, database: Database, settings: Settings
) -> None:
    fill(database, 7, share=0.5, band="clear", probability=0.01)
    case = decide(database, settings, ADA, violates=False)
    with database.session() as session:
        service.reopen(session, SENIOR, case, "keluhan", is_appeal=True, at=now())
    decide(database, settings, BUDI, violates=True)
    (row,) = of_any(read(client, database)["recall"])
    assert (row["found"], row["samples"], row["missed"]) == (0, 1, 2.0)


@pytest.mark.parametrize("role", list(Role))
def test_only_who_reads_everything_reads_statistics(
    client: TestClient, database: Database, role: Role
) -> None:
    answer = client.get("/v1/reviews/agreement", headers=key_of(database, role))
    who = Principal("key:1", "key", role)
    assert answer.status_code == (200 if who.may(Permission.READ_ALL) else 403)
    assert client.get("/v1/reviews/agreement").status_code == 401


def test_an_empty_database_has_statistics_and_odd_weeks_are_refused(
    client: TestClient, database: Database
) -> None:
    found = read(client, database, "?weeks=260")
    assert (found["kappa"], found["alpha"], found["gold"]) == ([], [], [])
    assert {row["recall"] for row in found["recall"]} == {None}
    for weeks in ("0", "261", "x"):
        answer = client.get(
            f"/v1/reviews/agreement?weeks={weeks}", headers=key_of(database, Role.AUDITOR)
        )
        assert answer.status_code == 422


def test_weeks_begin_on_mondays() -> None:
    sunday = datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert endpoints.first_monday(sunday, 1) == datetime(2026, 2, 23, tzinfo=UTC)
    assert endpoints.first_monday(sunday, 2) == datetime(2026, 2, 16, tzinfo=UTC)

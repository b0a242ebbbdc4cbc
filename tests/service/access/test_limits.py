"""Requests a minute: counted over a sliding window, by all workers together on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from limits import RateLimitItemPerMinute
from sqlalchemy import select

from service.access.limits import RateLimits, Standing, seconds_until_one_more
from service.auth import Role, create_key
from service.db import Database
from service.settings import Settings
from service.tables import RateWindow
from tests.service.access.conftest import BEGIN, Clock
from tests.service.serving import key_of, served


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with served(settings) as client:
        yield client


def limited_key(database: Database, per_minute: int | None) -> dict[str, str]:
    with database.session() as session:
        _, secret = create_key(session, "system", "limited", Role.SUBMITTER, per_minute=per_minute)
    return {"X-API-Key": secret}


def taken(limits: RateLimits, count: int, limit: int = 10) -> int:
    """How many of ``count`` requests were allowed."""
    item = RateLimitItemPerMinute(limit)
    return sum(limits.take(item, "key:1")[0] for _ in range(count))


def test_the_limit_slides(database: Database, clock: Clock) -> None:
    limits = RateLimits(database)
    clock.at = BEGIN + 30
    assert taken(limits, 12) == 10
    clock.at = BEGIN + 60 + 29
    # 10 of the minute before, weighing 31/60: 5.2 are counted, so 10 - 5 fit.
    assert taken(limits, 12) == 5
    clock.at = BEGIN + 180
    assert taken(limits, 12) == 10


def test_other_keys_have_a_count_of_their_own(database: Database, clock: Clock) -> None:
    limits, item = RateLimits(database), RateLimitItemPerMinute(1)
    assert [limits.take(item, name)[0] for name in ("key:1", "key:1", "key:2")] == [
        True,
        False,
        True,
    ]


def test_a_standing_tells_what_is_left_and_when_more_fits(database: Database, clock: Clock) -> None:
    limits, item = RateLimits(database), RateLimitItemPerMinute(2)
    clock.at = BEGIN + 20
    assert limits.take(item, "key:1") == (True, Standing(2, 60, 1, 0))
    # Full: the minute ends in 40 s; its count of 2 falls below 2 at once after it.
    assert limits.take(item, "key:1") == (True, Standing(2, 60, 0, 41))
    assert limits.take(item, "key:1") == (False, Standing(2, 60, 0, 41))
    clock.at += 41
    assert limits.take(item, "key:1")[0]


@pytest.mark.parametrize(
    ("previous", "current", "left", "limit", "wait"),
    [
        (0, 3, 30.0, 10, 0),
        # 10 * 30/60 + 5 = 10; below 10 once less than 30 s of the minute before are covered.
        (10, 5, 30.0, 10, 1),
        # 20 * 48/60 + 4 = 20; below 10 once 20 * left/60 < 6, left < 18: after 30 s.
        (20, 4, 48.0, 10, 31),
        # In 20 s the 10 are of the minute before: below 10 at once.
        (0, 10, 20.0, 10, 21),
        # In 20 s the 20 are of the minute before: below 10 once half of it is past, 30 s later.
        (5, 20, 20.0, 10, 51),
    ],
)
def test_how_long_to_wait(previous: int, current: int, left: float, limit: int, wait: int) -> None:
    assert seconds_until_one_more(previous, current, left, limit, 60) == wait


def test_a_count_can_be_forgotten(database: Database, clock: Clock) -> None:
    limits = RateLimits(database)
    assert taken(limits, 3, limit=2) == 2
    limits.forget(RateLimitItemPerMinute(2), "key:1")
    assert taken(limits, 3, limit=2) == 2


def test_a_worker_whose_clock_is_behind_gives_nothing_away(postgres_url: str, clock: Clock) -> None:
    database = Database(Settings(database_url=postgres_url))
    ahead, behind = RateLimits(database), RateLimits(database)
    clock.at = BEGIN + 61
    assert taken(ahead, 10) == 10
    clock.at = BEGIN + 59
    assert taken(behind, 1) == 0
    with database.reading() as session:
        assert session.scalars(select(RateWindow)).one().number == BEGIN // 60 + 1
    database.close()


def test_workers_on_postgresql_share_one_count(postgres_url: str, clock: Clock) -> None:
    databases = [Database(Settings(database_url=postgres_url)) for _ in range(4)]
    allowed = []

    def work(database: Database) -> None:
        limits = RateLimits(database)
        allowed.extend(taken(limits, 1, limit=25) for _ in range(20))

    threads = [threading.Thread(target=work, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        database.close()
    assert (len(allowed), sum(allowed)) == (80, 25)


def test_a_key_over_its_limit_is_refused_with_when_to_come_back(
    client: TestClient, database: Database, clock: Clock
) -> None:
    headers = limited_key(database, 2)
    first = client.get("/v1/me", headers=headers)
    assert first.headers["RateLimit-Policy"] == '"requests";q=2;w=60'
    assert first.headers["RateLimit"] == '"requests";r=1;t=0'
    # Whatever was answered counts, and tells.
    wrong = client.post("/v1/score", headers=headers, json={})
    assert (wrong.status_code, "RateLimit" in wrong.headers) == (422, True)
    refused = client.get("/v1/me", headers=headers)
    assert refused.status_code == 429
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["detail"] == "this key may send 2 requests a minute"
    assert refused.headers["Retry-After"] == "61"
    assert refused.headers["RateLimit"] == '"requests";r=0;t=61'
    assert client.get("/v1/me", headers=limited_key(database, 2)).status_code == 200


def test_without_a_limit_nothing_is_counted(client: TestClient, database: Database) -> None:
    answer = client.get("/v1/me", headers=key_of(database, Role.SUBMITTER))
    assert "RateLimit" not in answer.headers
    assert "RateLimit" not in client.get("/livez").headers


def test_the_settings_limit_keys_that_have_no_limit_of_their_own(
    settings: Settings, database: Database, clock: Clock
) -> None:
    with served(settings.model_copy(update={"key_per_minute": 1})) as client:
        plain, own = limited_key(database, None), limited_key(database, 5)
        found = [client.get("/v1/me", headers=key).status_code for key in (plain, plain, own, own)]
    assert found == [200, 429, 200, 200]

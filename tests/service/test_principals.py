"""Requests that ask at the same time share a read, and no answer is older than its question."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy.orm import Session

from service.auth import Role, create_key, revoke_key
from service.db import Database
from service.errors import Unauthorized, Unavailable
from service.principals import Principals
from service.settings import Settings
from service.tables import ApiKey


class Counted(Database):
    """Counts its reads; each waits for the gate, once it has begun."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.reads = 0
        self.is_away = False
        self.gate = threading.Event()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        self.reads += 1
        if self.is_away:
            raise Unavailable("the database cannot be used at the moment")
        with super().reading() as session:
            session.connection()
            self.gate.wait(30)
            yield session


@pytest.fixture
def counted(settings: Settings) -> Iterator[Counted]:
    database = Counted(settings)
    yield database
    database.close()


def make_key(database: Database, name: str) -> tuple[int, str]:
    with database.session() as session:
        key, secret = create_key(session, "system", name, Role.SUBMITTER)
        return key.id, secret


async def until_read(database: Counted, reads: int) -> None:
    while database.reads < reads:
        await asyncio.sleep(0.01)


def test_those_who_ask_during_a_read_share_the_next(counted: Counted) -> None:
    first, second = make_key(counted, "first"), make_key(counted, "second")

    async def ask() -> list[object]:
        principals = Principals(counted)
        asked = [asyncio.create_task(principals.of_key(first[1]))]
        await until_read(counted, 1)
        secrets = [first[1], second[1], "pnp_unknown"] * 5
        asked += [asyncio.create_task(principals.of_key(secret)) for secret in secrets]
        await asyncio.sleep(0.05)
        counted.gate.set()
        return list(await asyncio.gather(*asked, return_exceptions=True))

    answers = asyncio.run(ask())
    assert counted.reads == 2
    names = [getattr(answer, "name", type(answer)) for answer in answers]
    assert names == ["first", *["first", "second", Unauthorized] * 5]


def test_a_key_revoked_during_a_read_works_for_nobody_who_asks_later(counted: Counted) -> None:
    number, secret = make_key(counted, "first")

    async def ask() -> list[object]:
        principals = Principals(counted)
        before = asyncio.create_task(principals.of_key(secret))
        await until_read(counted, 1)
        with counted.session() as session:
            key = session.get(ApiKey, number)
            assert key is not None
            revoke_key(session, "system", key)
        after = asyncio.create_task(principals.of_key(secret))
        await asyncio.sleep(0.05)
        counted.gate.set()
        return list(await asyncio.gather(before, after, return_exceptions=True))

    _, after = asyncio.run(ask())
    assert isinstance(after, Unauthorized)


def test_a_database_that_is_away_is_told_to_all_and_asked_again(counted: Counted) -> None:
    _, secret = make_key(counted, "first")
    counted.gate.set()

    async def ask() -> str:
        principals = Principals(counted)
        counted.is_away = True
        asked = [principals.of_key(secret) for _ in range(3)]
        told = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(error) for error in told] == [Unavailable] * 3
        counted.is_away = False
        return (await principals.of_key(secret)).name

    assert asyncio.run(ask()) == "first"


def test_one_that_is_given_up_leaves_the_others_waiting(counted: Counted) -> None:
    _, secret = make_key(counted, "first")

    async def ask() -> str:
        principals = Principals(counted)
        given_up = asyncio.create_task(principals.of_key(secret))
        other = asyncio.create_task(principals.of_key(secret))
        await until_read(counted, 1)
        given_up.cancel()
        counted.gate.set()
        return (await other).name

    assert asyncio.run(ask()) == "first"

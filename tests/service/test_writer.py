"""Concurrent requests share a transaction, and only a bad one fails."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.db import Database, now
from service.errors import Unavailable
from service.tables import Person
from service.writer import Writer


class Gated:
    """Adds people by name once its gate is open; notes who was written together."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.groups: list[list[str]] = []

    def __call__(self, session: Session, names: Sequence[str]) -> None:
        self.gate.wait(30)
        self.groups.append(list(names))
        session.add_all(Person(name=name, role="reviewer", created_at=now()) for name in names)
        session.flush()


def names(database: Database) -> set[str]:
    with database.reading() as session:
        return set(session.scalars(select(Person.name)))


def count(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(Person)) or 0


def test_what_waits_is_written_together_and_is_there_when_done(database: Database) -> None:
    write = Gated()
    writer = Writer(database, write, together=3, most_waiting=100)
    done = [writer.submit(f"orang {number}") for number in range(6)]
    write.gate.set()
    for number, waiting in enumerate(done):
        waiting.result(30)
        assert f"orang {number}" in names(database)
    writer.close()
    assert [name for group in write.groups for name in group] == [f"orang {n}" for n in range(6)]
    assert len(write.groups) < 6


def test_of_a_group_only_the_bad_one_fails(database: Database) -> None:
    write = Gated()
    writer = Writer(database, write, together=10, most_waiting=100)
    done = {name: writer.submit(name) for name in ("first", "ada", "budi")}
    twice = writer.submit("ada")
    write.gate.set()
    for waiting in done.values():
        waiting.result(30)
    with pytest.raises(IntegrityError):
        twice.result(30)
    writer.submit("citra").result(30)
    writer.close()
    assert names(database) == {"first", "ada", "budi", "citra"}


def test_an_unusable_database_is_told_to_all_of_a_group_after_one_attempt(
    database: Database,
) -> None:
    attempts = []

    def write(session: Session, names: Sequence[str]) -> None:
        gate.wait(30)
        attempts.append(len(names))
        raise Unavailable("the database cannot be used at the moment")

    gate = threading.Event()
    writer = Writer(database, write, together=10, most_waiting=100)
    done = [writer.submit(f"orang {number}") for number in range(5)]
    gate.set()
    for waiting in done:
        with pytest.raises(Unavailable, match="at the moment"):
            waiting.result(30)
    writer.close()
    assert sum(attempts) == 5


def test_closing_writes_what_was_accepted_and_takes_no_more(database: Database) -> None:
    write = Gated()
    writer = Writer(database, write, together=2, most_waiting=100)
    done = [writer.submit(f"orang {number}") for number in range(5)]
    write.gate.set()
    writer.close()
    assert all(waiting.done() for waiting in done)
    assert count(database) == 5
    with pytest.raises(Unavailable, match="stopping"):
        writer.submit("late")


def test_where_the_database_is_behind_nothing_more_is_begun(database: Database) -> None:
    write = Gated()
    writer = Writer(database, write, together=1, most_waiting=3)
    writer.check()
    waiting = [writer.submit(f"orang {number}") for number in range(5)]
    with pytest.raises(Unavailable, match="behind"):
        writer.check()
    write.gate.set()
    for done in waiting:
        done.result(30)
    writer.check()
    writer.close()


def test_a_request_that_is_given_up_is_written_all_the_same(database: Database) -> None:
    write = Gated()
    writer = Writer(database, write, together=10, most_waiting=100)
    writer.submit("first")
    given_up = writer.submit("ada")
    given_up.cancel()
    write.gate.set()
    writer.submit("budi").result(30)
    writer.close()
    assert names(database) == {"first", "ada", "budi"}

"""Migrations and the database's own promises."""

from __future__ import annotations

from datetime import datetime

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import DatabaseError

import service.tables
from service import audit
from service.cases.opening import open_cases
from service.db import MIGRATIONS, Base, Database, now
from service.errors import Unavailable
from service.settings import Settings
from tests.service.building import AT, store_post


def test_models_and_migrations_agree(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    before = sorted(inspect(database.engine).get_table_names())
    database.upgrade()
    assert sorted(inspect(database.engine).get_table_names()) == before


@pytest.mark.parametrize(
    "change", ["UPDATE audit_entries SET actor = 'other'", "DELETE FROM audit_entries"]
)
def test_the_database_refuses_to_change_the_audit_log(database: Database, change: str) -> None:
    with database.session() as session:
        audit.append(session, "person:1", "case.read", "case:1")
    with pytest.raises(DatabaseError, match="append-only"), database.session() as session:
        session.execute(text(change))
    with database.reading() as session:
        assert [entry.actor for entry in audit.entries(session)] == ["person:1"]


@pytest.mark.parametrize("table", ["audit_entries", "case_events"])
def test_the_database_refuses_to_replace_or_empty_what_is_append_only(
    database: Database, table: str
) -> None:
    with database.session() as session:
        open_cases(session, [store_post(session)], at=AT)
        audit.append(session, "person:1", "case.read", "case:1")
    with database.reading() as session:
        before = session.execute(text(f"SELECT * FROM {table}")).all()
    change = f"TRUNCATE {table}"
    if database.is_sqlite:
        change = f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}"
    with pytest.raises(DatabaseError, match="append-only"), database.session() as session:
        session.execute(text(change))
    with database.reading() as session:
        assert session.execute(text(f"SELECT * FROM {table}")).all() == before != []


def test_the_last_revision_can_be_taken_back_and_applied_again(database: Database) -> None:
    before = sorted(inspect(database.engine).get_table_names())
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")
    database.upgrade()
    assert sorted(inspect(database.engine).get_table_names()) == before


def test_an_error_rolls_the_whole_transaction_back(database: Database) -> None:
    def fail_after_writing() -> None:
        with database.session() as session:
            audit.append(session, "person:1", "case.read", "case:1")
            raise KeyError

    with pytest.raises(KeyError):
        fail_after_writing()
    with database.reading() as session:
        assert audit.chain_head(session) == (0, audit.GENESIS)


def test_times_come_back_in_utc_and_naive_ones_are_refused(database: Database) -> None:
    at = now()
    with database.session() as session:
        sequence = audit.append(session, "person:1", "case.read", "case:1").sequence
    with database.reading() as session:
        stored = session.get(service.tables.AuditEntry, sequence)
        assert stored is not None
        assert stored.at.utcoffset() == at.utcoffset()
        assert stored.at >= at
    with pytest.raises(Exception, match="without a zone"), database.session() as session:
        session.execute(
            select(service.tables.AuditEntry).where(
                service.tables.AuditEntry.at > datetime(2026, 1, 1)  # a naive time
            )
        )


def test_a_database_that_is_away_is_unavailable_and_says_when_to_try_again() -> None:
    away = Database(Settings(database_url="postgresql+psycopg://nobody@127.0.0.1:9/none"))
    with pytest.raises(Unavailable) as caught:
        away.ping()
    assert caught.value.retry_after_seconds == 5
    away.close()

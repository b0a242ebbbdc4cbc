"""A database that goes away, is locked or full in the middle of a request."""

from __future__ import annotations

import sqlite3
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, event, func, make_url, select, text
from sqlalchemy.exc import DBAPIError

from screening.types import Score
from service import audit, db
from service.auth import Role
from service.db import Database
from service.errors import Unavailable
from service.settings import Settings
from service.tables import Answered, Case, Content, PostRow
from tests.builders import FakeScorer
from tests.service.exports.sending import assert_stored_once, ended, posts, send, unlike
from tests.service.serving import key_of, served

ONCE = {"Idempotency-Key": "k1"}
BODY = {"posts": [{"text": unlike(n, is_hit=True), "message_id": str(n)} for n in range(5)]}
AWAY = "the database cannot be used at the moment; nothing was stored, try again"


class Interrupting(FakeScorer):
    """Lets something happen while a request is being scored."""

    def __init__(self) -> None:
        super().__init__()
        self.happen: Callable[[], None] = lambda: None

    def score(self, texts: Sequence[str]) -> list[Score]:
        self.happen()
        return super().score(texts)


@contextmanager
def application(
    settings: Settings, database: Database, scorer: FakeScorer | None = None
) -> Iterator[TestClient]:
    with served(settings, scorer) as client:
        client.headers.update(key_of(database, Role.SUBMITTER))
        yield client


def engine_of(client: TestClient) -> Any:
    return client.app.state.database.engine  # type: ignore[attr-defined]


def counts(database: Database) -> list[int]:
    with database.reading() as session:
        tables = (PostRow, Content, Case, Answered)
        return [session.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


def assert_away(answer: Any, detail: str = AWAY) -> None:
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["Retry-After"] == "5"
    assert answer.json()["detail"] == detail


def assert_stored_by_a_repeat(client: TestClient, database: Database) -> None:
    answer = client.post("/v1/score", json=BODY, headers=ONCE)
    assert answer.status_code == 200
    assert counts(database)[0] == len(BODY["posts"])
    with database.reading() as session:
        submits = [e for e in audit.entries(session) if e.action == "posts.submit"]
        assert len(submits) == 1
        assert audit.verify(session) is None


class Postgres:
    """Takes one database away and gives it back, from another."""

    def __init__(self, url: str) -> None:
        self._name = make_url(url).database
        self._engine = create_engine(
            make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT"
        )

    def run(self, sql: str) -> None:
        with self._engine.connect() as connection:
            connection.execute(text(sql), {"name": self._name})

    def drop_connections(self) -> None:
        self.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")

    def take_away(self) -> None:
        self.run(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false")
        self.drop_connections()

    def give_back(self) -> None:
        self.run(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true")


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Postgres]:
    server = Postgres(postgres_url)
    yield server
    server.give_back()
    server._engine.dispose()


@pytest.fixture
def settings_pg(postgres_url: str, tmp_path: Any) -> Settings:
    return Settings(data_dir=tmp_path, database_url=postgres_url, audit_share=0)


@pytest.fixture
def database_pg(settings_pg: Settings) -> Iterator[Database]:
    database = Database(settings_pg)
    yield database
    database.close()


def test_a_server_that_stops_while_posts_are_scored(
    postgres: Postgres, settings_pg: Settings, database_pg: Database
) -> None:
    scorer = Interrupting()
    with application(settings_pg, database_pg, scorer) as client:
        scorer.happen = postgres.take_away
        assert_away(client.post("/v1/score", json=BODY, headers=ONCE))
        assert_away(client.post("/v1/score", json=BODY, headers=ONCE))
        assert_away(client.get("/readyz"))
        assert client.get("/livez").status_code == 200
        scorer.happen = lambda: None
        postgres.give_back()
        assert counts(database_pg) == [0, 0, 0, 0]
        assert_stored_by_a_repeat(client, database_pg)


@pytest.mark.parametrize("table", ["answered_requests", "contents", "scores", "cases", "audit"])
def test_a_connection_lost_within_the_transaction_leaves_nothing_half_written(
    postgres: Postgres, settings_pg: Settings, database_pg: Database, table: str
) -> None:
    with application(settings_pg, database_pg) as client:

        def drop(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            if statement.startswith(f"INSERT INTO {table}"):
                postgres.drop_connections()

        event.listen(engine_of(client), "before_cursor_execute", drop)
        assert_away(client.post("/v1/score", json=BODY, headers=ONCE))
        event.remove(engine_of(client), "before_cursor_execute", drop)
        assert counts(database_pg) == [0, 0, 0, 0]
        assert_stored_by_a_repeat(client, database_pg)


def test_a_connection_lost_at_the_commit_is_said_to_be_uncertain(
    postgres: Postgres, settings_pg: Settings, database_pg: Database
) -> None:
    with application(settings_pg, database_pg) as client:
        dropped: list[Any] = []

        def drop(connection: Any) -> None:
            if not dropped and connection.get_execution_options().get("sqlite_begin") is None:
                dropped.append(connection)
                postgres.drop_connections()

        event.listen(engine_of(client), "commit", drop)
        answer = client.post("/v1/score", json=BODY, headers=ONCE)
        event.remove(engine_of(client), "commit", drop)
        assert dropped
        detail = "the database was lost while it stored the request; repeat the request with the "
        assert_away(answer, f"{detail}same Idempotency-Key to learn whether it did")
        assert_stored_by_a_repeat(client, database_pg)


def test_a_postgresql_without_space_is_told(settings_pg: Settings, database_pg: Database) -> None:
    function = (
        "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
    )
    with database_pg.session() as session:
        session.execute(text(function))
        session.execute(
            text("CREATE TRIGGER t BEFORE INSERT ON scores EXECUTE FUNCTION no_space()")
        )
    with application(settings_pg, database_pg) as client:
        answer = client.post("/v1/score", json=BODY, headers=ONCE)
        assert answer.status_code == 507
        assert answer.json()["detail"] == "the database is full; nothing was stored"
        assert counts(database_pg) == [0, 0, 0, 0]
        with database_pg.session() as session:
            session.execute(text("DROP TRIGGER t ON scores"))
        assert_stored_by_a_repeat(client, database_pg)


def test_an_upload_is_not_kept_where_its_job_cannot_be(
    postgres: Postgres,
    settings_pg: Settings,
    database_pg: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def take_away(*given: Any) -> None:
        postgres.take_away()

    with application(settings_pg, database_pg) as client:
        with monkeypatch.context() as patch:
            patch.setattr("service.exports.service.check_readable", take_away)
            assert_away(client.post("/v1/exports", content=posts(10), headers=ONCE))
        assert list((settings_pg.data_dir / "exports").iterdir()) == []
        postgres.give_back()
        sent = client.post("/v1/exports", content=posts(10), headers=ONCE)
        assert ended(client, sent.json()["id"])["state"] == "done"


def test_a_job_goes_on_when_the_database_is_back(
    postgres: Postgres, settings_pg: Settings, database_pg: Database
) -> None:
    scorer = Interrupting()
    impatient = settings_pg.model_copy(update={"job_lease_seconds": 1})
    with application(impatient, database_pg, scorer) as client:

        def interrupt() -> None:
            if len(scorer.asked) > 100:
                scorer.happen = lambda: None
                postgres.take_away()

        scorer.happen = interrupt
        job_id = send(client, posts(200))
        while scorer.happen == interrupt:
            time.sleep(0.01)
        assert_away(client.get(f"/v1/jobs/{job_id}"))
        postgres.give_back()
        assert ended(client, job_id)["state"] == "done"
    assert_stored_once(database_pg, 200)


@pytest.fixture
def sqlite_settings(tmp_path: Any) -> Settings:
    return Settings(data_dir=tmp_path, audit_share=0)


@pytest.fixture
def sqlite_database(sqlite_settings: Settings) -> Iterator[Database]:
    database = Database(sqlite_settings)
    database.upgrade()
    yield database
    database.close()


def test_a_full_disk_under_sqlite_is_told_and_nothing_is_half_written(
    sqlite_settings: Settings, sqlite_database: Database
) -> None:
    """SQLite itself refuses to grow the file, as on a disk without space."""
    big = {"posts": [{"text": f"x {n} " + "a" * 20_000} for n in range(100)]}
    with application(sqlite_settings, sqlite_database) as client:

        def fill(connection: Any, *rest: Any) -> None:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages + 20}").close()

        def make_room(connection: Any, *rest: Any) -> None:
            connection.execute("PRAGMA max_page_count = 1073741823").close()

        event.listen(engine_of(client), "checkout", fill)
        answer = client.post("/v1/score", json=big, headers=ONCE)
        assert answer.status_code == 507
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"] == "the database is full; nothing was stored"
        assert counts(sqlite_database) == [0, 0, 0, 0]
        event.remove(engine_of(client), "checkout", fill)
        event.listen(engine_of(client), "checkout", make_room)
        assert_stored_by_a_repeat(client, sqlite_database)


def test_a_sqlite_file_that_stays_locked_is_told(
    sqlite_settings: Settings, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "BUSY_SECONDS", 0.1)
    with application(sqlite_settings, sqlite_database) as client:
        other = sqlite3.connect(sqlite_settings.data_dir / "penapisan.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert_away(client.post("/v1/score", json=BODY, headers=ONCE))
        assert client.get("/readyz").status_code == 200, "a reader does not wait for a writer"
        other.execute("ROLLBACK")
        other.close()
        assert counts(sqlite_database) == [0, 0, 0, 0]
        assert_stored_by_a_repeat(client, sqlite_database)


def test_an_error_of_the_database_tells_the_log_nothing_that_was_written(
    database: Database,
) -> None:
    secret = "raha" + "sia"
    with pytest.raises((DBAPIError, Unavailable)) as caught, database.session() as session:
        session.execute(text("INSERT INTO lost VALUES (:text)"), {"text": secret})
    told = "".join(traceback.format_exception(caught.value))
    assert "INSERT INTO lost" in told
    assert secret not in told

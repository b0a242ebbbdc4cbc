"""The same database fixture on SQLite and PostgreSQL."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from service.db import Database
from service.settings import Settings
from tests.service.postgres import find_binaries, running_server

TEMPLATE = "penapisan_template"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A server's URL, with a migrated template database."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with running_server(binaries) as server:
        _command(server, f"CREATE DATABASE {TEMPLATE}")
        database = Database(Settings(database_url=f"{server}/{TEMPLATE}"))
        database.upgrade()
        database.close()
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    database = Database(Settings(data_dir=folder))
    database.upgrade()
    database.close()
    return folder / "penapisan.db"


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A fresh, migrated PostgreSQL database."""
    with _fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def second_postgres_url(postgres_server: str) -> Iterator[str]:
    """Another one."""
    with _fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a fresh, migrated database; the test runs on both kinds."""
    folder = tmp_path / "data"
    folder.mkdir()
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    else:
        template = request.getfixturevalue("sqlite_template")
        shutil.copy(template, folder / "penapisan.db")
    return Settings(data_dir=folder, database_url=url, gold_share=0, audit_share=0)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings)
    yield database
    database.close()


@pytest.fixture
def operated(settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database that the commands find."""
    if settings.database_url:
        monkeypatch.setenv("PENAPISAN_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("PENAPISAN_DATA_DIR", str(settings.data_dir))
    return database


@contextmanager
def _fresh_database(server: str) -> Iterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    _command(server, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield f"{server}/{name}"
    _command(server, f"DROP DATABASE {name} WITH (FORCE)")


def _command(server: str, sql: str) -> None:
    engine = create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(sql))
    engine.dispose()

"""The database: SQLite by default, PostgreSQL for many workers, the same code on both."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import (
    DateTime,
    Dialect,
    Engine,
    TypeDecorator,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session

from service.errors import InsufficientStorage, Unavailable, Uncertain
from service.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"
DISK_FULL = "53100"
"""PostgreSQL's SQLSTATE; see its manual, appendix A."""

BUSY_SECONDS = 30
"""How long SQLite waits for another writer."""


class Base(DeclarativeBase):
    """Every table; see ``service.tables``."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time, on databases that know time zones and on SQLite, which does not."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored; give it in UTC")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """An engine and its sessions."""

    def __init__(self, settings: Settings) -> None:
        url = make_url(settings.url)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        if self.is_sqlite and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}}
        if not self.is_sqlite:
            # Prepared while tables are small, a statement would keep a plan that reads them whole.
            unprepared = {"prepare_threshold": None}
            options = {
                "connect_args": unprepared,
                "pool_pre_ping": True,
                "pool_size": 10,
                "max_overflow": 20,
            }
        # An error's words reach the log; what was written, such as post text, must not.
        self.engine = create_engine(url, hide_parameters=True, **options)
        # SQLite's writers poll for its lock and may starve; those of one process queue here.
        self._turn = threading.RLock() if self.is_sqlite else nullcontext()
        if self.is_sqlite:
            _prepare_sqlite(self.engine)

    def upgrade(self) -> None:
        """Bring the schema up to date."""
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on any error.

        Raises
        ------
        Unavailable
            The database cannot be reached or stays locked; nothing was written, unless it is
            ``Uncertain``: it was lost in the moment of the commit.
        InsufficientStorage
            It is full; nothing was written.
        """
        with self._turn, _session(self.engine) as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that only reads: on SQLite it waits for no writer and stops none."""
        with _session(self.engine.execution_options(sqlite_begin="DEFERRED")) as session:
            yield session

    def ping(self) -> None:
        """Raise ``Unavailable`` where the database does not answer."""
        with self.reading() as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def _session(engine: Engine) -> Iterator[Session]:
    with Session(engine, expire_on_commit=False) as session:
        is_committing = False
        try:
            with session.begin() as transaction:
                yield session
                is_committing = True
                transaction.commit()
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise _unusable(error, is_committing=is_committing) from error


def _unusable(
    error: OperationalError | InterfaceError | PoolTimeout, *, is_committing: bool
) -> Unavailable | InsufficientStorage:
    """What to tell of a database that is away, busy or full."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    if (
        getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        or getattr(cause, "sqlstate", None) == DISK_FULL
    ):
        return InsufficientStorage("the database is full; nothing was stored")
    if is_committing and isinstance(error, DBAPIError) and error.connection_invalidated:
        return Uncertain(
            "the database was lost while it stored the request; repeat the request with the same "
            "Idempotency-Key to learn whether it did",
            retry_after_seconds=5,
        )
    return Unavailable(
        "the database cannot be used at the moment; nothing was stored, try again",
        retry_after_seconds=5,
    )


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connect(connection: Any, record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy, not the driver, begins transactions
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # The writer's lock at once: a reader that turned writer could find its snapshot stale.
        kind = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
        connection.exec_driver_sql(f"BEGIN {kind}")


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)

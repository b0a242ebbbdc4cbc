"""The application in a test: a client for each role."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from click.testing import CliRunner, Result
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from screening.scorer import Scorer
from service.app import create_app
from service.auth import Role, create_key, open_session
from service.cli import main
from service.db import Database, now
from service.dependencies import CSRF_HEADER, SESSION_COOKIE
from service.settings import Settings
from service.tables import Person
from tests.builders import FakeScorer


@contextmanager
def served(settings: Settings, scorer: Scorer | None = None) -> Iterator[TestClient]:
    app = create_app(settings, scorer or FakeScorer())
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def key_of(database: Database, role: Role) -> dict[str, str]:
    """Headers of a new key's holder."""
    with database.session() as session:
        _, secret = create_key(session, "system", role.value, role)
    return {"Authorization": f"Bearer {secret}"}


def run(*arguments: str, code: int = 0) -> Result:
    """What a command of ``penapisan`` printed."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result


def count(database: Database, table: type[Any]) -> int:
    """Rows of a table."""
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def signed_in(database: Database, number: int, role: Role) -> dict[str, str]:
    """Headers of a new person's browser; the person is ``person:<number>``."""
    with database.session() as session:
        person = Person(id=number, name=f"Orang {number}", role=role.value, created_at=now())
        session.add(person)
        session.flush()
        token = open_session(session, person, 1)
    return {"Cookie": f"{SESSION_COOKIE}={token}", CSRF_HEADER: "1"}


@contextmanager
def listening(settings: Settings) -> Iterator[str]:
    """The URL of a server with the application, on a free port."""
    config = uvicorn.Config(create_app(settings, FakeScorer()), port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()

"""The application in a test: a client for each role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi.testclient import TestClient

from service.app import create_app
from service.auth import Role, create_key
from service.db import Database
from service.settings import Settings


@contextmanager
def served(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def key_of(database: Database, role: Role) -> dict[str, str]:
    """Headers of a new key's holder."""
    with database.session() as session:
        _, secret = create_key(session, "system", role.value, role)
    return {"Authorization": f"Bearer {secret}"}

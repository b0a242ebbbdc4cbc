"""People in a test who signed in with a browser."""

from __future__ import annotations

from fastapi.testclient import TestClient

from service.auth import Role, create_person
from service.db import Database
from service.dependencies import CSRF_HEADER

PASSWORD = "kata sandi yang panjang"


def person_with_password(database: Database, name: str, role: Role) -> int:
    with database.session() as session:
        return create_person(session, "system", name, role, PASSWORD).id


def browser_of(client: TestClient, name: str, password: str = PASSWORD) -> TestClient:
    """A second browser on the same application, signed in."""
    browser = TestClient(client.app, raise_server_exceptions=False, headers={CSRF_HEADER: "1"})
    answer = browser.post("/v1/session", json={"name": name, "password": password})
    assert answer.status_code == 200, answer.text
    return browser

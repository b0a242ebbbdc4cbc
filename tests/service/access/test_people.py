"""People and keys over HTTP, given and taken away by administrators."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from service import audit
from service.access import service
from service.auth import Permission, Principal, Role, create_person
from service.db import Database
from service.errors import Conflict, Unprocessable
from service.settings import Settings
from tests.service.access.signing import browser_of, person_with_password
from tests.service.serving import key_of, served


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with served(settings) as client:
        yield client


@pytest.fixture
def root(client: TestClient, database: Database) -> TestClient:
    """The browser of person 1, an administrator."""
    person_with_password(database, "Ratna", Role.ADMINISTRATOR)
    return browser_of(client, "Ratna")


def ok(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def recorded(database: Database) -> list[tuple[str, str, str]]:
    with database.reading() as session:
        return [(entry.actor, entry.action, entry.subject) for entry in audit.entries(session)]


def test_an_invited_person_sets_a_password_and_signs_in(
    root: TestClient, database: Database
) -> None:
    made = ok(root.post("/v1/people", json={"name": "Ada", "role": "reviewer"}), 201)
    assert (made["person"]["id"], made["person"]["state"]) == (2, "invited")
    password = "sandi lain yang panjang"
    form = {"password": password, "again": password}
    TestClient(root.app).post(made["link"]["url"], data=form)
    assert ok(browser_of(root, "Ada", password).get("/v1/me"))["role"] == "reviewer"
    states = [(entry["name"], entry["state"]) for entry in ok(root.get("/v1/people"))]
    assert states == [("Ratna", "active"), ("Ada", "active")]
    assert ("person:1", "person.create", "person:2") in recorded(database)
    assert made["link"]["url"].rsplit("/", 1)[1] not in str(recorded(database))


def test_a_link_is_as_the_settings_say_the_service_is_reached(
    settings: Settings, database: Database
) -> None:
    public = settings.model_copy(update={"public_url": "https://screening.example"})
    with served(public) as client:
        headers = key_of(database, Role.ADMINISTRATOR)
        body = {"name": "Ada", "role": "reviewer"}
        made = ok(client.post("/v1/people", json=body, headers=headers), 201)
        again = ok(client.post("/v1/people/1/link", headers=headers), 201)
    for link in (made["link"], again):
        assert link["url"].startswith("https://screening.example/sign-in/")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "Ratna", "role": "senior"}, "/name"),
        ({"name": " Ada", "role": "senior"}, "/name"),
        ({"name": "A\u202eda", "role": "senior"}, "/name"),
        ({"name": "a\x00", "role": "senior"}, "/name"),
        ({"name": "Ada", "role": "owner"}, "/role"),
        ({"name": "Ada", "role": "senior", "password": "x"}, "/password"),
        ({"name": "Ada", "role": "senior", "provider_name": "ada"}, "/provider_name"),
    ],
)
def test_who_cannot_be_invited_is_told_why(
    root: TestClient, body: dict[str, str], pointer: str
) -> None:
    answer = root.post("/v1/people", json=body)
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert len(ok(root.get("/v1/people"))) == 1


def test_another_role_counts_from_the_next_request_on(root: TestClient, database: Database) -> None:
    number = person_with_password(database, "Ada", Role.REVIEWER)
    ada = browser_of(root, "Ada")
    assert ada.get("/v1/audit").status_code == 403
    changed = ok(root.post(f"/v1/people/{number}/role", json={"role": "auditor"}))
    assert changed["role"] == "auditor"
    assert ada.get("/v1/audit").status_code == 200
    with database.reading() as session:
        (entry,) = [e for e in audit.entries(session) if e.action == "person.role"]
        assert (entry.actor, entry.subject) == ("person:1", "person:2")
        assert entry.detail == {"from": "reviewer", "to": "auditor"}


def test_who_is_disabled_is_out_at_once_and_may_come_back(
    root: TestClient, database: Database
) -> None:
    number = person_with_password(database, "Ada", Role.REVIEWER)
    ada = browser_of(root, "Ada")
    assert ok(root.post(f"/v1/people/{number}/disable"))["state"] == "disabled"
    assert ada.get("/v1/me").status_code == 401
    assert root.post(f"/v1/people/{number}/disable").status_code == 409
    assert root.post(f"/v1/people/{number}/link").status_code == 409
    assert ok(root.post(f"/v1/people/{number}/enable"))["state"] == "active"
    assert root.post(f"/v1/people/{number}/enable").status_code == 409
    assert ada.get("/v1/me").status_code == 401, "the old session stays over"
    browser_of(root, "Ada")
    made = [action for _, action, subject in recorded(database) if subject == "person:2"]
    assert made[-3:] == ["person.disable", "person.enable", "session.open"]


def test_nobody_changes_their_own_role_or_disables_themselves(
    root: TestClient, database: Database
) -> None:
    person_with_password(database, "Ada", Role.ADMINISTRATOR)
    assert root.post("/v1/people/1/role", json={"role": "senior"}).status_code == 403
    assert root.post("/v1/people/1/disable").status_code == 403
    assert ok(root.get("/v1/me"))["role"] == "administrator"


def test_the_last_administrator_stays(client: TestClient, database: Database) -> None:
    number = person_with_password(database, "Ratna", Role.ADMINISTRATOR)
    headers = key_of(database, Role.ADMINISTRATOR)
    body = {"name": "Invited", "role": "administrator"}
    invited = ok(client.post("/v1/people", json=body, headers=headers), 201)["person"]["id"]
    path = f"/v1/people/{number}"
    assert client.post(f"{path}/disable", headers=headers).status_code == 409
    demoted = client.post(f"{path}/role", json={"role": "senior"}, headers=headers)
    assert demoted.status_code == 409
    assert client.post(f"/v1/people/{invited}/disable", headers=headers).status_code == 200
    person_with_password(database, "Ada", Role.ADMINISTRATOR)
    assert client.post(f"{path}/disable", headers=headers).status_code == 200


def test_two_administrators_cannot_remove_one_another_at_once(database: Database) -> None:
    ids = [person_with_password(database, name, Role.ADMINISTRATOR) for name in ("Ada", "Budi")]
    together, outcomes = threading.Barrier(2), []

    def remove(mine: int, other: int) -> None:
        who = Principal(f"person:{mine}", "", Role.ADMINISTRATOR)
        together.wait()
        try:
            with database.session() as session:
                service.disable(session, who, other)
            outcomes.append("disabled")
        except Conflict:
            outcomes.append("refused")

    threads = [threading.Thread(target=remove, args=pair) for pair in (ids, ids[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["disabled", "refused"]


def test_a_name_is_given_once_to_two_who_ask_at_once(database: Database) -> None:
    together, outcomes = threading.Barrier(4), []

    def create() -> None:
        together.wait()
        try:
            with database.session() as session:
                create_person(session, "system", "Ada", Role.REVIEWER)
            outcomes.append("created")
        except Unprocessable:
            outcomes.append("taken")

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["created", "taken", "taken", "taken"]


def test_who_is_not_there_is_not_found(root: TestClient) -> None:
    for step in ("link", "disable", "enable"):
        assert root.post(f"/v1/people/9/{step}").status_code == 404
    assert root.post("/v1/people/9/role", json={"role": "senior"}).status_code == 404
    assert root.post("/v1/keys/9/revoke").status_code == 404


def test_a_key_is_shown_once_listed_without_its_secret_and_revoked(
    root: TestClient, database: Database
) -> None:
    body = {"name": "platform", "role": "senior", "scopes": ["read_all", "read_all"], "days": 30}
    made = ok(root.post("/v1/keys", json=body | {"per_minute": 60}), 201)
    key, secret = made["key"], made["secret"]
    assert (key["scopes"], key["per_minute"], key["state"]) == (["read_all"], 60, "valid")
    assert key["expires_at"] is not None
    headers = {"X-API-Key": secret}
    told = ok(TestClient(root.app).get("/v1/me", headers=headers))
    assert told["permissions"] == [Permission.READ_ALL]
    listed = root.get("/v1/keys")
    assert (ok(listed), secret in listed.text) == ([key], False)
    assert ok(root.post(f"/v1/keys/{key['id']}/revoke"))["state"] == "revoked"
    assert TestClient(root.app).get("/v1/me", headers=headers).status_code == 401
    assert root.post(f"/v1/keys/{key['id']}/revoke").status_code == 409
    assert recorded(database)[-2:] == [
        ("person:1", "key.create", "key:1"),
        ("person:1", "key.revoke", "key:1"),
    ]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"scopes": ["administer"]}, "/scopes"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["fly"]}, "/scopes/0"),
        ({"days": 0}, "/days"),
        ({"per_minute": 0}, "/per_minute"),
        ({"name": "a\tb"}, "/name"),
    ],
)
def test_a_key_that_cannot_be_is_refused(
    root: TestClient, change: dict[str, Any], pointer: str
) -> None:
    body = {"name": "platform", "role": "senior"} | change
    answer = root.post("/v1/keys", json=body)
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert ok(root.get("/v1/keys")) == []


def test_pages_of_people_and_keys_follow_one_another(root: TestClient, database: Database) -> None:
    for name in ("Ada", "Budi"):
        person_with_password(database, name, Role.REVIEWER)
        key_of(database, Role.SUBMITTER)
    for path in ("/v1/people", "/v1/keys"):
        first = ok(root.get(path, params={"limit": 1}))
        rest = ok(root.get(path, params={"after": first[0]["id"]}))
        whole = ok(root.get(path))
        assert [*first, *rest] == whole
        assert len(whole) >= 2

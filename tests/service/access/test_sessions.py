"""Signing in with a password, signing out, one-time links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient
from sqlalchemy import select

from service import audit
from service.access import service
from service.access.limits import RateLimits
from service.auth import Role, create_person, is_outdated
from service.db import Database, now
from service.dependencies import CSRF_HEADER, SESSION_COOKIE
from service.retention import purge
from service.settings import Settings
from service.tables import (
    AuditEntry,
    Person,
    RateWindow,
    SessionRow,
    SignInFlow,
    SignInLink,
)
from tests.service.access.conftest import Clock
from tests.service.access.signing import PASSWORD, browser_of, person_with_password
from tests.service.serving import key_of, served

NEW = {"password": "sandi lain yang panjang", "again": "sandi lain yang panjang"}


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with served(settings) as client:
        yield client


def link_of(database: Database, settings: Settings, name: str = "Ada") -> str:
    with database.session() as session:
        person = session.scalars(select(Person).where(Person.name == name)).first()
        if person is None:
            person = create_person(session, "system", name, Role.SENIOR)
        return service.link_url("", service.new_link(session, "system", person, settings))


def actions(database: Database) -> list[str]:
    with database.reading() as session:
        return [entry.action for entry in audit.entries(session)]


def test_a_session_opens_and_ends_and_both_are_on_record(
    client: TestClient, database: Database
) -> None:
    person_with_password(database, "Ada", Role.REVIEWER)
    browser = browser_of(client, "Ada")
    assert browser.get("/v1/me").json() == {
        "id": "person:1",
        "name": "Ada",
        "role": "reviewer",
        "permissions": ["review"],
    }
    stolen = browser.cookies[SESSION_COOKIE]
    assert browser.delete("/v1/session").status_code == 204
    assert SESSION_COOKIE not in browser.cookies
    client.cookies[SESSION_COOKIE] = stolen
    assert client.get("/v1/me").status_code == 401
    assert actions(database) == ["person.create", "session.open", "session.close"]


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    client: TestClient, database: Database
) -> None:
    person_with_password(database, "Ada", Role.REVIEWER)
    given = {"name": "Ada", "password": PASSWORD}
    plain = client.post("/v1/session", json=given).headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(plain.split("; "))
    assert "Secure" not in plain
    behind_https = TestClient(client.app, base_url="https://testserver")
    assert "; Secure" in behind_https.post("/v1/session", json=given).headers["Set-Cookie"]


def test_signing_in_again_ends_the_session_before(client: TestClient, database: Database) -> None:
    person_with_password(database, "Ada", Role.REVIEWER)
    browser = browser_of(client, "Ada")
    browser.post("/v1/session", json={"name": "Ada", "password": PASSWORD})
    assert browser.get("/v1/me").status_code == 200
    with database.reading() as session:
        assert len(session.scalars(select(SessionRow)).all()) == 1


def test_a_change_by_cookie_needs_the_header(client: TestClient, database: Database) -> None:
    person_with_password(database, "Ada", Role.REVIEWER)
    browser = browser_of(client, "Ada")
    del browser.headers[CSRF_HEADER]
    assert browser.get("/v1/me").status_code == 200
    assert browser.delete("/v1/session").status_code == 403
    assert browser.post("/v1/cases/claim").status_code == 403


def test_a_form_of_another_site_cannot_sign_in(client: TestClient, database: Database) -> None:
    person_with_password(database, "Ada", Role.REVIEWER)
    body = f'{{"name": "Ada", "password": "{PASSWORD}"}}'
    answer = client.post("/v1/session", content=body, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422
    assert "Set-Cookie" not in answer.headers


def test_unknown_disabled_and_wrong_are_told_in_the_same_words(
    client: TestClient, database: Database
) -> None:
    person_with_password(database, "Ada", Role.REVIEWER)
    number = person_with_password(database, "Budi", Role.REVIEWER)
    with database.session() as session:
        session.get_one(Person, number).disabled_at = now()
        create_person(session, "system", "Citra", Role.REVIEWER)
    answers = [
        client.post("/v1/session", json={"name": name, "password": password})
        for name, password in [
            ("Ada", "wrong"),
            ("Budi", PASSWORD),
            ("Citra", PASSWORD),
            ("Dewi", PASSWORD),
        ]
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1


def test_guessing_is_stopped_and_a_right_password_starts_the_count_anew(
    client: TestClient, database: Database, clock: Clock
) -> None:
    person_with_password(database, "Ada", Role.REVIEWER)
    allowed = service.TRIES_BY_NAME.amount
    wrong, right = {"name": "Ada", "password": "x"}, {"name": "Ada", "password": PASSWORD}
    for _ in range(allowed - 1):
        assert client.post("/v1/session", json=wrong).status_code == 401
    assert client.post("/v1/session", json=right).status_code == 200
    for _ in range(allowed):
        assert client.post("/v1/session", json=wrong).status_code == 401
    refused = client.post("/v1/session", json=right)
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "901"
    other = client.post("/v1/session", json={"name": "Budi", "password": "x"})
    assert other.status_code == 401


def test_guessing_many_names_from_one_address_is_stopped(
    client: TestClient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "TRIES_BY_ADDRESS", service.RateLimitItemPerMinute(3, 15))
    tries = [
        client.post("/v1/session", json={"name": f"n{number}", "password": "x"}).status_code
        for number in range(4)
    ]
    assert tries == [401, 401, 401, 429]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("testclient", "unknown"),
    ],
)
def test_tries_are_counted_by_subscriber(address: str, network: str) -> None:
    assert service._network(address) == network


@pytest.mark.parametrize(
    "body",
    [
        {"name": "a\x00", "password": "x"},
        {"name": "", "password": "x"},
        {"name": "Ada", "password": "x" * 257},
        {"name": "Ada"},
        {"name": "Ada", "password": 1},
    ],
)
def test_a_broken_sign_in_is_refused(client: TestClient, body: dict[str, object]) -> None:
    assert client.post("/v1/session", json=body).status_code == 422


def test_a_link_sets_the_password_signs_in_and_works_once(
    client: TestClient, database: Database, settings: Settings
) -> None:
    link = link_of(database, settings)
    shown = client.get(link)
    assert shown.status_code == 200
    assert client.get(link).status_code == 200, "looking at it does not use it up"
    used = client.post(link, data=NEW)
    assert used.status_code == 200
    assert "HttpOnly" in used.headers["Set-Cookie"]
    assert client.get("/v1/me").json()["name"] == "Ada"
    assert client.get(link).status_code == 410
    again = TestClient(client.app).post(link, data=NEW)
    assert (again.status_code, "Set-Cookie" in again.headers) == (410, False)
    browser_of(client, "Ada", NEW["password"])
    with database.reading() as session:
        token = link.rsplit("/", 1)[1]
        kept = [row.token_sha256 for row in session.scalars(select(SignInLink))]
        details = [(row.subject, row.detail) for row in session.scalars(select(AuditEntry))]
        assert token not in str(kept) + str(details)
    recorded = ["person.create", "link.create", "password.set", "session.open", "session.open"]
    assert actions(database) == recorded


def test_a_new_password_ends_every_other_session(
    client: TestClient, database: Database, settings: Settings
) -> None:
    person_with_password(database, "Ada", Role.REVIEWER)
    browser = browser_of(client, "Ada")
    client.post(link_of(database, settings), data=NEW)
    assert browser.get("/v1/me").status_code == 401
    old = client.post("/v1/session", json={"name": "Ada", "password": PASSWORD})
    assert old.status_code == 401


def test_a_newer_link_an_expired_one_and_a_disabled_person_end_a_link(
    client: TestClient, database: Database, settings: Settings
) -> None:
    first = link_of(database, settings)
    second = link_of(database, settings)
    assert client.get(first).status_code == 410
    with database.session() as session:
        session.scalars(select(SignInLink)).one().expires_at = now() - timedelta(seconds=1)
    assert client.get(second).status_code == 410
    assert client.post(second, data=NEW).status_code == 410
    third = link_of(database, settings)
    with database.session() as session:
        session.scalars(select(Person)).one().disabled_at = now()
    assert client.post(third, data=NEW).status_code == 410
    assert client.get("/sign-in/unknown").status_code == 410


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"password": "pendek", "again": "pendek"}, "12 to 256"),
        (NEW | {"again": "lain"}, "differ"),
        ({}, "12 to 256"),
    ],
)
def test_a_bad_password_is_explained_and_leaves_the_link(
    client: TestClient, database: Database, settings: Settings, form: dict[str, str], words: str
) -> None:
    link = link_of(database, settings)
    answer = client.post(link, data=form)
    assert answer.status_code == 422
    assert words in answer.text
    assert client.post(link, data=NEW).status_code == 200


def test_another_sites_form_cannot_use_a_link(
    client: TestClient, database: Database, settings: Settings
) -> None:
    link = link_of(database, settings)
    refused = client.post(link, data=NEW, headers={"Sec-Fetch-Site": "cross-site"})
    assert (refused.status_code, "Set-Cookie" in refused.headers) == (403, False)
    assert client.post(link, data=NEW, headers={"Sec-Fetch-Site": "same-origin"}).is_success


@pytest.mark.parametrize("body", [b"\xff\xfe", b"&".join([b"a=1"] * 20)])
def test_a_broken_form_leaves_the_link(
    client: TestClient, database: Database, settings: Settings, body: bytes
) -> None:
    link = link_of(database, settings)
    assert client.post(link, content=body).status_code == 422
    assert client.post(link, data=NEW).status_code == 200


def test_the_page_loads_nothing_and_shows_a_name_as_text(
    client: TestClient, database: Database, settings: Settings
) -> None:
    shown = client.get(link_of(database, settings, "<script>alert(1)</script>"))
    assert "<script" not in shown.text
    assert "&lt;script&gt;" in shown.text
    assert not re.search(r'(src|href)="', shown.text)
    policy = shown.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'nonce-")
    assert "frame-ancestors 'none'" in policy
    assert shown.headers["Referrer-Policy"] == "no-referrer"
    assert shown.headers["Cache-Control"] == "no-store"


def test_an_accent_typed_as_one_letter_or_two_is_the_same_password(
    client: TestClient, database: Database, settings: Settings
) -> None:
    composed, in_two = "kafé kafé kafé", "kafe\u0301 kafe\u0301 kafe\u0301"
    client.post(link_of(database, settings), data={"password": composed, "again": composed})
    browser_of(client, "Ada", in_two)


def test_a_password_hashed_with_older_parameters_is_hashed_anew(
    client: TestClient, database: Database
) -> None:
    number = person_with_password(database, "Ada", Role.REVIEWER)
    older = PasswordHasher(time_cost=1, memory_cost=1024).hash(PASSWORD)
    with database.session() as session:
        session.get_one(Person, number).password_hash = older
    browser_of(client, "Ada")
    with database.reading() as session:
        newer = session.get_one(Person, number).password_hash
    assert newer is not None
    assert not is_outdated(newer)
    browser_of(client, "Ada")


def test_what_is_left_of_sign_ins_is_purged(database: Database, settings: Settings) -> None:
    link_of(database, settings)
    service.keep_flow(database, {"state": "x"})
    limits = RateLimits(database)
    service.require_try(limits, "203.0.113.7")
    # On SQLite tries are counted in memory.
    tables = (
        (SignInLink, SignInFlow) if database.is_sqlite else (SignInLink, SignInFlow, RateWindow)
    )
    for at, left in [(now(), True), (now() + timedelta(days=1), False)]:
        purge(database, settings, "system", at)
        with database.reading() as session:
            found = [session.scalars(select(table)).all() for table in tables]
        assert [bool(rows) for rows in found] == [left] * len(tables)


def test_a_key_is_told_what_it_may_do(client: TestClient, database: Database) -> None:
    headers = key_of(database, Role.ADMINISTRATOR)
    told = client.get("/v1/me", headers=headers).json()
    assert (told["id"], told["permissions"]) == ("key:1", ["administer", "score"])

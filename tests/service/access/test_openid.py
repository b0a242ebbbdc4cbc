"""Signing in through a real OpenID provider: another process, over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, get_args
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy import select

from service import audit
from service.access import service
from service.auth import Role
from service.db import Database, now
from service.dependencies import CSRF_HEADER, SESSION_COOKIE
from service.settings import RoleName, Settings
from service.tables import Person, SessionRow, SignInFlow
from tests.service.access.provider import CLIENT_ID, CLIENT_SECRET
from tests.service.access.signing import person_with_password
from tests.service.postgres import free_port
from tests.service.serving import listening


def address(name: str, **claims: Any) -> dict[str, Any]:
    return {"claims": {"email": f"{name}@x.example", "email_verified": True, **claims}}


USERS = {
    "ada": address("ada", groups=["staff", "reviewers"]),
    "budi": address("budi", groups=["staff"]),
    "unverified": address("ada", email_verified=False),
    "nameless": {"claims": {}},
    "hidden": address("a\u202eda"),
    "expired": address("ada") | {"id_token": {"exp": 1_700_000_000}},
    "other-nonce": address("ada") | {"id_token": {"nonce": "another"}},
    "other-client": address("ada") | {"id_token": {"aud": ["another"], "azp": CLIENT_ID}},
    "other-issuer": address("ada") | {"id_token": {"iss": "https://another.example"}},
    "forged": address("ada") | {"is_forged": True},
    "two-people": address("ada") | {"userinfo_sub": "budi"},
}

SignIn = Callable[[str], httpx.Response]


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """A provider's process."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "tests.service.access.provider", url.rsplit(":", 1)[1]]
    environment = os.environ | {"AUTHLIB_INSECURE_TRANSPORT": "1"}
    process = subprocess.Popen(
        [*command, json.dumps(USERS)], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        while not _answers(url):
            assert process.poll() is None, "the provider did not start"
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/jwks").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def linked(settings: Settings, issuer: str) -> Settings:
    """Settings with the provider; nobody is let in who was not invited."""
    return settings.model_copy(
        update={
            "oidc_issuer": issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": SecretStr(CLIENT_SECRET),
        }
    )


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    with httpx.Client(headers={CSRF_HEADER: "1"}) as browser:
        yield browser


def begun(browser: httpx.Client, url: str, who: str) -> str:
    """Where the provider sends a browser back to, after ``who`` has signed in there."""
    begin = browser.get(f"{url}/v1/oidc/sign-in")
    assert begin.status_code == 302, begin.text
    there = browser.get(f"{begin.headers['Location']}&as={who}")
    assert there.status_code == 302, there.text
    return there.headers["Location"]


def sign_in(browser: httpx.Client, url: str, who: str) -> httpx.Response:
    return browser.get(begun(browser, url, who))


def expect(database: Database, settings: Settings, provider_name: str) -> None:
    with database.session() as session:
        role = Role.REVIEWER
        service.expect(session, "system", "Ada", role, provider_name, settings)


def people(database: Database) -> list[tuple[str, str, str | None]]:
    with database.reading() as session:
        found = session.scalars(select(Person).order_by(Person.id))
        return [(p.name, p.role, p.subject and p.subject.split()[1]) for p in found]


def test_who_is_awaited_signs_in_is_linked_and_is_known_from_then_on(
    browser: httpx.Client, linked: Settings, database: Database
) -> None:
    expect(database, linked, "ADA@x.example")
    with listening(linked) as url:
        answer = sign_in(browser, url, "ada")
        assert answer.status_code == 200, answer.text
        assert "Ada" in answer.text
        assert browser.get(f"{url}/v1/me").json()["role"] == "reviewer"
        browser.cookies.clear()
        assert sign_in(browser, url, "ada").status_code == 200
        assert browser.get(f"{url}/v1/me").json()["id"] == "person:1"
    assert people(database) == [("Ada", "reviewer", "ada")]
    with database.reading() as session:
        made = [entry.action for entry in audit.entries(session)]
        assert made == ["person.create", "person.link", "session.open", "session.open"]
        assert session.scalars(select(SignInFlow)).all() == []


def test_the_browser_is_sent_with_pkce_state_and_nonce_and_a_cookie_that_comes_back(
    browser: httpx.Client, linked: Settings
) -> None:
    with listening(linked) as url:
        begin = browser.get(f"{url}/v1/oidc/sign-in")
    asked = parse_qs(urlsplit(begin.headers["Location"]).query)
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert {"state", "nonce", "code_challenge"} <= set(asked)
    assert asked["redirect_uri"] == [f"{url}/v1/oidc/callback"]
    cookie = set(begin.headers["Set-Cookie"].split("; "))
    assert {"HttpOnly", "SameSite=lax", "Path=/v1/oidc"} <= cookie


@pytest.mark.parametrize(
    ("who", "words"),
    [
        ("expired", "expired_token"),
        ("other-nonce", "invalid_claim"),
        ("other-client", "invalid_claim"),
        ("other-issuer", "invalid_claim"),
        ("forged", "bad_signature"),
        ("two-people", "about two people"),
    ],
)
def test_a_token_that_does_not_hold_signs_nobody_in(
    browser: httpx.Client, linked: Settings, database: Database, who: str, words: str
) -> None:
    expect(database, linked, "ada@x.example")
    with listening(linked) as url:
        answer = sign_in(browser, url, who)
    assert answer.status_code == 401
    assert words in answer.text
    assert SESSION_COOKIE not in browser.cookies
    assert people(database) == [("Ada", "reviewer", None)]


def test_a_wrong_state_another_browser_and_a_second_use_sign_nobody_in(
    browser: httpx.Client, linked: Settings, database: Database
) -> None:
    expect(database, linked, "ada@x.example")
    with listening(linked) as url:
        back = begun(browser, url, "ada")
        wrong = browser.get(back.replace("state=", "state=x"))
        assert (wrong.status_code, "mismatching_state" in wrong.text) == (401, True)
        back = begun(browser, url, "ada")
        assert httpx.get(back).status_code == 401, "an attacker's link in a victim's browser"
        flow = browser.cookies["penapisan_sign_in"]
        assert browser.get(back).status_code == 200
        again = httpx.get(back, headers={"Cookie": f"penapisan_sign_in={flow}"})
        assert again.status_code == 401


def test_a_code_of_another_sign_in_is_refused(
    browser: httpx.Client, linked: Settings, database: Database
) -> None:
    expect(database, linked, "ada@x.example")
    with listening(linked) as url:
        with httpx.Client() as attacker:
            theirs = parse_qs(urlsplit(begun(attacker, url, "ada")).query)["code"][0]
        back = urlsplit(begun(browser, url, "budi"))
        mine = parse_qs(back.query)
        answer = browser.get(
            f"{url}{back.path}", params={"code": theirs, "state": mine["state"][0]}
        )
    assert answer.status_code == 401
    assert SESSION_COOKIE not in browser.cookies


def test_a_sign_in_that_took_too_long_is_refused(
    browser: httpx.Client, linked: Settings, database: Database
) -> None:
    expect(database, linked, "ada@x.example")
    with listening(linked) as url:
        back = begun(browser, url, "ada")
        with database.session() as session:
            session.scalars(select(SignInFlow)).one().expires_at = now()
        assert browser.get(back).status_code == 401


@pytest.mark.parametrize("who", ["budi", "unverified", "nameless", "hidden"])
def test_who_is_not_known_is_refused_and_leaves_nothing(
    browser: httpx.Client, linked: Settings, database: Database, who: str
) -> None:
    expect(database, linked, "ada@x.example")
    with listening(linked) as url:
        answer = sign_in(browser, url, who)
    assert answer.status_code == 403
    assert "nobody invited you" in answer.text
    assert people(database) == [("Ada", "reviewer", None)]
    with database.reading() as session:
        assert session.scalars(select(SessionRow)).all() == []


def test_a_person_with_a_password_is_not_found_by_name(
    browser: httpx.Client, linked: Settings, database: Database
) -> None:
    person_with_password(database, "ada@x.example", Role.ADMINISTRATOR)
    with listening(linked.model_copy(update={"oidc_new_role": "submitter"})) as url:
        answer = sign_in(browser, url, "ada")
    assert (answer.status_code, "somebody else has your name" in answer.text) == (403, True)
    assert people(database) == [("ada@x.example", "administrator", None)]


def test_somebody_new_gets_the_role_of_new_ones_where_there_is_one(
    browser: httpx.Client, linked: Settings, database: Database
) -> None:
    with listening(linked.model_copy(update={"oidc_new_role": "submitter"})) as url:
        assert sign_in(browser, url, "budi").status_code == 200
        assert browser.get(f"{url}/v1/me").json()["name"] == "budi@x.example"
    assert people(database) == [("budi@x.example", "submitter", "budi")]


def by_groups(linked: Settings, **roles: str) -> Settings:
    return linked.model_copy(update={"oidc_role_claim": "groups", "oidc_roles": roles})


def test_the_providers_groups_give_change_and_take_a_role(
    browser: httpx.Client, linked: Settings, database: Database
) -> None:
    with listening(by_groups(linked, reviewers="reviewer", staff="submitter")) as url:
        assert sign_in(browser, url, "ada").status_code == 200
        assert sign_in(browser, url, "budi").status_code == 200
    assert [role for _, role, _ in people(database)] == ["reviewer", "submitter"]
    with listening(by_groups(linked, reviewers="auditor")) as url:
        assert sign_in(browser, url, "ada").status_code == 200
        gone = sign_in(browser, url, "budi")
        assert (gone.status_code, "no longer grants" in gone.text) == (403, True)
    assert [role for _, role, _ in people(database)] == ["auditor", "submitter"]
    with database.reading() as session:
        (changed,) = [e for e in audit.entries(session) if e.action == "person.role"]
        assert (changed.actor, changed.subject) == (service.PROVIDER, "person:1")


def test_the_provider_does_not_demote_the_last_administrator(
    browser: httpx.Client, linked: Settings, database: Database
) -> None:
    with listening(by_groups(linked, staff="administrator")) as url:
        assert sign_in(browser, url, "budi").status_code == 200
    with listening(by_groups(linked, staff="auditor")) as url:
        assert sign_in(browser, url, "budi").status_code == 409
    assert people(database) == [("budi@x.example", "administrator", "budi")]


def test_who_is_disabled_here_is_refused(
    browser: httpx.Client, linked: Settings, database: Database
) -> None:
    expect(database, linked, "ada@x.example")
    with listening(linked) as url:
        sign_in(browser, url, "ada")
        with database.session() as session:
            session.scalars(select(Person)).one().disabled_at = now()
        answer = sign_in(browser, url, "ada")
    assert (answer.status_code, "disabled" in answer.text) == (403, True)


def test_a_provider_that_refuses_or_is_away_is_told(
    browser: httpx.Client, linked: Settings, issuer: str
) -> None:
    with listening(linked) as url:
        back = f"{url}/v1/oidc/callback?error=<b>access_denied&state=x"
        refused = browser.get(back)
        assert (refused.status_code, "access_denied" in refused.text) == (401, False)
    away = linked.model_copy(update={"oidc_issuer": f"http://127.0.0.1:{free_port()}"})
    with listening(away) as url:
        answer = browser.get(f"{url}/v1/oidc/sign-in")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_a_name_is_awaited_once(linked: Settings, database: Database) -> None:
    expect(database, linked, "ada@x.example")
    with pytest.raises(service.Unprocessable, match="somebody else is awaited"):
        expect(database, linked, "Ada@X.example")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"oidc_issuer": "http://id.example", "oidc_client_id": "x"}, "not an https address"),
        ({"oidc_issuer": "https://id.example"}, "needs PENAPISAN_OIDC_CLIENT_ID"),
        ({"oidc_new_role": "owner"}, "submitter"),
        ({"public_url": "https://x.example/path"}, "pattern"),
    ],
)
def test_settings_that_cannot_be_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Settings(**given)


def test_the_settings_read_roles_from_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENAPISAN_OIDC_ROLES", '{"b": "senior", "a": "reviewer"}')
    assert list(Settings().oidc_roles.items()) == [("b", "senior"), ("a", "reviewer")]


def test_the_settings_know_every_role() -> None:
    assert get_args(RoleName) == tuple(role.value for role in Role)

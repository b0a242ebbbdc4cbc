"""Who may do what: every endpoint by every role, and by who is nobody.

An endpoint without a row fails, and so does a row without an endpoint. To add one, add its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from service.app import create_app
from service.auth import PERMISSIONS, Permission, Role, create_key, open_session
from service.db import Database, now
from service.dependencies import CSRF_HEADER, SESSION_COOKIE
from service.settings import Settings
from service.tables import ApiKey, Person
from tests.builders import FakeScorer
from tests.service.access.signing import browser_of, person_with_password
from tests.service.serving import key_of, served

# + may, s may when signed in but not with a key, - may not (403); of nobody: + may, - is asked who
# they are (401). The columns are those of `Role`, in its order.
TABLE = """
                                                   sub rev sen app aud adm nobody
POST   /v1/score                                     +   -   -   -   -   +    -
POST   /v1/moderations                               +   -   -   -   -   +    -
POST   /v1alpha1/comments:analyze                    +   -   -   -   -   +    -
POST   /v2/models/{name}/infer                       +   -   -   -   -   +    -
POST   /v2/models/{name}/versions/{version}/infer    +   -   -   -   -   +    -
GET    /v2                                           +   +   +   +   +   +    +
GET    /v2/health/live                               +   +   +   +   +   +    +
GET    /v2/health/ready                              +   +   +   +   +   +    +
GET    /v2/models/{name}                             +   +   +   +   +   +    +
GET    /v2/models/{name}/ready                       +   +   +   +   +   +    +
GET    /v2/models/{name}/versions/{version}          +   +   +   +   +   +    +
GET    /v2/models/{name}/versions/{version}/ready    +   +   +   +   +   +    +
POST   /v1/exports                                   +   -   -   -   -   +    -
GET    /v1/jobs/{job_id}                             +   -   +   +   +   +    -
GET    /v1/jobs/{job_id}/result                      +   -   +   +   +   +    -
POST   /v1/cases/claim                               -   +   +   -   -   -    -
GET    /v1/cases                                     -   -   +   +   +   -    -
GET    /v1/cases/{case_id}                           -   +   +   +   +   -    -
GET    /v1/cases/{case_id}/cluster                   -   +   +   -   -   -    -
POST   /v1/cases/{case_id}/renew                     -   +   +   -   -   -    -
POST   /v1/cases/{case_id}/release                   -   +   +   -   -   -    -
POST   /v1/cases/{case_id}/decide                    -   +   +   -   -   -    -
POST   /v1/cases/{case_id}/decide-cluster            -   +   +   -   -   -    -
POST   /v1/batches/{batch}/undo                      -   +   +   -   -   -    -
POST   /v1/cases/{case_id}/settle                    -   -   +   -   -   -    -
POST   /v1/cases/{case_id}/reopen                    -   -   +   -   -   -    -
POST   /v1/cases/{case_id}/gold                      -   -   +   -   -   -    -
POST   /v1/cases/{case_id}/hold                      -   -   +   -   -   -    -
POST   /v1/holds/{hold_id}/lift                      -   -   +   -   -   -    -
GET    /v1/pause                                     -   +   +   -   -   -    -
POST   /v1/pause/skip                                -   +   +   -   -   -    -
GET    /v1/reviews/agreement                         -   -   +   +   +   -    -
POST   /v1/labels/imports                            -   -   +   -   -   -    -
POST   /v1/notices                                   -   +   +   +   -   -    -
GET    /v1/notices                                   -   +   +   +   +   -    -
GET    /v1/notices/{notice_id}                       -   +   +   +   +   -    -
POST   /v1/notices/{notice_id}/approve               -   -   -   s   -   -    -
POST   /v1/notices/{notice_id}/withdraw              -   +   +   +   -   -    -
GET    /v1/notices/{notice_id}/report                -   +   +   +   +   -    -
GET    /v1/audit                                     -   -   -   -   +   -    -
GET    /v1/audit/head                                -   -   -   -   +   -    -
GET    /v1/audit/verify                              -   -   -   -   +   -    -
GET    /v1/me                                        +   +   +   +   +   +    -
POST   /v1/session                                   +   +   +   +   +   +    +
DELETE /v1/session                                   +   +   +   +   +   +    -
GET    /v1/people                                    -   -   -   -   +   +    -
POST   /v1/people                                    -   -   -   -   -   +    -
POST   /v1/people/{person_id}/link                   -   -   -   -   -   +    -
POST   /v1/people/{person_id}/role                   -   -   -   -   -   +    -
POST   /v1/people/{person_id}/disable                -   -   -   -   -   +    -
POST   /v1/people/{person_id}/enable                 -   -   -   -   -   +    -
GET    /v1/keys                                      -   -   -   -   +   +    -
POST   /v1/keys                                      -   -   -   -   -   +    -
POST   /v1/keys/{key_id}/revoke                      -   -   -   -   -   +    -
GET    /sign-in/{token}                              +   +   +   +   +   +    +
POST   /sign-in/{token}                              +   +   +   +   +   +    +
GET    /v1/oidc/sign-in                              +   +   +   +   +   +    +
GET    /v1/oidc/callback                             +   +   +   +   +   +    +
GET    /livez                                        +   +   +   +   +   +    +
GET    /readyz                                       +   +   +   +   +   +    +
GET    /metrics                                      +   +   +   +   +   +    +
GET    /docs                                         +   +   +   +   +   +    +
GET    /docs/oauth2-redirect                         +   +   +   +   +   +    +
GET    /redoc                                        +   +   +   +   +   +    +
GET    /openapi.json                                 +   +   +   +   +   +    +
"""

ROLES = tuple(Role)
NOBODY = "nobody"
ABSENT = {"batch": "0" * 32, "job_id": "0" * 32, "name": "none", "version": "none", "token": "none"}
"""What stands for a part of a path; of other parts, a number that nothing has."""

Row = tuple[str, str]


def rows(*, signed_in: bool = False) -> dict[Row, dict[str, bool]]:
    """Whether each role, and nobody, may use an endpoint: with a key, or signed in."""
    yes = {"+", "s"} if signed_in else {"+"}
    table = {}
    for line in TABLE.strip().splitlines()[1:]:
        method, path, *marks = line.split()
        assert len(marks) == len(ROLES) + 1, line
        assert set(marks) <= {"+", "s", "-"}, line
        assert (method, path) not in table, line
        whose = zip((*ROLES, NOBODY), marks, strict=True)
        table[method, path] = {who: mark in yes for who, mark in whose}
    return table


def endpoints(app: FastAPI) -> set[Row]:
    return {
        (method, str(route.path_format))
        for route in iter_route_contexts(app.routes)
        for method in set(route.methods or ()) - {"HEAD"}
    }


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with served(settings) as client:
        yield client


def status(client: TestClient, row: Row, headers: dict[str, str]) -> int:
    method, path = row
    url = re.sub(r"{(\w+)}", lambda part: ABSENT.get(part[1], str(2**40)), path)
    body = {} if method == "POST" else None
    answer = client.request(method, url, headers=headers, json=body)
    client.cookies.clear()
    return answer.status_code


def wrongly_answered(client: TestClient, who: str, headers: dict[str, str]) -> list[str]:
    """Every endpoint that answers ``who`` otherwise than the table says."""
    wrong = []
    for row, may in rows().items():
        found = status(client, row, headers)
        refused = 401 if who == NOBODY else 403
        is_right = found not in {401, 403} if may[who] else found == refused
        if not is_right or found >= 500:
            expected = "allowed" if may[who] else refused
            wrong.append(f"{' '.join(row)} as {who}: {found}, not {expected}")
    return wrong


def test_every_endpoint_has_a_row_and_every_row_an_endpoint(settings: Settings) -> None:
    assert endpoints(create_app(settings, FakeScorer())) == set(rows())


@pytest.mark.parametrize("role", ROLES)
def test_a_key_does_what_its_role_may_and_nothing_else(
    client: TestClient, database: Database, role: Role
) -> None:
    assert wrongly_answered(client, role, key_of(database, role)) == []


@pytest.mark.parametrize("role", ROLES)
def test_who_has_signed_in_does_what_their_role_may_and_nothing_else(
    client: TestClient, database: Database, role: Role
) -> None:
    number = person_with_password(database, "Ada", role)
    wrong = []
    for row, may in rows(signed_in=True).items():
        with database.session() as session:
            token = open_session(session, session.get_one(Person, number), 1)
        headers = {"Cookie": f"{SESSION_COOKIE}={token}", CSRF_HEADER: "1"}
        found = status(client, row, headers)
        if (found not in {401, 403}) != may[role]:
            wrong.append(f"{' '.join(row)} as {role}: {found}")
    assert wrong == []


@pytest.mark.parametrize("who", ["anonymous", "unknown", "expired", "revoked", "disabled"])
def test_who_is_nobody_is_asked_who_they_are(
    client: TestClient, database: Database, who: str
) -> None:
    assert wrongly_answered(client, NOBODY, credentials(client, database, who)) == []


def credentials(client: TestClient, database: Database, who: str) -> dict[str, str]:
    """Headers of somebody with all permissions that there are, once."""
    if who == "anonymous":
        return {}
    if who == "unknown":
        return {"X-API-Key": "pnp_unknown"}
    if who == "disabled":
        number = person_with_password(database, "Ada", Role.ADMINISTRATOR)
        token = browser_of(client, "Ada").cookies[SESSION_COOKIE]
        with database.session() as session:
            session.get_one(Person, number).disabled_at = now()
        return {"Cookie": f"{SESSION_COOKIE}={token}", CSRF_HEADER: "1"}
    headers = key_of(database, Role.ADMINISTRATOR)
    with database.session() as session:
        key = session.get_one(ApiKey, 1)
        key.expires_at, key.revoked_at = (now(), None) if who == "expired" else (None, now())
    return headers


def test_a_signed_in_browser_changes_nothing_without_the_header(
    client: TestClient, database: Database
) -> None:
    number = person_with_password(database, "Ada", Role.SENIOR)
    with database.session() as session:
        token = open_session(session, session.get_one(Person, number), 1)
    for row, may in rows().items():
        if row[0] != "GET" and not may[NOBODY]:
            assert status(client, row, {"Cookie": f"{SESSION_COOKIE}={token}"}) == 403, row


def test_an_auditor_writes_nothing() -> None:
    written = {row for row, may in rows().items() if may[Role.AUDITOR] and row[0] != "GET"}
    of_all = {row for row in written if all(rows()[row][role] for role in ROLES)}
    assert written == of_all
    assert {path for _, path in written} == {"/v1/session", "/sign-in/{token}"}


@pytest.mark.parametrize("scope", [Permission.REVIEW, Permission.SETTLE, Permission.READ_ALL])
def test_a_key_with_a_scope_has_that_part_of_its_role(
    client: TestClient, database: Database, scope: Permission
) -> None:
    with database.session() as session:
        _, secret = create_key(session, "system", "part", Role.SENIOR, scopes=[scope])
    headers = {"X-API-Key": secret}
    needs = {
        Permission.REVIEW: ("POST", "/v1/cases/claim"),
        Permission.SETTLE: ("POST", "/v1/holds/{hold_id}/lift"),
        Permission.READ_ALL: ("GET", "/v1/cases"),
    }
    allowed = {need for need, row in needs.items() if status(client, row, headers) != 403}
    assert allowed == {scope}


def test_every_permission_is_of_some_role() -> None:
    assert set().union(*PERMISSIONS.values()) == set(Permission)

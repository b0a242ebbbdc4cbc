"""`penapisan people` and the first administrator's link of `penapisan serve`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sqlalchemy import select

from service.access import service
from service.auth import Permission, Role, create_key, hash_password
from service.commands import PERMISSIONS
from service.db import Database, now
from service.settings import Settings
from service.tables import ApiKey, Person
from tests.service.access.signing import PASSWORD
from tests.service.serving import run


def sign_in_by(database: Database, settings: Settings, link: str) -> Person:
    with database.session() as session:
        token = link.rsplit("/", 1)[1]
        return service.use_link(session, token, hash_password(PASSWORD), settings)[0]


def test_a_person_is_invited_listed_and_given_another_link(
    operated: Database, settings: Settings
) -> None:
    made = run("people", "new", "Ada", "--role", "senior", "--url", "https://x.example/")
    first = made.stdout.strip()
    assert first.startswith("https://x.example/sign-in/")
    assert run("people", "list").output.splitlines()[1].split("\t")[1:3] == ["Ada", "senior"]
    second = run("people", "new-link", "Ada").stdout.strip()
    assert second.startswith("http://127.0.0.1:8000/sign-in/")
    assert sign_in_by(operated, settings, second).name == "Ada"
    assert run("people", "list").output.splitlines()[1].endswith("\tactive")


def test_what_is_wrong_with_a_person_is_named(operated: Database) -> None:
    assert "nobody has this name" in run("people", "new-link", "Ada", code=1).output
    run("people", "new", "Ada", "--role", "senior")
    assert "is taken" in run("people", "new", "Ada", "--role", "auditor", code=1).output
    for name in ("", " Ada", "a\tb"):
        assert "printable" in run("people", "new", name, "--role", "auditor", code=2).output
    with operated.session() as session:
        session.scalars(select(Person)).one().disabled_at = now()
    assert "disabled" in run("people", "new-link", "Ada", code=1).output


def test_a_link_for_the_first_administrator_is_made_until_one_signed_in(
    database: Database, settings: Settings
) -> None:
    with database.session() as session:
        lost = service.first_link(session, "system", settings)
        link = service.first_link(session, "system", settings)
    assert lost is not None
    assert link is not None
    assert sign_in_by(database, settings, service.link_url("", link)).role == Role.ADMINISTRATOR
    with database.session() as session:
        assert service.first_link(session, "system", settings) is None


def test_who_has_an_administrators_key_needs_no_first_link(
    database: Database, settings: Settings
) -> None:
    with database.session() as session:
        create_key(session, "system", "other", Role.SUBMITTER)
        key, _ = create_key(session, "system", "mine", Role.ADMINISTRATOR)
        assert service.first_link(session, "system", settings) is None
        session.get_one(ApiKey, key.id).revoked_at = now()
        assert service.first_link(session, "system", settings) is not None


def test_serve_says_where_to_go_and_shows_a_link_and_no_other_secret(tmp_path: Path) -> None:
    environment = os.environ | {"PENAPISAN_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "service", "serve", "--port", "1"]
    # Port 1 is refused or, for root, listened on: either way the lines come first.
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stderr is not None
        lines = [server.stderr.readline() for _ in range(3)]
    finally:
        server.terminate()
        server.communicate(timeout=60)
    assert sum("http://127.0.0.1:1/docs" in line for line in lines) == 1
    (shown,) = [line.split()[-1] for line in lines if "/sign-in/" in line]
    settings = Settings(data_dir=tmp_path)
    database = Database(settings)
    assert sign_in_by(database, settings, shown).name == "administrator"
    with database.reading() as session:
        assert session.scalars(select(ApiKey)).all() == []
    database.close()


def test_the_permissions_offered_are_all_there_are() -> None:
    assert tuple(permission.value for permission in Permission) == PERMISSIONS


def test_a_key_gets_a_subset_of_its_roles_permissions(operated: Database) -> None:
    run("keys", "new", "x", "--role", "senior", "--scope", "read_all")
    with operated.reading() as session:
        assert session.get_one(ApiKey, 1).scopes == ["read_all"]
    assert run("keys", "list").output.splitlines()[1].split("\t")[3] == "read_all"
    refused = run("keys", "new", "x", "--role", "senior", "--scope", "administer", code=1)
    assert "are some of read_all, review, settle" in refused.output

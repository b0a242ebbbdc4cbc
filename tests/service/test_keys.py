"""Keys are made, listed and revoked at the command line; a secret is shown once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select

from service import audit
from service.auth import Role, principal_of_key
from service.commands import ROLES
from service.db import Database, now
from service.errors import Unauthorized
from service.settings import Settings
from service.tables import ApiKey, AuditEntry
from tests.service.serving import run


def states(listed: str) -> list[tuple[str, str]]:
    rows = [line.split("\t") for line in listed.splitlines()[1:]]
    return [(row[1], row[-1]) for row in rows]


def test_a_key_works_until_it_is_revoked_and_its_secret_is_kept_nowhere(
    operated: Database,
) -> None:
    made = run("keys", "new", "platform", "--role", "submitter", "--days", "30",
               "--per-minute", "60")  # fmt: skip
    secret = made.stdout.strip()
    with operated.reading() as session:
        who = principal_of_key(session, secret)
        assert (who.id, who.role, who.per_minute) == ("key:1", Role.SUBMITTER, 60)
        expires = session.get_one(ApiKey, 1).expires_at
        assert expires is not None
        assert timedelta(29) < expires - now() <= timedelta(30)
    listed = run("keys", "list").output
    assert states(listed) == [("platform", "valid")]
    assert secret not in listed
    run("keys", "revoke", "1")
    assert states(run("keys", "list").output) == [("platform", "revoked")]
    with operated.reading() as session:
        with pytest.raises(Unauthorized):
            principal_of_key(session, secret)
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.sequence)).all()
        assert [entry.action for entry in entries] == ["key.create", "key.revoke"]
        assert secret not in str([entry.detail for entry in entries])
        assert audit.verify(session) is None


def test_an_expired_key_is_listed_as_such(operated: Database) -> None:
    run("keys", "new", "old", "--role", "auditor", "--days", "1")
    with operated.session() as session:
        session.get_one(ApiKey, 1).expires_at = now()
    assert states(run("keys", "list").output) == [("old", "expired")]


def test_what_is_wrong_is_named_and_changes_nothing(operated: Database) -> None:
    assert "there is no key 7" in run("keys", "revoke", "7", code=1).output
    assert "owner" in run("keys", "new", "x", "--role", "owner", code=2).output
    for name in ("", "n" * 129, "a\tb", "a\x00"):
        assert "printable" in run("keys", "new", name, "--role", "auditor", code=2).output
    run("keys", "new", "x", "--role", "auditor")
    run("keys", "revoke", "1")
    assert "was revoked" in run("keys", "revoke", "1", code=1).output


def test_the_first_key_makes_the_database_and_a_list_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENAPISAN_DATA_DIR", str(tmp_path / "data"))
    assert "there is no database" in run("keys", "list", code=1).output
    run("keys", "new", "first", "--role", "administrator")
    assert states(run("keys", "list").output) == [("first", "valid")]


def test_a_new_text_key_is_one_the_settings_take(monkeypatch: pytest.MonkeyPatch) -> None:
    key = run("keys", "new-text-key").output.strip()
    assert len(Fernet(key).encrypt(b"x")) > 0
    monkeypatch.setenv("PENAPISAN_TEXT_KEYS", key)
    text_keys = Settings().text_keys
    assert text_keys is not None
    assert text_keys.get_secret_value() == key


def test_the_roles_offered_are_all_there_are() -> None:
    assert tuple(role.value for role in Role) == ROLES

"""Who someone is and what their role lets them do."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import select
from sqlalchemy.orm import Session

from service import audit
from service.db import now
from service.errors import Forbidden, Unauthorized, Unprocessable
from service.tables import ApiKey, Person, SessionRow

KEY_PREFIX = "pnp_"
_hasher = PasswordHasher()


class Role(StrEnum):
    """One role a person or a key; duties that must not meet in one hand are separate roles."""

    SUBMITTER = "submitter"
    REVIEWER = "reviewer"
    SENIOR = "senior"
    APPROVER = "approver"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class Permission(StrEnum):
    SCORE = "score"
    REVIEW = "review"
    SETTLE = "settle"
    READ_ALL = "read_all"
    AUDIT = "audit"
    APPROVE = "approve"
    ADMINISTER = "administer"


PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.SUBMITTER: frozenset({Permission.SCORE}),
    Role.REVIEWER: frozenset({Permission.REVIEW}),
    Role.SENIOR: frozenset({Permission.REVIEW, Permission.SETTLE, Permission.READ_ALL}),
    Role.APPROVER: frozenset({Permission.APPROVE, Permission.READ_ALL}),
    Role.AUDITOR: frozenset({Permission.AUDIT, Permission.READ_ALL}),
    Role.ADMINISTRATOR: frozenset({Permission.ADMINISTER, Permission.SCORE}),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sends a request: ``person:7`` or ``key:3``; the audit chain's actor."""

    id: str
    name: str
    role: Role
    per_minute: int | None = None

    def may(self, permission: Permission) -> bool:
        return permission in PERMISSIONS[self.role]

    def require(self, permission: Permission) -> None:
        """Raise ``Forbidden`` where the role does not allow it."""
        if not self.may(permission):
            raise Forbidden(f"the role '{self.role}' may not {permission.replace('_', ' ')}")


def create_person(
    session: Session, actor: str, name: str, role: Role, password: str | None = None
) -> Person:
    """A new person, who signs in with ``password`` or, without one, through OpenID Connect."""
    if session.scalars(select(Person).where(Person.name == name)).first():
        raise Unprocessable(f"'{name}' is taken; choose another name", pointer="/name")
    person = Person(
        name=name,
        role=role.value,
        password_hash=None if password is None else _hasher.hash(password),
        created_at=now(),
    )
    session.add(person)
    session.flush()
    audit.append(session, actor, "person.create", f"person:{person.id}", {"role": role.value})
    return person


def create_key(
    session: Session,
    actor: str,
    name: str,
    role: Role,
    *,
    days: int | None = None,
    per_minute: int | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its secret, which is shown this once."""
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        name=name,
        key_sha256=_digest(secret),
        role=role.value,
        per_minute=per_minute,
        created_at=now(),
        expires_at=None if days is None else now() + timedelta(days=days),
    )
    session.add(key)
    session.flush()
    detail = {"role": role.value, "days": days, "per_minute": per_minute}
    audit.append(session, actor, "key.create", f"key:{key.id}", detail)
    return key, secret


def revoke_key(session: Session, actor: str, key: ApiKey) -> None:
    """The key works no longer, from this transaction on."""
    key.revoked_at = key.revoked_at or now()
    audit.append(session, actor, "key.revoke", f"key:{key.id}")


def sign_in(session: Session, name: str, password: str, hours: int) -> tuple[Person, str]:
    """The person and a session token; the same words for an unknown name and a wrong password.

    Raises
    ------
    Unauthorized
        Name or password is wrong, or the person is disabled.
    """
    person = session.scalars(select(Person).where(Person.name == name)).first()
    stored = person.password_hash if person and person.disabled_at is None else None
    # A hash is computed for unknown names too, so that the time taken tells nothing.
    if not _matches(stored or _NOBODY, password) or stored is None or person is None:
        raise Unauthorized("name or password is wrong")
    if _hasher.check_needs_rehash(stored):
        person.password_hash = _hasher.hash(password)
    return person, open_session(session, person, hours)


def open_session(session: Session, person: Person, hours: int) -> str:
    """A new session's token."""
    token = secrets.token_urlsafe(32)
    expires = now() + timedelta(hours=hours)
    session.add(SessionRow(token_sha256=_digest(token), person_id=person.id, expires_at=expires))
    audit.append(session, f"person:{person.id}", "session.open", f"person:{person.id}")
    return token


def close_session(session: Session, token: str) -> None:
    row = session.get(SessionRow, _digest(token))
    if row is not None:
        session.delete(row)


def principal_of_key(session: Session, secret: str) -> Principal:
    """Who holds a key.

    Raises
    ------
    Unauthorized
        The key is unknown, revoked or has expired.
    """
    key = session.scalars(select(ApiKey).where(ApiKey.key_sha256 == _digest(secret))).first()
    if key is None or key.revoked_at is not None or _is_past(key.expires_at):
        raise Unauthorized("the API key is unknown, revoked or has expired; ask for a new one")
    return Principal(f"key:{key.id}", key.name, Role(key.role), key.per_minute)


def principal_of_session(session: Session, token: str) -> Principal:
    """Who is signed in.

    Raises
    ------
    Unauthorized
        The session is unknown or over, or the person is disabled.
    """
    row = session.get(SessionRow, _digest(token))
    person = None if row is None or _is_past(row.expires_at) else session.get(Person, row.person_id)
    if person is None or person.disabled_at is not None:
        raise Unauthorized("the session is over; sign in again")
    return Principal(f"person:{person.id}", person.name, Role(person.role))


def _is_past(moment: datetime | None) -> bool:
    return moment is not None and moment <= now()


def _digest(secret: str) -> str:
    # Keys and tokens hold 256 random bits: a plain hash cannot be guessed back.
    return hashlib.sha256(secret.encode()).hexdigest()


def _matches(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


_NOBODY = _hasher.hash(secrets.token_urlsafe(32))

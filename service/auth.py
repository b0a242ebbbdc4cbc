"""Who someone is and what their role lets them do."""

from __future__ import annotations

import hashlib
import secrets
import threading
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service import audit
from service.db import now
from service.errors import Forbidden, Unauthorized, Unprocessable
from service.tables import ApiKey, Person, SessionRow

KEY_PREFIX = "pnp_"
_hasher = PasswordHasher()
_hashing = threading.BoundedSemaphore(2)
"""Each hash takes 64 MiB: a flood of sign-ins must not take all memory."""


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
    scopes: frozenset[Permission] | None = None

    @property
    def permissions(self) -> frozenset[Permission]:
        """Those of the role; of a key with scopes, those of them that the role has."""
        allowed = PERMISSIONS[self.role]
        return allowed if self.scopes is None else allowed & self.scopes

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions

    def require(self, *permissions: Permission) -> None:
        """Raise ``Forbidden`` where not any of the permissions is given."""
        if not any(self.may(permission) for permission in permissions):
            whose = f"the role '{self.role}'" if self.scopes is None else "a key with these scopes"
            wanted = " or ".join(permission.replace("_", " ") for permission in permissions)
            raise Forbidden(f"{whose} may not {wanted}")


def create_person(
    session: Session,
    actor: str,
    name: str,
    role: Role,
    password: str | None = None,
    *,
    subject: str | None = None,
    provider_name: str | None = None,
) -> Person:
    """A new person, who signs in with ``password``, with the password that a one-time link lets
    them set, or through OpenID Connect, by ``subject`` or first by ``provider_name``.
    """
    if session.scalars(select(Person).where(Person.name == name)).first():
        raise Unprocessable(f"'{name}' is taken; choose another name", pointer="/name")
    person = Person(
        name=name,
        role=role.value,
        password_hash=None if password is None else hash_password(password),
        subject=subject,
        provider_name=provider_name,
        created_at=now(),
    )
    session.add(person)
    try:
        session.flush()
    except IntegrityError as error:
        raise Unprocessable(
            "the name has just been taken; choose another", pointer="/name"
        ) from error
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
    scopes: Collection[Permission] | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its secret, which is shown this once.

    Raises
    ------
    Unprocessable
        A scope is not one of the role's permissions, or there is none at all.
    """
    named = None if scopes is None else sorted({scope.value for scope in scopes})
    if scopes is not None and not (scopes and PERMISSIONS[role].issuperset(scopes)):
        fitting = ", ".join(sorted(PERMISSIONS[role]))
        raise Unprocessable(f"'scopes' of a '{role}' are some of {fitting}", pointer="/scopes")
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        name=name,
        key_sha256=digest(secret),
        role=role.value,
        scopes=named,
        per_minute=per_minute,
        created_at=now(),
        expires_at=None if days is None else now() + timedelta(days=days),
    )
    session.add(key)
    session.flush()
    detail = {"role": role.value, "scopes": named, "days": days, "per_minute": per_minute}
    audit.append(session, actor, "key.create", f"key:{key.id}", detail)
    return key, secret


def revoke_key(session: Session, actor: str, key: ApiKey) -> None:
    """The key works no longer, from this transaction on."""
    key.revoked_at = key.revoked_at or now()
    audit.append(session, actor, "key.revoke", f"key:{key.id}")


def hash_password(password: str) -> str:
    """What is kept of a password (argon2id)."""
    with _hashing:
        return _hasher.hash(_spelled(password))


def matches(stored: str | None, password: str) -> bool:
    """Whether ``password`` is the one kept; it takes as long where none is."""
    with _hashing:
        try:
            return _hasher.verify(stored or _NOBODY, _spelled(password)) and stored is not None
        except (VerifyMismatchError, InvalidHashError):
            return False


def is_outdated(stored: str) -> bool:
    """Whether a password should be hashed anew, with today's parameters."""
    return _hasher.check_needs_rehash(stored)


def open_session(session: Session, person: Person, hours: int) -> str:
    """A new session's token."""
    token = new_token()
    expires = now() + timedelta(hours=hours)
    session.add(SessionRow(token_sha256=digest(token), person_id=person.id, expires_at=expires))
    audit.append(session, f"person:{person.id}", "session.open", f"person:{person.id}")
    return token


def close_session(session: Session, token: str) -> None:
    row = session.get(SessionRow, digest(token))
    if row is not None:
        session.delete(row)
        audit.append(session, f"person:{row.person_id}", "session.close", f"person:{row.person_id}")


def principal_of_key(session: Session, secret: str) -> Principal:
    """Who holds a key.

    Raises
    ------
    Unauthorized
        The key is unknown, revoked or has expired.
    """
    key = session.scalars(select(ApiKey).where(ApiKey.key_sha256 == digest(secret))).first()
    if key is None or key.revoked_at is not None or _is_past(key.expires_at):
        raise Unauthorized("the API key is unknown, revoked or has expired; ask for a new one")
    scopes = None if key.scopes is None else frozenset(map(Permission, key.scopes))
    return Principal(f"key:{key.id}", key.name, Role(key.role), key.per_minute, scopes)


def principal_of_session(session: Session, token: str) -> Principal:
    """Who is signed in.

    Raises
    ------
    Unauthorized
        The session is unknown or over, or the person is disabled.
    """
    row = session.get(SessionRow, digest(token))
    person = None if row is None or _is_past(row.expires_at) else session.get(Person, row.person_id)
    if person is None or person.disabled_at is not None:
        raise Unauthorized("the session is over; sign in again")
    return Principal(f"person:{person.id}", person.name, Role(person.role))


def _is_past(moment: datetime | None) -> bool:
    return moment is not None and moment <= now()


def new_token() -> str:
    """256 random bits, for a session or a link."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What is kept of a key or token: of 256 random bits, a plain hash cannot be guessed back."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _spelled(password: str) -> str:
    # One accent may be typed as one letter or as two.
    return unicodedata.normalize("NFC", password)


_NOBODY = _hasher.hash(secrets.token_urlsafe(32))

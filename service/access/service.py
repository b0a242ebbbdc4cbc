"""The rules of access: who signs in, who gives it, who takes it away.

Functions that take a session work inside the caller's transaction and write the audit chain last.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from limits import RateLimitItem, RateLimitItemPerMinute
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from service import audit
from service.access import repository
from service.access.limits import RateLimits
from service.access.schemas import Name
from service.auth import (
    Principal,
    Role,
    create_person,
    digest,
    hash_password,
    is_outdated,
    matches,
    new_token,
    open_session,
    revoke_key,
)
from service.db import Database, now
from service.errors import Conflict, Forbidden, NotFound, Overloaded, Unauthorized, Unprocessable
from service.settings import Settings
from service.tables import ApiKey, Person, SignInFlow, SignInLink

PROVIDER = "system:openid"
FIRST = "administrator"
"""The name of the first one."""

FLOW_SECONDS = 600
"""How long somebody may take to sign in at the provider."""

TRIES_BY_NAME = RateLimitItemPerMinute(10, 15)
TRIES_BY_ADDRESS = RateLimitItemPerMinute(100, 15)
"""An office may sign in from one address."""

_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True)
class Link:
    """A one-time sign-in link's secret; only its hash is kept."""

    token: str
    expires_at: datetime


def sign_in(
    database: Database,
    limits: RateLimits,
    settings: Settings,
    name: str,
    password: str,
    address: str,
) -> tuple[Person, str]:
    """The person and a session's token.

    Raises
    ------
    Unauthorized
        Name or password is wrong, or the person is disabled: the same words for each.
    Overloaded
        Too many tries for this name or from this address.
    """
    by_name = f"sign-in:name:{digest(name)}"
    require_try(limits, address)
    _take(limits, TRIES_BY_NAME, by_name)
    # No transaction is open while a password is hashed: on SQLite others wait for its end.
    with database.reading() as session:
        found = repository.person_named(session, name)
    stored = found.password_hash if found and found.disabled_at is None else None
    if not matches(stored, password) or found is None or stored is None:
        raise Unauthorized("name or password is wrong")
    newer = hash_password(password) if is_outdated(stored) else stored
    with database.session() as session:
        person = session.get(Person, found.id, with_for_update=True)
        if person is None or person.disabled_at is not None or person.password_hash != stored:
            raise Unauthorized("name or password is wrong")
        person.password_hash = newer
        token = open_session(session, person, settings.session_hours)
    limits.forget(TRIES_BY_NAME, by_name)
    return person, token


def require_try(limits: RateLimits, address: str) -> None:
    """Count a try to sign in; raise ``Overloaded`` where there were too many from an address."""
    _take(limits, TRIES_BY_ADDRESS, f"sign-in:address:{_network(address)}")


def invite(
    session: Session, who: str, name: str, role: Role, settings: Settings
) -> tuple[Person, Link]:
    """A new person, and a link to set their password."""
    person = create_person(session, who, name, role)
    return person, new_link(session, who, person, settings)


def expect(
    session: Session, who: str, name: str, role: Role, provider_name: str, settings: Settings
) -> Person:
    """A new person whom the OpenID provider will know by ``provider_name``."""
    if settings.oidc_issuer is None:
        raise Unprocessable("there is no OpenID provider here", pointer="/provider_name")
    folded = provider_name.casefold()
    if repository.person_awaited(session, folded) is not None:
        raise Unprocessable("somebody else is awaited by this name", pointer="/provider_name")
    return create_person(session, who, name, role, provider_name=folded)


def first_link(session: Session, who: str, settings: Settings) -> Link | None:
    """A link for the first administrator; ``None`` once one has signed in or has a key."""
    if repository.has_administrator(session, now()):
        return None
    person = repository.person_named(session, FIRST)
    if person is None:
        person = create_person(session, who, FIRST, Role.ADMINISTRATOR)
    if person.role != Role.ADMINISTRATOR or person.disabled_at is not None:
        return None
    return new_link(session, who, person, settings)


def new_link(session: Session, who: str, person: Person, settings: Settings) -> Link:
    """A one-time link in place of those the person had.

    Raises
    ------
    Conflict
        The person is disabled.
    """
    if person.disabled_at is not None:
        raise Conflict(f"person {person.id} is disabled; enable them first")
    repository.void_links(session, person.id)
    link = Link(new_token(), now() + timedelta(minutes=settings.link_minutes))
    session.add(
        SignInLink(token_sha256=digest(link.token), person_id=person.id, expires_at=link.expires_at)
    )
    session.flush()
    audit.append(session, who, "link.create", f"person:{person.id}")
    return link


def link_url(base: str, link: Link) -> str:
    return f"{base}/sign-in/{link.token}"


def person_of_link(session: Session, token: str) -> tuple[SignInLink, Person]:
    """Whom a link signs in, both locked.

    Raises
    ------
    NotFound
        The link is unknown, was used or has expired, or the person is disabled.
    """
    link = repository.lock_link(session, digest(token))
    if link is not None and link.used_at is None and link.expires_at > now():
        person = session.get_one(Person, link.person_id, with_for_update=True)
        if person.disabled_at is None:
            return link, person
    raise NotFound("the link was used or has expired; ask an administrator for a new one")


def use_link(
    session: Session, token: str, password_hash: str, settings: Settings
) -> tuple[Person, str]:
    """Set the password, end what other sessions there are, and open one; the link is used up."""
    link, person = person_of_link(session, token)
    link.used_at = now()
    person.password_hash = password_hash
    repository.end_sessions(session, person.id)
    session.flush()
    audit.append(session, f"person:{person.id}", "password.set", f"person:{person.id}")
    return person, open_session(session, person, settings.session_hours)


def find_person(session: Session, person_id: int) -> Person:
    person = session.get(Person, person_id, with_for_update=True)
    if person is None:
        raise NotFound(f"there is no person {person_id}")
    return person


def change_role(session: Session, who: Principal, person_id: int, role: Role) -> Person:
    """Another role, from the person's next request on.

    Raises
    ------
    Forbidden
        It is one's own.
    Conflict
        No administrator would be left.
    """
    if who.id == f"person:{person_id}":
        raise Forbidden("nobody changes their own role; another administrator does it")
    return _set_role(session, who.id, person_id, role)


def disable(session: Session, who: Principal, person_id: int) -> Person:
    """The person signs in no more; their sessions and links end with this transaction."""
    if who.id == f"person:{person_id}":
        raise Forbidden("nobody disables themselves; another administrator does it")
    person = _lock_unless_last(session, person_id)
    if person.disabled_at is not None:
        raise Conflict(f"person {person_id} is disabled already")
    person.disabled_at = now()
    repository.end_sessions(session, person_id)
    repository.void_links(session, person_id)
    session.flush()
    audit.append(session, who.id, "person.disable", f"person:{person_id}")
    return person


def enable(session: Session, who: Principal, person_id: int) -> Person:
    """The person signs in again as before."""
    person = find_person(session, person_id)
    if person.disabled_at is None:
        raise Conflict(f"person {person_id} is not disabled")
    person.disabled_at = None
    session.flush()
    audit.append(session, who.id, "person.enable", f"person:{person_id}")
    return person


def revoke(session: Session, who: str, key_id: int) -> ApiKey:
    """The key works no longer."""
    key = repository.lock_key(session, key_id)
    if key is None:
        raise NotFound(f"there is no key {key_id}")
    if key.revoked_at is not None:
        raise Conflict(f"key {key_id} was revoked on {key.revoked_at.date()}")
    revoke_key(session, who, key)
    return key


def keep_flow(database: Database, data: Mapping[str, Any]) -> str:
    """Keep what a sign-in at the provider will be compared with; the browser's token for it."""
    token = new_token()
    expires = now() + timedelta(seconds=FLOW_SECONDS)
    with database.session() as session:
        session.add(SignInFlow(token_sha256=digest(token), data=dict(data), expires_at=expires))
    return token


def take_flow(database: Database, token: str) -> dict[str, Any]:
    """What was kept for a browser, once; nothing where it took too long."""
    with database.session() as session:
        flow = repository.lock_flow(session, digest(token))
        if flow is None:
            return {}
        session.delete(flow)
        return flow.data if flow.expires_at > now() else {}


def admit(session: Session, settings: Settings, claims: Mapping[str, Any]) -> Person:
    """Who signs in with the provider's ``claims``, which have been verified.

    Somebody known by their subject; else somebody awaited under the name that ``oidc_name_claim``
    gives; else somebody new with the role that the claims or ``oidc_new_role`` grant. A person
    with a password is never found by a name: names at a provider may be chosen freely.

    Raises
    ------
    Forbidden
        Nobody is known, awaited or granted a role, or the person is disabled.
    Conflict
        The provider's role would leave no administrator.
    """
    subject = f"{settings.oidc_issuer} {claims['sub']}"
    name, role = _claimed_name(settings, claims), _granted_role(settings, claims)
    person = repository.person_of_subject(session, subject)
    if person is None and name is not None:
        person = repository.person_awaited(session, name.casefold())
        if person is not None:
            person.subject, person.provider_name = subject, None
            session.flush()
            audit.append(session, PROVIDER, "person.link", f"person:{person.id}")
    if person is None:
        return _new_of_provider(session, name, role, subject)
    if person.disabled_at is not None:
        raise Forbidden("you are disabled here; ask an administrator")
    if settings.oidc_role_claim is None:
        return person
    if role is None:
        raise Forbidden("the provider no longer grants you a role here")
    return person if person.role == role else _set_role(session, PROVIDER, person.id, role)


def _new_of_provider(session: Session, name: str | None, role: Role | None, subject: str) -> Person:
    if name is None or role is None:
        raise Forbidden("nobody invited you here; ask an administrator")
    if repository.person_named(session, name) is not None:
        raise Forbidden("somebody else has your name here; ask an administrator for an invitation")
    return create_person(session, PROVIDER, name, role, subject=subject)


def _claimed_name(settings: Settings, claims: Mapping[str, Any]) -> str | None:
    """The name a provider vouches for; an address only once it has verified it."""
    claim = settings.oidc_name_claim
    if claim == "email" and claims.get("email_verified") is not True:
        return None
    try:
        return _NAME.validate_python(claims.get(claim))
    except ValidationError:
        return None


def _granted_role(settings: Settings, claims: Mapping[str, Any]) -> Role | None:
    values = claims.get(settings.oidc_role_claim or "", [])
    held = values if isinstance(values, list) else [values]
    granted = next((role for value, role in settings.oidc_roles.items() if value in held), None)
    role = granted or settings.oidc_new_role
    return None if role is None else Role(role)


def _set_role(session: Session, actor: str, person_id: int, role: Role) -> Person:
    person = _lock_unless_last(session, person_id)
    before, person.role = person.role, role.value
    session.flush()
    detail = {"from": before, "to": role.value}
    audit.append(session, actor, "person.role", f"person:{person_id}", detail)
    return person


def _lock_unless_last(session: Session, person_id: int) -> Person:
    """The person, locked with all administrators, so that two cannot remove one another."""
    people = repository.lock_with_administrators(session, person_id)
    person = people.get(person_id)
    if person is None:
        raise NotFound(f"there is no person {person_id}")
    able = {
        found.id
        for found in people.values()
        if found.role == Role.ADMINISTRATOR and found.disabled_at is None and can_sign_in(found)
    }
    if able == {person_id}:
        raise Conflict("the last administrator stays one; make another one first")
    return person


def can_sign_in(person: Person) -> bool:
    return person.password_hash is not None or person.subject is not None


def _take(limits: RateLimits, item: RateLimitItem, name: str) -> None:
    is_allowed, standing = limits.take(item, name)
    if not is_allowed:
        raise Overloaded(
            "too many tries to sign in; wait, or ask an administrator for a link",
            retry_after_seconds=standing.wait_seconds,
        )


def _network(address: str) -> str:
    """An address; of IPv6, the /64 that one subscriber has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))

"""The SQL of people, keys and sign-ins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from service.auth import Role
from service.tables import ApiKey, Person, SessionRow, SignInFlow, SignInLink


def page_of_people(session: Session, after_id: int, limit: int) -> Sequence[Person]:
    return session.scalars(
        select(Person).where(Person.id > after_id).order_by(Person.id).limit(limit)
    ).all()


def page_of_keys(session: Session, after_id: int, limit: int) -> Sequence[ApiKey]:
    return session.scalars(
        select(ApiKey).where(ApiKey.id > after_id).order_by(ApiKey.id).limit(limit)
    ).all()


def person_named(session: Session, name: str) -> Person | None:
    return session.scalars(select(Person).where(Person.name == name)).first()


def person_of_subject(session: Session, subject: str) -> Person | None:
    return session.scalars(select(Person).where(Person.subject == subject)).first()


def person_awaited(session: Session, provider_name: str) -> Person | None:
    """Whom the provider's first sign-in under this name means, locked."""
    return session.scalars(
        select(Person)
        .where(Person.provider_name == provider_name, Person.subject.is_(None))
        .with_for_update()
    ).first()


def has_administrator(session: Session, at: datetime) -> bool:
    """Whether an administrator has signed in before, or has a key that works."""
    person = select(Person.id).where(
        Person.role == Role.ADMINISTRATOR.value,
        Person.disabled_at.is_(None),
        or_(Person.password_hash.is_not(None), Person.subject.is_not(None)),
    )
    key = select(ApiKey.id).where(
        ApiKey.role == Role.ADMINISTRATOR.value,
        ApiKey.revoked_at.is_(None),
        or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > at),
    )
    return any(session.scalars(found.limit(1)).first() is not None for found in (person, key))


def lock_with_administrators(session: Session, person_id: int) -> dict[int, Person]:
    """A person and every enabled administrator by id, locked in one order."""
    is_administrator = Person.role == Role.ADMINISTRATOR.value
    people = session.scalars(
        select(Person)
        .where(or_(Person.id == person_id, is_administrator & Person.disabled_at.is_(None)))
        .order_by(Person.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {person.id: person for person in people}


def lock_key(session: Session, key_id: int) -> ApiKey | None:
    return session.get(ApiKey, key_id, with_for_update=True, populate_existing=True)


def lock_link(session: Session, token_sha256: str) -> SignInLink | None:
    return session.get(SignInLink, token_sha256, with_for_update=True, populate_existing=True)


def end_sessions(session: Session, person_id: int) -> None:
    session.execute(delete(SessionRow).where(SessionRow.person_id == person_id))


def void_links(session: Session, person_id: int) -> None:
    session.execute(
        delete(SignInLink).where(SignInLink.person_id == person_id, SignInLink.used_at.is_(None))
    )


def lock_flow(session: Session, token_sha256: str) -> SignInFlow | None:
    return session.get(SignInFlow, token_sha256, with_for_update=True)

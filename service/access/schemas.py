"""What the endpoints of people, keys and sessions read and answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from service.auth import Permission, Principal, Role
from service.db import now
from service.tables import ApiKey, Person

UNPRINTED = r"\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
"""Letters that a name could hide in or be turned round by."""

NAME_PATTERN = rf"^[^\s{UNPRINTED}](?:[^{UNPRINTED}]*[^\s{UNPRINTED}])?$"
SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 256

Number = Annotated[int, Path(ge=1, le=2**53)]
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=NAME_PATTERN)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SignInIn(_In):
    name: Name
    password: Annotated[str, Field(min_length=1, max_length=LONGEST_PASSWORD)]


class RoleIn(_In):
    role: Role


class PersonIn(_In):
    """With ``provider_name``, what the OpenID provider calls them, they sign in there; without it,
    through a one-time link and with the password that they set."""

    name: Name
    role: Role
    provider_name: Name | None = None


class KeyIn(_In):
    """``scopes`` are those of the role's permissions that the key gets; all, if left out."""

    name: Name
    role: Role
    scopes: Annotated[list[Permission], Field(min_length=1, max_length=len(Permission))] | None = (
        None
    )
    days: Annotated[int, Field(ge=1, le=3650)] | None = None
    per_minute: Annotated[int, Field(ge=1, le=10**6)] | None = None


class MeOut(BaseModel):
    """Who you are and what you may do."""

    id: str
    name: str
    role: Role
    permissions: list[Permission]


class PersonOut(BaseModel):
    """``invited`` has yet to sign in for the first time."""

    id: int
    name: str
    role: Role
    state: Literal["invited", "active", "disabled"]
    provider_name: str | None
    created_at: datetime
    disabled_at: datetime | None


class LinkOut(BaseModel):
    """A link that signs in once; it is shown this once."""

    url: str
    expires_at: datetime


class InvitedOut(BaseModel):
    person: PersonOut
    link: LinkOut | None


class KeyOut(BaseModel):
    id: int
    name: str
    role: Role
    scopes: list[Permission] | None
    per_minute: int | None
    state: Literal["valid", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class NewKeyOut(BaseModel):
    """A key and its secret, which is shown this once."""

    key: KeyOut
    secret: str


def me_of(who: Principal) -> MeOut:
    return MeOut(id=who.id, name=who.name, role=who.role, permissions=sorted(who.permissions))


def person_of(person: Person) -> PersonOut:
    has_signed_in = person.password_hash is not None or person.subject is not None
    return PersonOut(
        id=person.id,
        name=person.name,
        role=Role(person.role),
        state="disabled" if person.disabled_at else "active" if has_signed_in else "invited",
        provider_name=person.provider_name,
        created_at=person.created_at,
        disabled_at=person.disabled_at,
    )


def key_of(key: ApiKey) -> KeyOut:
    fields = {name: getattr(key, name) for name in KeyOut.model_fields if name != "state"}
    return KeyOut(**fields, state=state_of(key))


def state_of(key: ApiKey) -> Literal["valid", "expired", "revoked"]:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now() else "valid"

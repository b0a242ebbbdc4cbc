"""Sessions, people and keys over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from service.access import repository, service
from service.access.cookies import address_of, base_url, drop_session, set_session
from service.access.schemas import (
    InvitedOut,
    KeyIn,
    KeyOut,
    LinkOut,
    MeOut,
    NewKeyOut,
    Number,
    PersonIn,
    PersonOut,
    RoleIn,
    SignInIn,
    key_of,
    me_of,
    person_of,
)
from service.auth import Permission, Principal, close_session, create_key, principal_of_session
from service.cases.schemas import After, Limit
from service.dependencies import (
    SESSION_COOKIE,
    CurrentPrincipal,
    DatabaseDep,
    LimitsDep,
    SettingsDep,
    require,
)

router = APIRouter(prefix="/v1", tags=["access"])

Administering = Annotated[Principal, Depends(require(Permission.ADMINISTER))]
ReadingAccess = Annotated[Principal, Depends(require(Permission.ADMINISTER, Permission.AUDIT))]


@router.post("/session")
def sign_in(
    sent: SignInIn,
    request: Request,
    response: Response,
    database: DatabaseDep,
    settings: SettingsDep,
    limits: LimitsDep,
) -> MeOut:
    """Sign a browser in with name and password; the answer sets its cookie."""
    where = address_of(request)
    _, token = service.sign_in(database, limits, settings, sent.name, sent.password, where)
    set_session(response, request, settings, token)
    with database.session() as session:
        # Whoever was signed in on this browser is signed out.
        close_session(session, request.cookies.get(SESSION_COOKIE, ""))
        return me_of(principal_of_session(session, token))


@router.delete("/session", status_code=204)
def sign_out(
    who: CurrentPrincipal, request: Request, database: DatabaseDep, settings: SettingsDep
) -> Response:
    """End the browser's session."""
    with database.session() as session:
        close_session(session, request.cookies.get(SESSION_COOKIE, ""))
    response = Response(status_code=204)
    drop_session(response, request, settings)
    return response


@router.get("/me")
def read_me(who: CurrentPrincipal) -> MeOut:
    """Who you are and what you may do."""
    return me_of(who)


@router.get("/people")
def list_people(
    who: ReadingAccess, database: DatabaseDep, after: After = 0, limit: Limit = 100
) -> list[PersonOut]:
    """Everybody who signs in, by number."""
    with database.reading() as session:
        return [person_of(person) for person in repository.page_of_people(session, after, limit)]


@router.post("/people", status_code=201)
def invite_person(
    sent: PersonIn,
    who: Administering,
    request: Request,
    database: DatabaseDep,
    settings: SettingsDep,
) -> InvitedOut:
    """Somebody new, with a one-time link to set a password, or awaited from the provider."""
    link = None
    with database.session() as session:
        who_is = (session, who.id, sent.name, sent.role)
        if sent.provider_name is None:
            person, made = service.invite(*who_is, settings)
            link = _link_of(made, base_url(request, settings))
        else:
            person = service.expect(*who_is, sent.provider_name, settings)
    return InvitedOut(person=person_of(person), link=link)


@router.post("/people/{person_id}/link", status_code=201)
def make_link(
    person_id: Number,
    who: Administering,
    request: Request,
    database: DatabaseDep,
    settings: SettingsDep,
) -> LinkOut:
    """A new one-time link for a lost password; earlier ones work no longer."""
    with database.session() as session:
        person = service.find_person(session, person_id)
        link = service.new_link(session, who.id, person, settings)
    return _link_of(link, base_url(request, settings))


@router.post("/people/{person_id}/role")
def change_role(
    person_id: Number, sent: RoleIn, who: Administering, database: DatabaseDep
) -> PersonOut:
    """Another role for somebody else; it counts from their next request on."""
    with database.session() as session:
        return person_of(service.change_role(session, who, person_id, sent.role))


@router.post("/people/{person_id}/disable")
def disable_person(person_id: Number, who: Administering, database: DatabaseDep) -> PersonOut:
    """End somebody's access; their sessions end at once."""
    with database.session() as session:
        return person_of(service.disable(session, who, person_id))


@router.post("/people/{person_id}/enable")
def enable_person(person_id: Number, who: Administering, database: DatabaseDep) -> PersonOut:
    """Let somebody who was disabled sign in again."""
    with database.session() as session:
        return person_of(service.enable(session, who, person_id))


@router.get("/keys")
def list_keys(
    who: ReadingAccess, database: DatabaseDep, after: After = 0, limit: Limit = 100
) -> list[KeyOut]:
    """Every key, without its secret, by number."""
    with database.reading() as session:
        return [key_of(key) for key in repository.page_of_keys(session, after, limit)]


@router.post("/keys", status_code=201)
def make_key(sent: KeyIn, who: Administering, database: DatabaseDep) -> NewKeyOut:
    """A new key; its secret is shown this once."""
    with database.session() as session:
        key, secret = create_key(
            session,
            who.id,
            sent.name,
            sent.role,
            days=sent.days,
            per_minute=sent.per_minute,
            scopes=sent.scopes,
        )
    return NewKeyOut(key=key_of(key), secret=secret)


@router.post("/keys/{key_id}/revoke")
def revoke_key(key_id: Number, who: Administering, database: DatabaseDep) -> KeyOut:
    """Let a key work no longer, from now on."""
    with database.session() as session:
        return key_of(service.revoke(session, who.id, key_id))


def _link_of(link: service.Link, base: str) -> LinkOut:
    return LinkOut(url=service.link_url(base, link), expires_at=link.expires_at)

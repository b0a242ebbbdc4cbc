"""What endpoints ask for: the database, the settings, who sends the request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, cast

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer
from limits import RateLimitItemPerMinute
from starlette.concurrency import run_in_threadpool

from service.access.limits import STATE_KEY, RateLimits
from service.auth import Permission, Principal, principal_of_session
from service.db import Database
from service.errors import Forbidden, Overloaded, Unauthorized
from service.principals import Principals
from service.sealing import Sealer
from service.settings import Settings

SESSION_COOKIE = "penapisan_session"
CSRF_HEADER = "X-Penapisan"
"""A page of another origin cannot send this header unasked; its value does not matter."""


# What never waits is async, or FastAPI would send each of them to a thread of its own.
async def get_database(request: Request) -> Database:
    return cast(Database, request.app.state.database)


async def get_settings(request: Request) -> Settings:
    return cast(Settings, request.app.state.settings)


async def get_sealer(request: Request) -> Sealer:
    return cast(Sealer, request.app.state.sealer)


def get_limits(request: Request) -> RateLimits:
    return cast(RateLimits, request.app.state.limits)


DatabaseDep = Annotated[Database, Depends(get_database)]
SettingsDep = Annotated[Settings, Depends(get_settings)]
SealerDep = Annotated[Sealer, Depends(get_sealer)]
LimitsDep = Annotated[RateLimits, Depends(get_limits)]


BEARER = HTTPBearer(
    scheme_name="key", description="An API key; `penapisan keys new` makes one", auto_error=False
)
HEADER = APIKeyHeader(
    name="X-API-Key", scheme_name="keyHeader", description="The same", auto_error=False
)
COOKIE = APIKeyCookie(
    name=SESSION_COOKIE,
    scheme_name="session",
    description=f"A signed-in browser. A change also needs the header `{CSRF_HEADER}`",
    auto_error=False,
)


async def documented_schemes(
    bearer: Annotated[object, Security(BEARER)],
    header: Annotated[object, Security(HEADER)],
    cookie: Annotated[object, Security(COOKIE)],
) -> None:
    """Names in the OpenAPI document the ways in that ``current_principal`` knows."""


async def current_principal(
    request: Request,
    database: DatabaseDep,
    settings: SettingsDep,
    limits: LimitsDep,
    schemes: Annotated[None, Depends(documented_schemes)] = None,
) -> Principal:
    """Who sends the request: an API key, or a session's cookie.

    Raises
    ------
    Unauthorized
        Neither is given, or it does not hold.
    Forbidden
        A change is asked for with a cookie and without the header that only our pages send.
    Overloaded
        The key has sent its requests of this minute, whatever was answered.
    """
    who = await _principal(request, database)
    per_minute = who.per_minute or settings.key_per_minute
    if who.id.startswith("key:") and per_minute:
        item = RateLimitItemPerMinute(per_minute)
        is_allowed, standing = await run_in_threadpool(limits.take, item, who.id)
        setattr(request.state, STATE_KEY, standing)
        if not is_allowed:
            raise Overloaded(
                f"this key may send {per_minute} requests a minute",
                retry_after_seconds=standing.wait_seconds,
            )
    return who


async def _principal(request: Request, database: Database) -> Principal:
    secret = _given_key(request)
    cookie = request.cookies.get(SESSION_COOKIE)
    if secret is None and cookie is None:
        raise Unauthorized("send 'Authorization: Bearer' with an API key, or sign in")
    if secret is not None:
        return await cast(Principals, request.app.state.principals).of_key(secret)
    if request.method not in {"GET", "HEAD"} and CSRF_HEADER not in request.headers:
        raise Forbidden(f"a change by a signed-in browser needs the header '{CSRF_HEADER}'")
    return await run_in_threadpool(_of_session, database, cast(str, cookie))


def _of_session(database: Database, token: str) -> Principal:
    with database.reading() as session:
        return principal_of_session(session, token)


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]


def require(*permissions: Permission) -> Callable[[Principal], Awaitable[Principal]]:
    """A dependency that lets those through whose role has any of the permissions."""

    async def check(who: CurrentPrincipal) -> Principal:
        who.require(*permissions)
        return who

    return check


def _given_key(request: Request) -> str | None:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.casefold() == "bearer":
        return secret.strip()
    return request.headers.get("X-API-Key")

"""Signing in through an OpenID Connect provider: code flow with PKCE (RFC 7636), state and nonce.

Source: OpenID Connect Core 1.0, section 3.1; the flow and the checks are authlib's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, cast

import httpx2
from authlib.integrations.starlette_client import OAuth, OAuthError
from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from joserfc.errors import JoseError

from service.access import pages, service
from service.access.cookies import address_of, base_url, is_https, set_session
from service.auth import open_session
from service.dependencies import DatabaseDep, LimitsDep, SettingsDep
from service.errors import Conflict, Forbidden, NotFound, Unauthorized, Unavailable
from service.settings import Settings

router = APIRouter(prefix="/v1/oidc", include_in_schema=False)

FLOW_COOKIE = "penapisan_sign_in"
LEEWAY_SECONDS = 60
"""How far the provider's clock may be off."""

_REFUSED = {
    Unauthorized: "Penyedia identitas tidak membuktikan siapa Anda. Coba lagi.",
    Forbidden: "Anda tidak mendapat akses. Hubungi administrator.",
    Conflict: "Peran Anda tidak dapat diubah. Hubungi administrator.",
}


def make_provider(settings: Settings) -> Any:
    """The provider's client, whose metadata is read at its first use; ``None`` without one."""
    if settings.oidc_issuer is None:
        return None
    secret = settings.oidc_client_secret
    return OAuth().register(
        "provider",
        client_id=settings.oidc_client_id,
        client_secret=secret.get_secret_value() if secret else None,
        server_metadata_url=f"{settings.oidc_issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": settings.oidc_scope,
            "code_challenge_method": "S256",
            "timeout": 10,
        },
    )


def get_provider(request: Request) -> Any:
    provider = request.app.state.provider
    if provider is None:
        raise NotFound("there is no OpenID provider here; sign in with a password")
    return provider


Provider = Annotated[Any, Depends(get_provider)]


@router.get("/sign-in")
async def begin(
    request: Request,
    provider: Provider,
    database: DatabaseDep,
    settings: SettingsDep,
    limits: LimitsDep,
) -> Response:
    """Send the browser to the provider."""
    await run_in_threadpool(service.require_try, limits, address_of(request))
    flow: dict[str, Any] = {}
    request.scope["session"] = flow
    back = f"{base_url(request, settings)}{router.prefix}/callback"
    try:
        response = cast(Response, await provider.authorize_redirect(request, back))
    except (httpx2.HTTPError, ValueError, RuntimeError) as error:
        raise _away() from error
    token = await run_in_threadpool(service.keep_flow, database, flow)
    response.set_cookie(
        FLOW_COOKIE,
        token,
        max_age=service.FLOW_SECONDS,
        path=router.prefix,
        httponly=True,
        # The provider's redirect must carry it: not "strict".
        samesite="lax",
        secure=is_https(request, settings),
    )
    return response


@router.get("/callback")
async def finish(
    request: Request, provider: Provider, database: DatabaseDep, settings: SettingsDep
) -> Response:
    """Take the browser back from the provider, and sign it in."""
    token = request.cookies.get(FLOW_COOKIE, "")
    request.scope["session"] = await run_in_threadpool(service.take_flow, database, token)
    try:
        claims = await _verified_claims(request, provider, settings)
        response = await run_in_threadpool(_admitted, request, database, settings, claims)
    except (Unauthorized, Forbidden, Conflict) as error:
        response = pages.page([(_REFUSED[type(error)], error.detail)], status=error.status)
    response.delete_cookie(FLOW_COOKIE, path=router.prefix)
    return response


def _admitted(
    request: Request, database: DatabaseDep, settings: Settings, claims: Mapping[str, Any]
) -> Response:
    with database.session() as session:
        person = service.admit(session, settings, claims)
        token = open_session(session, person, settings.session_hours)
    response = pages.signed_in(person)
    set_session(response, request, settings, token)
    return response


async def _verified_claims(
    request: Request, provider: Any, settings: Settings
) -> Mapping[str, Any]:
    """Claims of the ID token and, where the provider has one, of its userinfo endpoint.

    Raises
    ------
    Unauthorized
        State, nonce, signature, issuer, audience or time is wrong, or the provider refused.
    Unavailable
        The provider does not answer.
    """
    expected = {
        "iss": {"essential": True, "value": settings.oidc_issuer},
        "aud": {"essential": True, "value": settings.oidc_client_id},
    }
    try:
        token = await provider.authorize_access_token(
            request, claims_options=expected, leeway=LEEWAY_SECONDS
        )
        claims = token.get("userinfo")
        if claims is None:
            raise Unauthorized("the provider sent no ID token")
        metadata = await provider.load_server_metadata()
        if "userinfo_endpoint" not in metadata:
            return cast(Mapping[str, Any], claims)
        more = await provider.userinfo(token=token)
    except (OAuthError, JoseError) as error:
        # Its own words may be anybody's: only the kind of error is told.
        kind = type(error).error or "no sign-in"
        raise Unauthorized(f"the provider's answer was refused: {kind}") from error
    except (httpx2.HTTPError, ValueError, RuntimeError) as error:
        raise _away() from error
    if more.get("sub") != claims["sub"]:
        raise Unauthorized("the provider's answers are about two people")
    return {**more, **claims}


def _away() -> Unavailable:
    return Unavailable(
        "the OpenID provider does not answer as it should; try again", retry_after_seconds=5
    )

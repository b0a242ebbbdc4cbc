"""The session's cookie, and how a request reaches us."""

from __future__ import annotations

from fastapi import Request, Response

from service.dependencies import SESSION_COOKIE
from service.settings import Settings


def base_url(request: Request, settings: Settings) -> str:
    """Scheme and host of links that lead back here."""
    return settings.public_url or f"{request.url.scheme}://{request.url.netloc}"


def is_https(request: Request, settings: Settings) -> bool:
    return base_url(request, settings).startswith("https:")


def set_session(response: Response, request: Request, settings: Settings, token: str) -> None:
    """Sign a browser in: no script reads the cookie, no other site's request carries it."""
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=settings.session_hours * 3600,
        httponly=True,
        samesite="strict",
        secure=is_https(request, settings),
    )


def drop_session(response: Response, request: Request, settings: Settings) -> None:
    response.delete_cookie(
        SESSION_COOKIE, httponly=True, samesite="strict", secure=is_https(request, settings)
    )


def address_of(request: Request) -> str:
    """Where a request comes from; behind a proxy on this machine, as the proxy says."""
    return request.client.host if request.client else ""

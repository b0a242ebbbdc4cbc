"""The page that a one-time link opens, where a password is set. It loads nothing and runs nothing.

Opening the page changes nothing: what previews a link must not use it up.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader

from service.access import service
from service.access.cookies import set_session
from service.access.schemas import LONGEST_PASSWORD, SHORTEST_PASSWORD
from service.auth import hash_password
from service.dependencies import DatabaseDep, SettingsDep
from service.errors import Forbidden, NotFound
from service.tables import Person

router = APIRouter(include_in_schema=False)

ONWARD = "/docs"
"""Where somebody who has signed in goes."""

Line = tuple[str, str]
"""A sentence in Indonesian and in English."""

_PAGE = Environment(loader=FileSystemLoader(FilePath(__file__).parent), autoescape=True)
_GONE = (
    "Tautan ini sudah dipakai atau kedaluwarsa. Mintalah tautan baru kepada administrator.",
    "This link was used or has expired. Ask an administrator for a new one.",
)

Token = Annotated[str, Path(max_length=128)]


async def _form(request: Request) -> dict[str, str]:
    """Fields of a form; a body with broken ones has none."""
    try:
        fields = parse_qs((await request.body()).decode(), max_num_fields=8)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


Form = Annotated[dict[str, str], Depends(_form)]


@router.get("/sign-in/{token}")
def open_link(token: Token, database: DatabaseDep) -> HTMLResponse:
    """Ask for a new password."""
    try:
        with database.reading() as session:
            _, person = service.person_of_link(session, token)
    except NotFound:
        return page([_GONE], status=410)
    return page([_greeting(person)], has_form=True)


@router.post("/sign-in/{token}")
async def use_link(
    token: Token,
    request: Request,
    form: Form,
    database: DatabaseDep,
    settings: SettingsDep,
) -> HTMLResponse:
    """Set the password and sign in."""
    # Another site's form could sign somebody in as its own author, who then reads what they do.
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise Forbidden("the form of a link is sent by its own page")

    def use() -> HTMLResponse:
        with database.reading() as session:
            _, person = service.person_of_link(session, token)
        password = form.get("password", "")
        if wrong := _what_is_wrong(password, form.get("again", "")):
            return page([_greeting(person), wrong], has_form=True, status=422)
        hashed = hash_password(password)
        with database.session() as session:
            person, opened = service.use_link(session, token, hashed, settings)
        response = signed_in(person)
        set_session(response, request, settings, opened)
        return response

    try:
        return await run_in_threadpool(use)
    except NotFound:
        return page([_GONE], status=410)


def signed_in(person: Person) -> HTMLResponse:
    """What somebody sees who has signed in.

    A page, not a redirect: a browser that comes from elsewhere would not send the new cookie on.
    """
    told = (f"Anda masuk sebagai {person.name}.", f"You are signed in as {person.name}.")
    return page([told], onward=ONWARD)


def page(
    lines: Sequence[Line], *, has_form: bool = False, onward: str = "", status: int = 200
) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    body = _PAGE.get_template("page.html").render(
        lines=lines,
        has_form=has_form,
        onward=onward,
        nonce=nonce,
        shortest=SHORTEST_PASSWORD,
        longest=LONGEST_PASSWORD,
    )
    headers = {
        "Content-Security-Policy": f"default-src 'none'; style-src 'nonce-{nonce}'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return HTMLResponse(body, status_code=status, headers=headers)


def _greeting(person: Person) -> Line:
    return (
        f"{person.name}, pilih kata sandi. Dengan itu dan nama ini Anda masuk kelak.",
        f"{person.name}, choose a password. You will sign in with it and this name.",
    )


def _what_is_wrong(password: str, again: str) -> Line | None:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        return (
            f"Kata sandi harus {SHORTEST_PASSWORD} sampai {LONGEST_PASSWORD} huruf.",
            f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} letters.",
        )
    if password != again:
        return ("Kedua kata sandi berbeda.", "The two passwords differ.")
    return None

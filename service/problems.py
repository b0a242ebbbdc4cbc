"""Errors as ``application/problem+json`` (RFC 9457), with a pointer to the field that is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from service.errors import ServiceError, Unauthorized

MEDIA_TYPE = "application/problem+json"


class FieldProblem(BaseModel):
    pointer: str
    detail: str


class Problem(BaseModel):
    """RFC 9457; ``errors`` names each field that is wrong (RFC 6901)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []


def add_handlers(app: FastAPI) -> None:
    @app.exception_handler(ServiceError)
    def on_service_error(request: Request, error: ServiceError) -> JSONResponse:
        return problem_of(error)

    @app.exception_handler(RequestValidationError)
    def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = [{"pointer": _pointer(e["loc"]), "detail": e["msg"]} for e in error.errors()]
        detail = f"{len(errors)} field{'s' if len(errors) != 1 else ''} of the request are wrong"
        return problem(422, "Invalid content", detail, errors)

    @app.exception_handler(HTTPException)
    def on_http(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(sorted(_methods(app, request.scope["path"])))
        return problem(error.status_code, str(error.detail), str(error.detail), headers=headers)


def problem_of(error: ServiceError) -> JSONResponse:
    errors = [dict(entry) for entry in error.errors]
    if error.pointer is not None:
        errors.insert(0, {"pointer": error.pointer, "detail": error.detail})
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    return problem(error.status, error.title, error.detail, errors, headers)


def problem(
    status: int,
    title: str,
    detail: str,
    errors: Sequence[dict[str, Any]] = (),
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    body = Problem.model_validate(
        {"title": title, "status": status, "detail": detail, "errors": list(errors)}
    )
    return JSONResponse(
        body.model_dump(), status_code=status, media_type=MEDIA_TYPE, headers=headers
    )


def _methods(app: FastAPI, path: str) -> set[str]:
    """What a path may be asked for: the router names the methods of its first route alone."""
    return {
        method
        for route in iter_route_contexts(app.routes)
        if route.path and compile_path(route.path)[0].match(path)
        for method in route.methods or ()
    }


def _pointer(location: Sequence[object]) -> str:
    """``("body", "posts", 3)`` as ``/posts/3``; other places keep their name in front."""
    return pointer(location[1:] if location and location[0] == "body" else location)


def pointer(parts: Sequence[object]) -> str:
    """A JSON pointer (RFC 6901): ``("posts", 3)`` as ``/posts/3``."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)

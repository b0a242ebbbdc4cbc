"""The OpenAPI document: stable names for every operation, and every error in its one shape."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from service.problems import MEDIA_TYPE, Problem

REFERENCE = "#/components/schemas/{model}"
ERRORS = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    409: "Conflict",
    413: "Too large",
    422: "Invalid content",
    429: "Too many requests",
    503: "Not available",
    507: "The disk is full",
}
"""Statuses any endpoint may answer, each with a problem (RFC 9457)."""

RETRIED = {429, 503}
RETRY_AFTER = {"description": "Seconds to wait, where known", "schema": {"type": "integer"}}

ABOUT = """Screens Indonesian posts for terrorism and radicalism content. A score is a proposal;
people decide.

Every error is `application/problem+json` (RFC 9457); its `errors` name each field that is wrong.
"""
TAGS = {
    "scoring": "Posts in, calibrated probabilities out",
    "compatible": "The same in the shapes of OpenAI, Perspective and the Open Inference Protocol",
    "exports": "Whole exports, scored in the background",
    "cases": "The review queue",
    "reviews": "How reviewers agree",
    "notices": "Reports to platforms, each approved by a second person",
    "labels": "Labels from elsewhere",
    "access": "Who may sign in, and keys",
    "audit": "The log of who read and changed what",
    "operation": "Health and metrics",
}


def operation_id(route: APIRoute) -> str:
    """The function's name, which a code generator makes a method of."""
    return route.name


def describe(app: FastAPI) -> None:
    """Let ``app`` serve the document, made once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(
        title=app.title,
        version=version("penapisan"),
        description=ABOUT,
        routes=app.routes,
        tags=[{"name": name, "description": words} for name, words in TAGS.items()],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    schemas = made["components"]["schemas"]
    # FastAPI's own shape of a 422, which the service never answers.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    own = Problem.model_json_schema(ref_template=REFERENCE)
    schemas |= own.pop("$defs") | {"Problem": own}
    content = {MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(model="Problem")}}}
    for operations in made["paths"].values():
        for operation in operations.values():
            for status, words in ERRORS.items():
                problem = {"description": words, "content": content}
                if status in RETRIED:
                    problem["headers"] = {"Retry-After": RETRY_AFTER}
                operation["responses"][str(status)] = problem
    return made

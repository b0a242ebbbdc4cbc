"""The service as one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from service import audit_endpoints
from service.cases import endpoints as case_endpoints
from service.db import Database
from service.problems import MEDIA_TYPE, Problem, add_handlers
from service.sealing import Sealer
from service.settings import Settings, split_keys

RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}, "description": words}
    for status, words in {
        401: "Not authenticated",
        403: "Not allowed",
        404: "Not found",
        409: "Conflict",
        422: "Invalid content",
        503: "Not available",
    }.items()
}


def create_app(settings: Settings) -> FastAPI:
    """The application; its database is brought up to date when it starts."""
    app = FastAPI(title="Penapisan", lifespan=_lifespan, responses=RESPONSES)
    app.state.settings = settings
    app.state.sealer = Sealer(split_keys(settings.text_keys))
    add_handlers(app)
    app.include_router(case_endpoints.router)
    app.include_router(audit_endpoints.router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    database = Database(app.state.settings)
    database.upgrade()
    app.state.database = database
    yield
    database.close()

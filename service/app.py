"""The service as one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from models.scorer import load_scorer
from screening.scorer import Scorer
from service import audit_endpoints, observation
from service.access import endpoints as access_endpoints
from service.access import openid, pages
from service.access.limits import RateHeaders, RateLimits
from service.cases import endpoints as case_endpoints
from service.db import Database
from service.exports import endpoints as export_endpoints
from service.exports.worker import Worker
from service.labels import endpoints as label_endpoints
from service.notices import endpoints as notice_endpoints
from service.problems import MEDIA_TYPE, Problem, add_handlers
from service.reviews import endpoints as review_endpoints
from service.scoring import compatible
from service.scoring import endpoints as scoring_endpoints
from service.scoring.batcher import Batcher
from service.scoring.service import Room
from service.sealing import Sealer
from service.settings import Settings, split_keys

RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}, "description": words}
    for status, words in {
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
    }.items()
}


def create_app(settings: Settings, scorer: Scorer | None = None) -> FastAPI:
    """The application; its database is brought up to date when it starts.

    ``scorer`` is the release of ``settings`` on the best engine here unless given.
    """
    app = FastAPI(title="Penapisan", lifespan=_lifespan, responses=RESPONSES)
    app.state.settings = settings
    app.state.sealer = Sealer(split_keys(settings.text_keys))
    app.state.scorer = scorer
    app.state.provider = openid.make_provider(settings)
    app.state.metrics = observation.Metrics()
    add_handlers(app)
    app.add_middleware(RateHeaders)
    observation.observe(app)
    for endpoints in (
        scoring_endpoints,
        compatible,
        export_endpoints,
        case_endpoints,
        review_endpoints,
        notice_endpoints,
        label_endpoints,
        access_endpoints,
        pages,
        openid,
        audit_endpoints,
        observation,
    ):
        app.include_router(endpoints.router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    database = Database(settings)
    database.upgrade()
    app.state.database = database
    app.state.limits = RateLimits(database)
    app.state.batcher = Batcher(
        app.state.scorer or load_scorer(settings.release),
        batch_posts=settings.batch_posts,
        queue_posts=settings.queue_posts,
        on_batch=app.state.metrics.note_batch,
    )
    state = app.state
    state.worker = Worker(Room(database, state.sealer, state.batcher, settings, state.metrics))
    yield
    # Requests are answered by now; a job goes back to the queue with what it has done.
    state.worker.close()
    state.batcher.close()
    database.close()

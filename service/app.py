"""The service as one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from fastapi import FastAPI

from models.scorer import load_scorer
from screening.scorer import Scorer
from service import audit_endpoints, observation, telemetry
from service.access import endpoints as access_endpoints
from service.access import openid, pages
from service.access.limits import RateHeaders, RateLimits
from service.cases import endpoints as case_endpoints
from service.db import Database
from service.document import describe, operation_id
from service.exports import endpoints as export_endpoints
from service.exports.worker import Worker
from service.labels import endpoints as label_endpoints
from service.notices import endpoints as notice_endpoints
from service.principals import Principals
from service.problems import add_handlers
from service.reviews import endpoints as review_endpoints
from service.scoring import compatible
from service.scoring import endpoints as scoring_endpoints
from service.scoring.batcher import Batcher
from service.scoring.service import Room, write_submissions
from service.sealing import Sealer
from service.settings import Settings, split_keys
from service.writer import Writer

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

WRITTEN_TOGETHER = 256
"""Posts of one transaction at most: beyond, a commit's price no longer counts."""


def create_app(
    settings: Settings, scorer: Scorer | None = None, tracer: Tracer | None = None
) -> FastAPI:
    """The application; its database is brought up to date when it starts.

    ``scorer`` is the release of ``settings`` on the best engine here unless given, ``tracer`` the
    one that ``OTEL_*`` variables ask for.
    """
    app = FastAPI(
        title="Penapisan",
        lifespan=_lifespan,
        generate_unique_id_function=operation_id,
        telemetry=telemetry.OF_FASTAPI_OFF,
    )
    describe(app)
    app.state.settings = settings
    app.state.sealer = Sealer(split_keys(settings.text_keys))
    app.state.scorer = scorer
    app.state.provider = openid.make_provider(settings)
    app.state.metrics = observation.Metrics()
    add_handlers(app)
    app.add_middleware(RateHeaders)
    observation.observe(app)
    app.state.tracer = tracer or telemetry.find_tracer()
    if app.state.tracer is not None:
        app.add_middleware(telemetry.Traced, tracer=app.state.tracer)
    for endpoints in (
        scoring_endpoints,
        compatible,
        export_endpoints,
        case_endpoints,
        review_endpoints,
        notice_endpoints,
        access_endpoints,
        pages,
        openid,
        label_endpoints,
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
    app.state.principals = Principals(database)
    app.state.batcher = Batcher(
        app.state.scorer or load_scorer(settings.release),
        batch_posts=settings.batch_posts,
        queue_posts=settings.queue_posts,
        queue_seconds=settings.queue_seconds,
        on_batch=partial(_note_batch, app),
    )
    app.state.writer = Writer(
        database,
        partial(
            write_submissions,
            sealer=app.state.sealer,
            policy=app.state.batcher.policy,
            audit_share=settings.audit_share,
        ),
        together=WRITTEN_TOGETHER,
        most_waiting=settings.queue_posts,
    )
    state = app.state
    state.room = Room(database, state.sealer, state.batcher, settings, state.metrics, state.writer)
    state.worker = Worker(state.room)
    yield
    # Requests are answered by now; a job goes back to the queue with what it has done.
    state.worker.close()
    state.batcher.close()
    state.writer.close()
    database.close()


def _note_batch(app: FastAPI, posts: int, seconds: float) -> None:
    app.state.metrics.note_batch(posts, seconds)
    if app.state.tracer is not None:
        telemetry.note_batch(app.state.tracer, posts, seconds)

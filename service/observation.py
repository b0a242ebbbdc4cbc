"""What an operator sees: health, metrics, a request id on every answer, a log without post text."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    generate_latest,
)
from sqlalchemy import func, select

from service.cases.states import QUEUED
from service.db import now
from service.dependencies import DatabaseDep
from service.problems import problem
from service.tables import Case

router = APIRouter(tags=["operation"])
log = logging.getLogger("penapisan.requests")

REQUEST_ID = "X-Request-ID"
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


class Metrics:
    """Prometheus metrics of one application; names follow its naming practices."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "penapisan_requests", "Requests answered", ["route", "status"], registry=self.registry
        )
        self.latency = Histogram(
            "penapisan_request_seconds", "Time to the answer", ["route"], registry=self.registry
        )
        self.batches = Histogram(
            "penapisan_batch_posts",
            "Posts scored together",
            buckets=BATCH_BUCKETS,
            registry=self.registry,
        )
        self.scoring = Counter(
            "penapisan_scoring_seconds", "Time spent scoring", registry=self.registry
        )
        self.waiting = Gauge(
            "penapisan_waiting_posts", "Posts waiting to be scored", registry=self.registry
        )
        self.unwritten = Gauge(
            "penapisan_unwritten_posts", "Posts scored and not yet stored", registry=self.registry
        )
        self.release = Info("penapisan_release", "What scores posts", registry=self.registry)
        self.cases = Gauge(
            "penapisan_queued_cases", "Cases waiting for a reviewer", registry=self.registry
        )
        self.oldest = Gauge(
            "penapisan_oldest_case_seconds", "Age of the oldest of them", registry=self.registry
        )
        self.bands = Counter(
            "penapisan_posts", "Posts scored, by band", ["band", "release"], registry=self.registry
        )

    def note_batch(self, posts: int, seconds: float) -> None:
        self.batches.observe(posts)
        self.scoring.inc(seconds)


@router.get("/livez", response_class=Response)
def live() -> Response:
    """200 while the process answers."""
    return Response()


@router.get("/readyz", response_class=Response)
def ready(database: DatabaseDep) -> Response:
    """200 when the database answers and posts can be scored; 503 otherwise."""
    database.ping()
    return Response()


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request, database: DatabaseDep) -> Response:
    """Prometheus text format."""
    found: Metrics = request.app.state.metrics
    with database.reading() as session:
        count, oldest = session.execute(
            select(func.count(), func.min(Case.opened_at)).where(Case.state.in_(QUEUED))
        ).one()
    found.cases.set(count)
    found.oldest.set((now() - oldest).total_seconds() if oldest else 0)
    state = request.app.state
    found.waiting.set(state.batcher.waiting)
    found.unwritten.set(state.writer.waiting)
    found.release.info({"release": state.batcher.release, "policy": state.batcher.policy.version})
    return Response(generate_latest(found.registry), media_type=CONTENT_TYPE_LATEST)


def observe(app: FastAPI) -> None:
    """Count, time and log every request, give it an id, and refuse bodies over the limit."""
    app.add_middleware(_Observed, app_state=app.state)


class _Observed:
    def __init__(self, app: Asgi, app_state: Any) -> None:
        self._app = app
        self._state = app_state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, identifier = time.perf_counter(), 500, f"req_{secrets.token_hex(8)}"

        async def note(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", []),
                    (REQUEST_ID.lower().encode(), identifier.encode()),
                ]
            await send(message)

        try:
            if self._is_too_large(scope):
                limit = self._state.settings.request_bytes
                refusal = problem(413, "Too large", f"a request may have {limit} bytes at most")
                await refusal(scope, receive, note)
            else:
                await self._app(scope, self._limited(receive), note)
        finally:
            self._note(scope, status, time.perf_counter() - began, identifier)

    def _is_too_large(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"content-length", b"0")
        return given.isdigit() and int(given) > int(self._state.settings.request_bytes)

    def _limited(self, receive: Receive) -> Receive:
        """Ends a body without a length where the limit is reached, as if the client had gone."""
        read = 0

        async def limited() -> MutableMapping[str, Any]:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._state.settings.request_bytes:
                return {"type": "http.disconnect"}
            return message

        return limited

    def _note(self, scope: Scope, status: int, seconds: float, identifier: str) -> None:
        # The route, never the path: a path may hold what a client likes.
        route = getattr(scope.get("route"), "path", "unknown")
        found: Metrics = self._state.metrics
        found.requests.labels(route, status).inc()
        found.latency.labels(route).observe(seconds)
        row = {
            "request": identifier,
            "method": scope["method"] if scope["method"] in _METHODS else "other",
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 1),
        }
        log.info(json.dumps(row))


_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

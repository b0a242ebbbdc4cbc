"""What an operator sees: health, metrics, a request id on every answer, a log without post text."""

from __future__ import annotations

import json
import logging
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
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
from service.errors import Overloaded
from service.problems import problem, problem_of
from service.settings import Settings
from service.tables import Case

router = APIRouter(tags=["operation"])
log = logging.getLogger("penapisan.requests")

REQUEST_ID = "X-Request-ID"
SCORING = frozenset({"/v1/score", "/v1/moderations", "/v1alpha1/comments:analyze"})
UPLOADS = "/v1/exports"
"""The one path whose bodies are streamed to disk, and may be larger than fits into memory."""
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
        is_begun = False

        async def note(message: MutableMapping[str, Any]) -> None:
            nonlocal status, is_begun
            if message["type"] == "http.response.start":
                status, is_begun = message["status"], True
                message["headers"] = [
                    *message.get("headers", []),
                    (REQUEST_ID.lower().encode(), identifier.encode()),
                ]
            await send(message)

        limit = self._limit(scope)
        body = _Body(receive, limit)
        try:
            if _given_length(scope) > limit:
                await _refuse(scope, receive, note, limit)
            elif (overload := self._overload(scope)) is not None:
                await problem_of(overload)(scope, receive, note)
            else:
                await self._app(scope, body.receive, body.unless_too_large(note))
                if body.is_too_large:
                    await _refuse(scope, receive, note, limit)
        except Exception as error:
            if is_begun:
                raise
            _log_unforeseen(identifier, error)
            words = "the service failed in a way nobody foresaw; report it with the request's id"
            await problem(500, "Internal error", words)(scope, receive, note)
        finally:
            self._note(scope, status, time.perf_counter() - began, identifier)

    def _overload(self, scope: Scope) -> Overloaded | None:
        """Why what asks for scores is turned away before it costs more than this look."""
        if scope["method"] != "POST" or scope["path"] not in SCORING:
            return None
        try:
            self._state.batcher.check()
        except Overloaded as error:
            return error
        return None

    def _limit(self, scope: Scope) -> int:
        settings: Settings = self._state.settings
        is_upload = scope["method"] == "POST" and scope["path"] == UPLOADS
        return settings.upload_bytes if is_upload else settings.request_bytes

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


class _Body:
    """A body without a length ends where the limit is reached, as if the client had gone; what
    the application answers to that is not sent."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._read = 0
        self._is_answered = False

    @property
    def is_too_large(self) -> bool:
        return self._read > self._limit and not self._is_answered

    async def receive(self) -> MutableMapping[str, Any]:
        if self._read > self._limit:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._read += len(message.get("body", b""))
        return {"type": "http.disconnect"} if self._read > self._limit else message

    def unless_too_large(self, send: Send) -> Send:
        async def answer(message: MutableMapping[str, Any]) -> None:
            if not self.is_too_large:
                self._is_answered = True
                await send(message)

        return answer


def _log_unforeseen(identifier: str, error: Exception) -> None:
    """Kind and place alone: an error's words may quote a post."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"
    log.error(json.dumps({"request": identifier, "error": type(error).__name__, "at": place}))


async def _refuse(scope: Scope, receive: Receive, send: Send, limit: int) -> None:
    refusal = problem(413, "Too large", f"a request may have {limit} bytes at most")
    await refusal(scope, receive, send)


def _given_length(scope: Scope) -> int:
    given = dict(scope["headers"]).get(b"content-length", b"0")
    return int(given) if given.isdigit() else 0


_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

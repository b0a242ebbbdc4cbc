"""Traces for OpenTelemetry, where they are asked for: requests and batches, never what they hold.

FastAPI's own traces stay off: they record paths, query strings and the values that failed a check,
any of which can hold what a person wrote.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig
    from opentelemetry.trace import Tracer

log = logging.getLogger("penapisan.telemetry")

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
OF_FASTAPI_OFF: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Message, Receive, Send], Awaitable[None]]


def find_tracer() -> Tracer | None:
    """A tracer that sends to the OTLP endpoint of the environment; ``None`` where it names none.

    The other ``OTEL_*`` variables hold too, such as ``OTEL_EXPORTER_OTLP_HEADERS``.
    """
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        log.warning("no traces: %s is missing; pip install 'penapisan[telemetry]'", error.name)
        return None
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "penapisan"}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer: Tracer = provider.get_tracer("penapisan")
    return tracer


def note_batch(tracer: Tracer, posts: int, seconds: float) -> None:
    """A span for a batch that was just scored."""
    ended = time.time_ns()
    began = ended - round(seconds * 1e9)
    span = tracer.start_span("score batch", start_time=began, attributes={"penapisan.posts": posts})
    span.end(ended)


class Traced:
    """A span for each request, in the caller's trace where its ``traceparent`` names one."""

    def __init__(self, app: Asgi, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind, Status, StatusCode

        status, identifier = 500, ""

        async def note(message: Message) -> None:
            nonlocal status, identifier
            if message["type"] == "http.response.start":
                status = message["status"]
                identifier = dict(message.get("headers", [])).get(b"x-request-id", b"").decode()
            await send(message)

        headers = dict(scope["headers"])
        parent = extract({"traceparent": headers.get(b"traceparent", b"").decode("latin-1")})
        span = self._tracer.start_span("request", parent, SpanKind.SERVER)
        try:
            await self._app(scope, receive, note)
        finally:
            # As in the log: the route, never the path.
            route = getattr(scope.get("route"), "path", "unknown")
            span.update_name(f"{scope['method']} {route}")
            span.set_attributes(
                {
                    "http.request.method": scope["method"],
                    "http.route": route,
                    "http.response.status_code": status,
                    "penapisan.request": identifier,
                }
            )
            if status >= 500:
                span.set_status(Status(StatusCode.ERROR))
            span.end()

"""Traces of requests and batches, without what they hold."""

from __future__ import annotations

import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service.app import create_app
from service.auth import Role
from service.db import Database
from service.settings import Settings
from tests.builders import FakeScorer
from tests.service.serving import key_of

SECRET = "rahasia xxxxxx"


@pytest.fixture
def spans(settings: Settings, database: Database) -> list[ReadableSpan]:
    """Those of a good request in a caller's trace, of a bad one and of one to nowhere."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    app = create_app(settings, FakeScorer(), provider.get_tracer("test"))
    headers = key_of(database, Role.SUBMITTER)
    parent = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    with TestClient(app) as client:
        posts = {"posts": [{"text": SECRET}]}
        assert client.post("/v1/score", json=posts, headers=headers | parent).status_code == 200
        bad = {"posts": [{"text": SECRET, "platform": SECRET}], "spans": SECRET}
        assert client.post("/v1/score", json=bad, headers=headers).status_code == 422
        assert client.get(f"/{SECRET}", params={"q": SECRET}).status_code == 404
    return list(memory.get_finished_spans())


def test_requests_and_batches_are_traced(spans: list[ReadableSpan]) -> None:
    batch, good, bad, nowhere = spans
    assert (batch.name, dict(batch.attributes or {})) == ("score batch", {"penapisan.posts": 1})
    assert [span.name for span in (good, bad, nowhere)] == [
        "POST /v1/score", "POST /v1/score", "GET unknown",
    ]  # fmt: skip
    found = dict(good.attributes or {})
    assert str(found.pop("penapisan.request")).startswith("req_")
    assert found == {
        "http.request.method": "POST",
        "http.route": "/v1/score",
        "http.response.status_code": 200,
    }
    assert (bad.attributes or {})["http.response.status_code"] == 422
    assert f"{good.context.trace_id:032x}" == "a" * 32


def test_no_trace_holds_what_was_sent(spans: list[ReadableSpan]) -> None:
    assert len(spans) == 4
    assert "rahasia" not in "".join(span.to_json() for span in spans)


PROGRAM = """
import sys
from fastapi.testclient import TestClient
from service.app import create_app
from service.settings import Settings
from tests.builders import FakeScorer

with TestClient(create_app(Settings(), FakeScorer())) as client:
    assert client.get("/livez").status_code == 200
print("opentelemetry.sdk" in sys.modules)
"""


def printed(settings: Settings, program: str = PROGRAM, **environment: str) -> str:
    where = {"PENAPISAN_DATA_DIR": str(settings.data_dir)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=where | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


def test_without_an_endpoint_nothing_is_imported(settings: Settings) -> None:
    assert printed(settings) == "False\n"


def test_without_the_packages_the_service_runs_and_says_so(settings: Settings) -> None:
    missing = f"import sys; sys.modules['opentelemetry.sdk'] = None\n{PROGRAM}"
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    said = printed(settings, missing, **environment)
    assert "pip install 'penapisan[telemetry]'" in said


def test_spans_reach_the_endpoint_of_the_environment(settings: Settings) -> None:
    bodies: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        printed(settings, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        server.shutdown()
        thread.join()
    (resource,) = ExportTraceServiceRequest.FromString(bodies[0]).resource_spans
    names = [span.name for scope in resource.scope_spans for span in scope.spans]
    assert names == ["GET /livez"]
    held = {entry.key: entry.value.string_value for entry in resource.resource.attributes}
    assert held["service.name"] == "penapisan"

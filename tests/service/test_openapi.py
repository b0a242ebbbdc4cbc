"""The OpenAPI document, and that the service keeps to it whatever it is sent."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from openapi_spec_validator import validate
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from service.app import create_app
from service.auth import Role
from service.cases.opening import open_cases
from service.db import Database
from service.settings import Settings
from tests.builders import FakeScorer
from tests.service.building import AT, store_post
from tests.service.serving import key_of, listening

CASES = 40
LEAST_CASES = 2500
"""On each of the two databases."""

# A ruling can contradict itself, a key can be used twice, a file can be no export: no schema tells
# that beforehand.
WITH_RULES = [
    *("score_posts", "decide_case", "decide_cluster", "settle_case", "make_gold"),
    *("draft_notice", "import_file"),
]
ACCEPTED = ["2xx", "401", "403", "404", "409", "422"]
REFUSED = ["400", "401", "403", "404", "405", "409", "413", "415", "422"]

CONFIG: dict[str, Any] = {
    "seed": 1,
    "continue-on-failure": True,
    "generation": {"max-examples": 10, "deterministic": True, "database": "none"},
    "checks": {"negative_data_rejection": {"expected-statuses": REFUSED}},
    "operations": [
        {
            "include-operation-id": WITH_RULES,
            "checks": {"positive_data_acceptance": {"expected-statuses": ACCEPTED}},
        }
    ],
}


def fill(database: Database) -> None:
    with database.session() as session:
        for number in range(1, CASES + 1):
            post = store_post(session, number, channel_id=f"c{number % 5}")
            open_cases(session, [post], at=AT)


def find_keys(client: TestClient, database: Database) -> dict[str, dict[str, str]]:
    """For each operation the key of the first role whom it does not refuse, administrator first."""
    order = (Role.ADMINISTRATOR, *(role for role in Role if role != Role.ADMINISTRATOR))
    keys = [key_of(database, role) for role in order]
    found = {}
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for method in operations:
            answers = (
                client.request(method, re.sub(r"{\w+}", "1", path), headers=key) for key in keys
            )
            held = (
                key for key, answer in zip(keys, answers, strict=True) if answer.status_code != 403
            )
            found[f"{method.upper()} {path}"] = next(held, keys[0])
    return found


class Found:
    """What a run of all phases saw."""

    def __init__(self) -> None:
        self.cases = 0
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.failures: dict[str, str] = {}
        self.errors: list[str] = []

    def note(self, event: events.EngineEvent) -> None:
        if isinstance(event, events.NonFatalError):
            self.errors.append(f"{event.label}: {event.value}")
        if not isinstance(event, events.ScenarioFinished):
            return
        recorder = event.recorder
        self.cases += len(recorder.interactions)
        for number, interaction in recorder.interactions.items():
            if interaction.response is not None:
                operation = recorder.cases[number].value.operation.label
                self.statuses[operation, interaction.response.status_code] += 1
        for checks in recorder.checks.values():
            for check in checks:
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    name = f"{failure.operation} {check.name}: {failure.title}"
                    words = f"{failure.message}\n{check.failure_info.code_sample}"
                    self.failures.setdefault(name, words[:3000])


def run(settings: Settings, database: Database) -> Found:
    fill(database)
    found = Found()
    app = create_app(settings, FakeScorer())
    with TestClient(app) as client:
        keys = find_keys(client, database)

        async def started(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                raise NotImplementedError("the application was started above")
            await app(scope, receive, send)

        config = SchemathesisConfig.from_dict(CONFIG)
        schema = schemathesis.openapi.from_asgi("/openapi.json", started, config=config)

        @schema.auth(refresh_interval=None)
        class Held:
            def get(self, case: Any, context: Any) -> dict[str, str]:
                return keys[case.operation.label]

            def set(self, case: Any, data: dict[str, str], context: Any) -> None:
                case.headers.update(data)

        for event in from_schema(schema).execute():
            found.note(event)
    return found


def test_whatever_is_sent_is_answered_as_documented(settings: Settings, database: Database) -> None:
    found = run(settings, database)
    assert found.errors == []
    assert found.failures == {}
    assert found.cases >= LEAST_CASES


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings(), FakeScorer()).openapi()


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        operation for operations in document["paths"].values() for operation in operations.values()
    ]


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)


def test_every_operation_has_a_name_of_its_own_a_known_tag_and_problems_for_errors(
    document: dict[str, Any],
) -> None:
    names = [operation["operationId"] for operation in operations(document)]
    assert len(names) == len(set(names))
    assert {"score_posts", "claim_case", "decide_case"} <= set(names)
    described = {tag["name"] for tag in document["tags"]}
    for operation in operations(document):
        assert set(operation["tags"]) <= described, operation["operationId"]
        errors = [answer for status, answer in operation["responses"].items() if status >= "4"]
        assert errors
        for answer in errors:
            assert list(answer["content"]) == ["application/problem+json"], operation["operationId"]


def test_what_needs_a_key_says_so(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert schemes["key"]["scheme"] == "bearer"
    assert schemes["keyHeader"]["name"] == "X-API-Key"
    assert schemes["session"]["in"] == "cookie"
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if path.startswith("/v1/cases"):
                assert {name for way in operation["security"] for name in way} == set(schemes)
    assert "security" not in document["paths"]["/livez"]["get"]


def test_a_generator_makes_a_client_that_scores(
    settings: Settings, database: Database, document: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / "config.yaml").write_text("post_hooks: []\n")
    arguments = ["--path", "openapi.json", "--meta", "none", "--output-path", "generated"]
    run_in(
        tmp_path,
        "-m",
        "openapi_python_client",
        "generate",
        *arguments,
        "--config",
        "config.yaml",
        "--fail-on-warning",
    )
    key = key_of(database, Role.SUBMITTER)["Authorization"]
    with listening(settings) as url:
        printed = run_in(tmp_path, "-c", PROGRAM, url, key)
    assert printed.split() == ["clear", "api:7:1", "422", "/posts/0/text"]


def run_in(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


PROGRAM = """
import sys
from generated import AuthenticatedClient
from generated.api.scoring import score_posts
from generated.models import PostIn, Problem, ScoreAnswer, ScoreRequest

url, authorization = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=authorization.removeprefix("Bearer "))
post = PostIn(text="selamat pagi", channel_id="7", message_id="1")
answer = score_posts.sync(client=client, body=ScoreRequest(posts=[post]))
assert isinstance(answer, ScoreAnswer), answer
problem = score_posts.sync(client=client, body=ScoreRequest(posts=[PostIn(text="")]))
assert isinstance(problem, Problem), problem
print(answer.results[0].band, answer.results[0].key, problem.status, problem.errors[0].pointer)
"""

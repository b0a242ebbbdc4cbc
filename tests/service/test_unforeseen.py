"""An error that nobody foresaw: a clear answer, and nothing of a post in the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

import pytest

from screening.types import Score
from service.auth import Role
from service.db import Database
from service.settings import Settings
from tests.builders import FakeScorer
from tests.service.serving import key_of, served

TEXT = "kata yang tidak boleh masuk log"


class Broken(FakeScorer):
    def score(self, texts: Sequence[str]) -> list[Score]:
        raise LookupError(f"no idea about {texts[0]}")


def test_an_unforeseen_error_is_a_problem_with_a_request_id_and_logs_no_text(
    settings: Settings, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    headers = key_of(database, Role.SUBMITTER)
    with caplog.at_level(logging.INFO), served(settings, Broken()) as client:
        answer = client.post("/v1/score", json={"posts": [{"text": TEXT}]}, headers=headers)
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["title"] == "Internal error"
    assert TEXT not in answer.text
    assert TEXT not in caplog.text
    noted = [json.loads(r.getMessage()) for r in caplog.records if r.levelno == logging.ERROR]
    assert [(row["request"], row["error"]) for row in noted] == [
        (answer.headers["X-Request-ID"], "LookupError")
    ]

"""Shapes other clients speak; fields as their references name them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from openai import OpenAI
from sqlalchemy import func, select

from models.release import OUTPUTS
from screening.taxonomy import LABEL_IDS
from service.auth import Role
from service.db import Database
from service.settings import Settings
from service.tables import PostRow
from tests.service.serving import key_of, served


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, gold_share=0, audit_share=0)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with served(settings) as client:
        client.headers.update(key_of(Database(settings), Role.SUBMITTER))
        yield client


def stored_posts(settings: Settings) -> int:
    with Database(settings).reading() as session:
        return session.scalar(select(func.count()).select_from(PostRow)) or 0


def test_the_official_openai_client_moderates(client: TestClient, settings: Settings) -> None:
    key = client.headers["Authorization"].removeprefix("Bearer ")
    openai = OpenAI(api_key=key, base_url="http://testserver/v1", http_client=client)
    answer = openai.moderations.create(input=["xxxxx bbb", "selamat pagi"])
    assert answer.model == "fake-1"
    assert [result.flagged for result in answer.results] == [True, False]
    hit: dict[str, Any] = answer.results[0].to_dict()
    assert hit["category_scores"]["terrorism"] == round(5 / 9, 6)
    assert hit["categories"]["terrorism"] is True
    assert hit["categories"]["financing"] is False
    assert set(hit["categories"]) == {"terrorism", *LABEL_IDS}
    assert set(hit["category_applied_input_types"]) == set(hit["categories"])
    assert stored_posts(settings) == 2


@pytest.mark.parametrize(
    ("given", "results"),
    [
        ("satu", 1),
        (["satu", "dua"], 2),
        ([{"type": "text", "text": "satu"}, {"type": "text", "text": "dua"}], 1),
    ],
)
def test_each_form_of_input_is_read(client: TestClient, given: object, results: int) -> None:
    answer = client.post("/v1/moderations", json={"input": given, "model": "whatever"})
    assert len(answer.json()["results"]) == results


def test_perspective_attributes_and_spans(client: TestClient, settings: Settings) -> None:
    sent = {
        "comment": {"text": "yang xxxx ini"},
        "requestedAttributes": {"TERRORISM": {}, "FINANCING": {"scoreThreshold": 0.5}},
        "spanAnnotations": True,
        "clientToken": "t1",
        "doNotStore": True,
    }
    answer = client.post("/v1alpha1/comments:analyze", json=sent)
    share = round(4 / 13, 6)
    value = {"value": share, "type": "PROBABILITY"}
    assert answer.json() == {
        "attributeScores": {
            "TERRORISM": {
                "summaryScore": value,
                "spanScores": [{"begin": 5, "end": 6, "score": value}],
            }
        },
        "languages": ["id"],
        "clientToken": "t1",
    }
    assert stored_posts(settings) == 0


def test_an_unknown_attribute_is_named(client: TestClient) -> None:
    sent = {"comment": {"text": "a"}, "requestedAttributes": {"RUDENESS": {}}}
    answer = client.post("/v1alpha1/comments:analyze", json=sent)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/requestedAttributes"
    assert "'RUDENESS' is unknown" in answer.json()["detail"]


def test_open_inference_protocol(client: TestClient) -> None:
    assert client.get("/v2/health/live").status_code == 200
    assert client.get("/v2/health/ready").status_code == 200
    assert client.get("/v2").json()["name"] == "penapisan"
    assert client.get("/v2/models/penapisan").json()["versions"] == ["fake-1"]
    assert client.get("/v2/models/penapisan/versions/fake-1/ready").status_code == 200
    assert client.get("/v2/models/other").status_code == 404
    tensor = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["xx", "b"]}
    answer = client.post("/v2/models/penapisan/infer", json={"id": "7", "inputs": [tensor]})
    body = answer.json()
    (output,) = body.pop("outputs")
    assert body == {"model_name": "penapisan", "model_version": "fake-1", "id": "7"}
    assert output["shape"] == [2, len(OUTPUTS)]
    assert output["datatype"] == "FP32"
    rows = [output["data"][: len(OUTPUTS)], output["data"][len(OUTPUTS) :]]
    assert [row[OUTPUTS.index("terrorism")] for row in rows] == [1.0, 0.0]


def test_health_metrics_and_request_ids(client: TestClient) -> None:
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200
    answer = client.post("/v1/score", json={"posts": [{"text": "xxxx"}, {"text": "pagi"}]})
    assert answer.headers["x-request-id"].startswith("req_")
    text = client.get("/metrics").text
    assert 'penapisan_posts_total{band="urgent",release="fake-1"} 1.0' in text
    assert 'penapisan_posts_total{band="clear",release="fake-1"} 1.0' in text
    assert 'penapisan_requests_total{route="/v1/score",status="200"} 1.0' in text
    assert "penapisan_queued_cases 1.0" in text
    assert "penapisan_batch_posts_sum 2.0" in text


def test_the_log_names_route_and_status_and_never_text(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="penapisan.requests"):
        client.post("/v1/score", json={"posts": [{"text": "rahasia besar xxxx"}]})
        client.get("/rahasia")
    assert '"route": "/v1/score", "status": 200' in caplog.text
    assert '"route": "unknown", "status": 404' in caplog.text
    assert "rahasia" not in caplog.text

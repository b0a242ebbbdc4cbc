"""What an operator's dashboard is drawn from."""

from __future__ import annotations

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from service.app import create_app
from service.auth import Role
from service.cases.opening import open_cases
from service.db import Database
from service.settings import Settings
from tests.builders import FakeScorer
from tests.service.building import AT, store_post
from tests.service.serving import key_of

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(client: TestClient) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name.removeprefix("penapisan_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_requests_batches_bands_the_queue_and_the_release_are_shown(
    settings: Settings, database: Database
) -> None:
    with database.session() as session:
        open_cases(session, [store_post(session, 1)], at=AT)
    headers = key_of(database, Role.SUBMITTER)
    with TestClient(create_app(settings, FakeScorer())) as client:
        for posts in ([{"text": "pagi"}], [{"text": "xxxx"}, {"text": "siang"}]):
            client.post("/v1/score", json={"posts": posts}, headers=headers)
        client.post("/v1/score", json={"posts": []}, headers=headers)
        client.get("/rahasia")
        seen = samples(client)
    route = "/v1/score"
    assert seen[key("requests_total", route=route, status="200")] == 2
    assert seen[key("requests_total", route=route, status="422")] == 1
    assert seen[key("requests_total", route="unknown", status="404")] == 1
    assert seen[key("request_seconds_count", route=route)] == 3
    assert seen[key("request_seconds_sum", route=route)] > 0
    assert seen[key("batch_posts_count")] == 2
    assert seen[key("batch_posts_sum")] == 3
    assert seen[key("scoring_seconds_total")] > 0
    assert seen[key("posts_total", band="clear", release="fake-1")] == 2
    assert seen[key("posts_total", band="urgent", release="fake-1")] == 1
    assert seen[key("queued_cases")] == 2
    assert seen[key("oldest_case_seconds")] > 0
    assert seen[key("waiting_posts")] == 0
    assert seen[key("unwritten_posts")] == 0
    assert seen[key("release_info", release="fake-1", policy="fake-1")] == 1
    assert not any("rahasia" in str(name) for name in seen)


def test_an_empty_queue_has_no_oldest_case(settings: Settings, database: Database) -> None:
    with TestClient(create_app(settings, FakeScorer())) as client:
        seen = samples(client)
    assert (seen[key("queued_cases")], seen[key("oldest_case_seconds")]) == (0, 0)

"""An export sent, scored in the background and fetched: on SQLite and PostgreSQL."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from service import audit
from service.auth import Role
from service.db import Database
from service.settings import Settings
from service.tables import Case, Content, Job, PostRow, ScoreRow
from tests.service.exports.sending import (
    HIT,
    SAMPLE,
    ended,
    jsonl,
    kept_files,
    posts,
    result_rows,
    send,
)
from tests.service.serving import count, key_of, served


@pytest.fixture
def client(settings: Settings, database: Database) -> Iterator[TestClient]:
    with served(settings) as client:
        client.headers.update(key_of(database, Role.SUBMITTER))
        yield client


def zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ChatExport/result.json", content)
    return packed.getvalue()


def csv_of(export: bytes) -> bytes:
    rows = ["id,teks"]
    for message in json.loads(export)["messages"]:
        if message["type"] == "message" and isinstance(message["text"], str) and message["text"]:
            rows.append(f"{message['id']},{json.dumps(message['text']).replace(chr(92), '')}")
    return "\n".join(rows).encode()


def test_an_export_is_scored_stored_and_opens_cases(client: TestClient, database: Database) -> None:
    answer = client.post("/v1/exports", params={"name": "kanal.jsonl"}, content=posts(150))
    assert answer.status_code == 202
    job = ended(client, answer.headers["Location"].rpartition("/")[2])
    assert job == {
        **answer.json(),
        "state": "done",
        "name": "kanal.jsonl",
        "release": "fake-1",
        "posts": 150,
        "hits": 15,
        "bytes_read": job["bytes_total"],
        "finished_at": job["finished_at"],
    }
    assert job["bytes_total"] == len(posts(150))
    assert count(database, PostRow) == count(database, ScoreRow) == 150
    with database.reading() as session:
        cases = session.scalars(select(Case).where(Case.kind == "content")).all()
        assert {case.channel_id for case in cases} == {"7"}
        actions = [entry.action for entry in audit.entries(session)]
        assert actions == ["key.create", "export.submit", *["posts.submit"] * 3, "export.done"]
        assert audit.verify(session) is None


def test_an_export_opens_the_cases_that_single_requests_open(
    client: TestClient, database: Database
) -> None:
    def cases(channel: str) -> set[tuple[Any, ...]]:
        with database.reading() as session:
            columns = (Case.kind, Case.subject, Case.band, Case.reach, Case.came_by)
            found = session.execute(select(*columns).where(Case.channel_id == channel))
            return {tuple(row) for row in found if row.kind == "content"}

    rows = [json.loads(line) for line in posts(120).splitlines()]
    sent = {"posts": [row | {"channel_id": "8"} for row in rows]}
    assert client.post("/v1/score", json=sent).status_code == 200
    assert ended(client, send(client, posts(120)))["state"] == "done"
    assert len(cases("7")) == 12
    assert cases("7") == cases("8")


def test_an_export_sent_again_stores_nothing_twice(client: TestClient, database: Database) -> None:
    ended(client, send(client, posts(100)))
    before = [count(database, table) for table in (PostRow, Content, ScoreRow, Case)]
    again = ended(client, send(client, posts(100)))
    assert (again["posts"], again["hits"]) == (100, 10)
    assert [count(database, table) for table in (PostRow, Content, ScoreRow, Case)] == before


@pytest.mark.parametrize("pack", [bytes, zipped, gzip.compress, csv_of])
def test_whatever_the_readers_read_is_taken(client: TestClient, pack: Any) -> None:
    job = ended(client, send(client, pack(SAMPLE.read_bytes()), username="@kanal_contoh"))
    assert job["state"] == "done"
    assert job["posts"] == len(result_rows(client, job["id"])) > 250
    if pack is not csv_of:
        assert job["skipped"]["service"] > 0


def test_what_was_mended_is_counted(client: TestClient) -> None:
    export = b'{"name": "Kanal", "type": "public_channel", "id": 7, "messages": ['
    export += b'{"id": 1, "type": "message", "date_unixtime": "1700000000", "text": "pagi\x01"},'
    export += b'{"id": 2, "type": "message", "date_unixtime": "1700000001", "text": "si'
    job = ended(client, send(client, export))
    assert (job["state"], job["posts"]) == ("done", 1)
    assert job["repaired"] == {"control_byte": 1, "truncated_tail": 1}


def test_the_result_comes_in_three_formats(client: TestClient, tmp_path: Path) -> None:
    job_id = send(client, posts(90))
    ended(client, job_id)
    rows = result_rows(client, job_id)
    assert [row["message_id"] for row in rows] == [str(n) for n in range(90)]
    assert rows[0]["band"] == "review"
    for suffix in ("csv", "parquet"):
        answer = client.get(f"/v1/jobs/{job_id}/result", params={"format": suffix})
        assert f'filename="scores-{job_id[:8]}.{suffix}"' in answer.headers["content-disposition"]
        path = tmp_path / f"r.{suffix}"
        path.write_bytes(answer.content)
        is_csv = suffix == "csv"
        table = pyarrow.csv.read_csv(path) if is_csv else pyarrow.parquet.read_table(path)
        assert table.column("score").to_pylist() == [row["score"] for row in rows]
    part = client.get(f"/v1/jobs/{job_id}/result", headers={"Range": "bytes=0-9"})
    assert (part.status_code, len(part.content)) == (206, 10)


def test_odd_metadata_does_not_block_an_export(client: TestClient, database: Database) -> None:
    odd = {
        "text": f"{HIT} \x00",
        "channel_id": "a" * 300,
        "message_id": "m\x00",
        "channel_name": "n\x00" * 600,
        "author_id": "b\x00",
        "permalink": "https://t.me/" + "c" * 3000,
        "posted_at": "0001-01-01T00:00:00Z",
        "platform": "Pesbuk\x00 Lama",
    }
    dates = ["1969-12-31T23:59:59Z", "2999-01-01T00:00:00Z", "soon"]
    export = jsonl([odd, *({"text": f"pagi {date}", "posted_at": date} for date in dates)])
    job = ended(client, send(client, export))
    assert (job["state"], job["posts"], job["repaired"]) == ("done", 4, {"bad_date": 1})
    with database.reading() as session:
        row = session.scalars(select(PostRow).where(PostRow.platform == "pesbuk--lama")).one()
        assert row.channel_id.startswith("sha256:")
        assert row.message_id.startswith("sha256:")
        assert row.channel_name == ("n\ufffd" * 600)[:512]
        assert (row.permalink, row.posted_at) == (None, None)
        years = session.scalars(select(PostRow.posted_at).where(PostRow.posted_at.is_not(None)))
        assert sorted(moment.year for moment in years if moment) == [1969, 2999]
    assert result_rows(client, job["id"])[0]["channel_id"] == "a" * 300


def test_only_the_sender_and_those_who_read_all_see_a_job(
    client: TestClient, database: Database
) -> None:
    job_id = send(client, posts(10), name="rahasia.jsonl")
    ended(client, job_id)
    paths = (f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/result")
    expected = {
        Role.SUBMITTER: 404,
        Role.ADMINISTRATOR: 404,
        Role.REVIEWER: 403,
        Role.SENIOR: 200,
        Role.APPROVER: 200,
        Role.AUDITOR: 200,
    }
    for role, status in expected.items():
        headers = key_of(database, role)
        for path in paths:
            answer = client.get(path, headers=headers)
            assert answer.status_code == status, (role, path)
            assert status == 200 or "rahasia" not in answer.text
        if role in {Role.REVIEWER, Role.SENIOR, Role.APPROVER, Role.AUDITOR}:
            sent = client.post("/v1/exports", content=posts(1), headers=headers)
            assert sent.status_code == 403
    with database.reading() as session:
        reads = [e for e in audit.entries(session) if e.action == "export.read"]
        assert len({entry.actor for entry in reads}) == 3
        assert {entry.subject for entry in reads} == {f"job:{job_id}"}


def test_a_job_that_is_not_done_has_no_result(client: TestClient) -> None:
    unknown = "0" * 32
    assert client.get(f"/v1/jobs/{unknown}").status_code == 404
    assert client.get(f"/v1/jobs/{unknown}/result").status_code == 404
    assert client.get("/v1/jobs/..%2f..%2fetc").status_code in {404, 422}
    job_id = send(client, b'{"text": "  "}\n')
    job = ended(client, job_id)
    assert job["error"] == {
        "type": "about:blank",
        "title": "Invalid content",
        "status": 422,
        "detail": "export: no posts with text found",
        "errors": [],
    }
    refused = client.get(f"/v1/jobs/{job_id}/result")
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"


def test_an_idempotency_key_makes_one_job_of_two_uploads(
    client: TestClient, database: Database, settings: Settings
) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = client.post("/v1/exports", content=posts(20), headers=headers)
    ended(client, first.json()["id"])
    files = kept_files(settings)
    again = client.post("/v1/exports", content=posts(20), headers=headers)
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    for other in ({"content": posts(21)}, {"content": posts(20), "params": {"name": "b"}}):
        refused = client.post("/v1/exports", headers=headers, **other)
        assert refused.status_code == 422
        assert "another request" in refused.json()["detail"]
    assert count(database, Job) == 1
    assert kept_files(settings) == files


def test_only_results_are_kept_of_a_job_that_is_done(
    client: TestClient, settings: Settings
) -> None:
    ended(client, send(client, posts(10)))
    assert kept_files(settings) == ["scores.csv", "scores.jsonl", "scores.parquet"]


def test_text_is_stored_sealed_and_once_for_each_content(
    client: TestClient, database: Database
) -> None:
    rows = [{"text": HIT, "channel_id": "7", "message_id": str(n)} for n in range(70)]
    ended(client, send(client, jsonl([*rows, {**rows[0], "channel_id": "8"}])))
    assert (count(database, Content), count(database, PostRow)) == (1, 71)
    with database.reading() as session:
        cases = session.scalars(select(Case).where(Case.kind == "content")).all()
        assert sorted((case.channel_id, case.reach) for case in cases) == [("7", 70), ("8", 1)]

"""Sends an export in a test and waits for its job."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import func, select

from service import audit
from service.db import Database
from service.settings import Settings
from service.tables import Case, CasePost, PostRow

HIT = "xxxxxxxx bb"


def unlike(number: int, *, is_hit: bool) -> str:
    """A text that no other is a near-duplicate of."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return "x" * 60 + " " + digest if is_hit else digest


def jsonl(rows: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def posts(count: int) -> bytes:
    """Posts of one channel; every tenth is a hit."""
    return jsonl(
        {
            "platform": "telegram",
            "channel_id": "7",
            "message_id": str(n),
            "text": unlike(n, is_hit=n % 10 == 0),
        }
        for n in range(count)
    )


def send(client: TestClient, content: bytes, **query: str) -> str:
    """The id of the new job."""
    answer = client.post("/v1/exports", params=query, content=content)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def read(client: TestClient, job_id: str) -> dict[str, Any]:
    answer = client.get(f"/v1/jobs/{job_id}")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def ended(client: TestClient, job_id: str) -> dict[str, Any]:
    """The job once it is done or failed."""
    for _ in range(6000):
        job = read(client, job_id)
        if job["state"] in {"done", "failed"}:
            return job
        time.sleep(0.01)
    raise AssertionError(f"the job is {job['state']} after a minute")


def kept_files(settings: Settings) -> list[str]:
    """Every file of every job."""
    root = settings.data_dir / "exports"
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def result_rows(client: TestClient, job_id: str) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/jobs/{job_id}/result")
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def assert_stored_once(database: Database, number: int) -> None:
    """All of ``posts(number)`` are stored, each by one audited transaction, each hit in a case."""
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(PostRow)) == number
        submitted = [e.detail for e in audit.entries(session) if e.action == "posts.submit"]
        assert sum(detail["posts"] for detail in submitted) == number
        content_cases = select(func.count()).select_from(Case).where(Case.kind == "content")
        assert session.scalar(content_cases) == -(-number // 10)
        attached = select(func.count()).select_from(CasePost).join(Case)
        assert session.scalar(attached.where(Case.kind == "content")) == -(-number // 10)
        assert audit.verify(session) is None


SAMPLE = Path(__file__).parents[2] / "data" / "telegram_export" / "result.json"

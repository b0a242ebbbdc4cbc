"""What the export endpoints answer."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from service.errors import InsufficientStorage, ServiceError, Unprocessable
from service.problems import Problem
from service.tables import Job

Format = Literal["jsonl", "csv", "parquet"]
_TITLES = {kind.status: kind.title for kind in (InsufficientStorage, Unprocessable, ServiceError)}


class JobOut(BaseModel):
    """How far a job is. ``posts`` are scored and stored, ``hits`` of them reached review."""

    id: str
    kind: str
    state: Literal["queued", "running", "done", "failed"]
    name: str = Field(description="The file's name as given; empty once its files were removed")
    release: str | None
    posts: int
    hits: int
    bytes_total: int
    bytes_read: int
    skipped: dict[str, int] = Field(description="What holds no post to score, by reason")
    repaired: dict[str, int] = Field(description="What was mended on the way, by kind")
    notes: list[str]
    error: Problem | None = Field(description="Why the job failed")
    created_at: datetime
    finished_at: datetime | None
    removed_at: datetime | None = Field(description="When the results' retention ended")


def to_answer(job: Job) -> JobOut:
    error = None
    if job.error is not None:
        status = job.error_status or 500
        error = Problem(title=_TITLES[status], status=status, detail=job.error)
    return JobOut.model_validate(
        {
            "id": job.id,
            "kind": job.kind,
            "state": job.state,
            "name": job.name,
            "release": job.release,
            "posts": job.posts,
            "hits": job.hits,
            "bytes_total": job.bytes_total,
            "bytes_read": job.bytes_read,
            "skipped": job.report.get("skipped", {}),
            "repaired": job.report.get("repaired", {}),
            "notes": job.report.get("notes", []),
            "error": error,
            "created_at": job.created_at,
            "finished_at": job.finished_at,
            "removed_at": job.purged_at,
        }
    )

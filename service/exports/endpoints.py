"""Whole exports over HTTP: sent in one go, scored in the background, fetched when done."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from starlette.requests import ClientDisconnect

from service.auth import Permission, Principal
from service.dependencies import DatabaseDep, SettingsDep, require
from service.errors import BadRequest, Uncertain
from service.exports import service
from service.exports.folders import JobFolder, receive
from service.exports.schemas import Format, JobOut, to_answer
from service.exports.service import Options, Received
from service.exports.worker import Worker
from service.scoring.endpoints import REPLAYED, IdempotencyKey, RoomDep, Scoring

router = APIRouter(prefix="/v1", tags=["exports"])

Watching = Annotated[Principal, Depends(require(Permission.SCORE, Permission.READ_ALL))]
JobId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]

MEDIA_TYPES: dict[Format, str] = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}

BINARY = {"schema": {"type": "string", "format": "binary"}}


@router.post(
    "/exports",
    status_code=202,
    response_model=JobOut,
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/octet-stream": BINARY}}
    },
)
async def upload_export(
    request: Request,
    who: Scoring,
    room: RoomDep,
    response: Response,
    name: Annotated[str, Query(min_length=1, max_length=256)] = "export",
    username: Annotated[
        str | None, Query(max_length=64, description="The channel's public name, for links")
    ] = None,
    columns: Annotated[
        str | None,
        Query(max_length=2000, description="A table's columns: text=isi,posted_at=tanggal"),
    ] = None,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Send an export as the request's body: Telegram Desktop JSON or a .zip of its folder, a
    Telethon or tdl dump, JSONL, CSV or Parquet. It is scored in the background, stored, and its
    hits open cases as those of ``POST /v1/score`` do.

    What is acknowledged is done, whatever happens to the server. An upload that breaks off leaves
    nothing.
    """
    if request.headers.get("Content-Type", "").startswith("multipart/"):
        raise BadRequest("send the file itself as the body, not a form (curl -T FILE)")
    options = Options.checked(name, username, columns)
    await run_in_threadpool(service.check_may_send, room, who)
    body, is_replayed = await _accepted(request, who, room, options, idempotency_key)
    if is_replayed:
        response.headers[REPLAYED] = "true"
    cast(Worker, request.app.state.worker).wake()
    response.headers["Location"] = f"/v1/jobs/{body['id']}"
    return body


async def _accepted(
    request: Request, who: Principal, room: RoomDep, options: Options, key: str | None
) -> tuple[dict[str, Any], bool]:
    job_id = service.new_id()
    folder = JobFolder(room.settings.data_dir, job_id)
    try:
        n_bytes, sha256 = await receive(
            request.stream(),
            folder,
            expected_bytes=_given_length(request),
            spare_bytes=room.settings.spare_bytes,
        )
    except ClientDisconnect as error:
        raise BadRequest("the upload broke off; nothing of it was kept") from error
    try:
        await run_in_threadpool(service.check_readable, folder.upload, options)
        upload = Received(job_id, n_bytes, sha256)
        answer, is_replayed = await run_in_threadpool(
            service.accept, room, who, upload, options, key
        )
    except Uncertain:
        raise  # the job may be there, and then it needs its upload
    except BaseException:
        folder.remove()
        raise
    if is_replayed:
        folder.remove()
    return answer, is_replayed


def _given_length(request: Request) -> int:
    given = request.headers.get("Content-Length", "")
    return int(given) if given.isdecimal() else 0


@router.get("/jobs/{job_id}")
def read_job(who: Watching, database: DatabaseDep, job_id: JobId) -> JobOut:
    """How far a job of yours is; auditors and others who read all see every job."""
    with database.reading() as session:
        return to_answer(service.find_job(session, who, job_id))


@router.get(
    "/jobs/{job_id}/result",
    response_class=FileResponse,
    responses={200: {"content": dict.fromkeys(MEDIA_TYPES.values(), BINARY)}},
)
def download_result(
    who: Watching,
    database: DatabaseDep,
    settings: SettingsDep,
    job_id: JobId,
    format: Annotated[Format, Query()] = "jsonl",  # noqa: A002
) -> FileResponse:
    """The scores of a job that is done: one row a post, in the order of the export."""
    path = service.open_result(database, settings, who, job_id, format)
    return FileResponse(
        path, media_type=MEDIA_TYPES[format], filename=f"scores-{job_id[:8]}.{format}"
    )

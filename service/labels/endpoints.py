"""Labels from elsewhere over HTTP; larger files go through `penapisan labels import`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from service.auth import Permission, Principal
from service.db import now
from service.dependencies import DatabaseDep, SealerDep, SettingsDep, require
from service.errors import TooLarge, Unprocessable
from service.labels.importing import Differing, Format, Source, import_labels
from service.labels.pseudonyms import Pseudonyms

router = APIRouter(prefix="/v1/labels", tags=["labels"])

Settling = Annotated[Principal, Depends(require(Permission.SETTLE))]
Name = Annotated[str, Query(min_length=1, max_length=128)]

BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
"""The file as it is, whatever its content type says: ``format`` tells what it is."""


class ImportOut(BaseModel):
    """What was added or, in a dry run, would be. ``faults`` and ``conflicts`` name the first 100;
    a conflict is a label on which the reviews here say otherwise, and they outrank it."""

    dry_run: bool
    rows: int
    added: int
    known: int
    annotators: int
    labels: dict[str, dict[str, int]]
    skipped: dict[str, int]
    faults: list[str]
    fault_count: int
    conflicts: list[Differing]
    conflict_count: int


async def get_body(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect as error:
        raise TooLarge("the request is larger than is taken, or was broken off") from error


@router.post("/imports", openapi_extra=BODY)
def import_file(
    who: Settling,
    database: DatabaseDep,
    settings: SettingsDep,
    sealer: SealerDep,
    body: Annotated[bytes, Depends(get_body)],
    shape: Annotated[Format, Query(alias="format")] = "label_studio_json",
    dry_run: bool = False,
    text: Annotated[Name, Query(description="The tasks' field that holds the text")] = "text",
    choices: Annotated[
        list[Name] | None, Query(description="Controls that hold choices; default: all of them")
    ] = None,
) -> ImportOut:
    """Import a Label Studio export (JSON or CSV) or labelled posts (JSONL), whole or not at all.

    The same file twice adds nothing. With ``dry_run`` nothing is added.
    """
    if not body.strip():
        raise Unprocessable("the request has no body; send the file to import")
    source = Source("body", body, shape, text, tuple(choices or ()))
    done = import_labels(
        database, sealer, Pseudonyms(settings.data_dir), source, who.id, now(), dry_run=dry_run
    )
    return ImportOut.model_validate(done, from_attributes=True)

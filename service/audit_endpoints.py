"""The audit chain over HTTP, for auditors: they read everything and write nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from service import audit
from service.auth import Permission, Principal
from service.cases.schemas import After, Limit
from service.dependencies import DatabaseDep, require

router = APIRouter(prefix="/v1/audit", tags=["audit"])

Auditing = Annotated[Principal, Depends(require(Permission.AUDIT))]


class EntryOut(BaseModel):
    sequence: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    previous: str
    sha256: str


class HeadOut(BaseModel):
    sequence: int
    sha256: str


class VerdictOut(BaseModel):
    """``fault`` names the first entry that is changed, missing or moved; null where none is."""

    entries: int
    head: str
    fault: str | None


@router.get("")
def list_entries(
    who: Auditing, database: DatabaseDep, after: After = 0, limit: Limit = 100
) -> list[EntryOut]:
    """The log, oldest first, from the entry after ``after``."""
    with database.reading() as session:
        page = audit.page_of_entries(session, after, limit)
        return [EntryOut.model_validate(entry, from_attributes=True) for entry in page]


@router.get("/head")
def read_head(who: Auditing, database: DatabaseDep) -> HeadOut:
    """The last entry's number and hash, to be noted elsewhere."""
    with database.reading() as session:
        sequence, sha256 = audit.chain_head(session)
    return HeadOut(sequence=sequence, sha256=sha256)


@router.get("/verify")
def verify_chain(who: Auditing, database: DatabaseDep) -> VerdictOut:
    """Check every link."""
    with database.reading() as session:
        fault = audit.verify(session)
        sequence, sha256 = audit.chain_head(session)
    words = fault and f"entry {fault.sequence} {fault.what}"
    return VerdictOut(entries=sequence, head=sha256, fault=words)

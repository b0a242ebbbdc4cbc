"""Notices over HTTP. No answer holds the text of a post."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from service.auth import Permission, Principal
from service.cases.schemas import After, ReasonIn
from service.db import now
from service.dependencies import DatabaseDep, SettingsDep, require
from service.labels.pseudonyms import Pseudonyms
from service.notices import report, repository, service
from service.notices.schemas import (
    DraftedOut,
    NoticeId,
    NoticeIn,
    NoticeOut,
    NoticeState,
    NoticeSummary,
    Shape,
    drafted_of,
    notice_of,
    summary_of,
)

router = APIRouter(prefix="/v1/notices", tags=["notices"])

Drafting = Annotated[Principal, Depends(require(Permission.REVIEW, Permission.APPROVE))]
Approving = Annotated[Principal, Depends(require(Permission.APPROVE))]
Reading = Annotated[
    Principal, Depends(require(Permission.REVIEW, Permission.APPROVE, Permission.READ_ALL))
]

MEDIA_TYPES: dict[Shape, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "html": "text/html; charset=utf-8",
}


@router.post("", status_code=201)
def draft_notice(
    body: NoticeIn, who: Drafting, database: DatabaseDep, settings: SettingsDep
) -> DraftedOut:
    """Draft a report of cases that were closed as violating; another person approves it."""
    names = Pseudonyms(settings.data_dir)
    with database.session() as session:
        return drafted_of(service.draft(session, who, body.selection(), settings, names.of, now()))


@router.get("")
def list_notices(
    who: Reading,
    database: DatabaseDep,
    state: Annotated[NoticeState | None, Query()] = None,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> list[NoticeSummary]:
    """Notices by id: all, or your drafts if your role does not read everything."""
    drafter = None if who.may(Permission.READ_ALL) else who.id
    with database.reading() as session:
        page = repository.page_of_notices(
            session, state=state, drafter=drafter, after_id=after, limit=limit
        )
        return [summary_of(whole) for whole in page]


@router.get("/{notice_id}")
def read_notice(notice_id: NoticeId, who: Reading, database: DatabaseDep) -> NoticeOut:
    """What a notice says, in whatever state; the report itself is below."""
    with database.reading() as session:
        return notice_of(service.readable_notice(session, who, notice_id))


@router.post("/{notice_id}/approve")
def approve_notice(
    notice_id: NoticeId, who: Approving, database: DatabaseDep, settings: SettingsDep
) -> NoticeSummary:
    """Issue a draft that you neither drafted nor reviewed a case of; signed in, not with a key."""
    names = Pseudonyms(settings.data_dir)
    with database.session() as session:
        return summary_of(service.approve(session, who, notice_id, names.of, now()))


@router.post("/{notice_id}/withdraw")
def withdraw_notice(
    notice_id: NoticeId, body: ReasonIn, who: Drafting, database: DatabaseDep
) -> NoticeSummary:
    """Take a notice back: your draft, or any as an approver. It stays on record."""
    with database.session() as session:
        return summary_of(service.withdraw(session, who, notice_id, body.reason, now()))


@router.get(
    "/{notice_id}/report",
    response_class=Response,
    responses={
        200: {
            "description": "The issued report, whose SHA-256 is over its RFC 8785 form without "
            "the member 'sha256'",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "text/csv": {"schema": {"type": "string"}},
                "text/html": {"schema": {"type": "string"}},
            },
        }
    },
)
def read_report(
    notice_id: NoticeId,
    who: Reading,
    database: DatabaseDep,
    shape: Annotated[Shape, Query(alias="format")] = "json",
) -> Response:
    """The report as it goes out; only once it is approved, and not after it was withdrawn."""
    with database.session() as session:
        whole = service.readable_notice(session, who, notice_id)
        content = service.hand_out(session, who.id, whole, shape)
    disposition = "inline" if shape == "html" else "attachment"
    headers = {
        "Content-Disposition": f'{disposition}; filename="{content["reference"]}.{shape}"',
        "Content-Security-Policy": f"{report.PAGE_POLICY}; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    body = report.RENDERERS[shape](content)
    return Response(body, media_type=MEDIA_TYPES[shape], headers=headers)

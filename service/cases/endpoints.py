"""The review queue over HTTP.

Every change is committed before it is answered, so that what was acknowledged is stored.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlalchemy.orm import Session

from service import retention
from service.auth import Permission, Principal
from service.cases import exposure, reading, repository, service
from service.cases.schemas import (
    After,
    BatchOut,
    CaseId,
    CaseOut,
    CaseSummary,
    DecisionIn,
    FenceIn,
    GoldOut,
    HeldOut,
    HoldOut,
    Kind,
    Limit,
    PauseOut,
    ReasonIn,
    ReleaseIn,
    ReopenIn,
    RulingIn,
    held_of,
    summary_of,
)
from service.cases.states import State
from service.db import now
from service.dependencies import DatabaseDep, SealerDep, SettingsDep, require
from service.tables import LegalHold

router = APIRouter(prefix="/v1", tags=["cases"])

Reviewing = Annotated[Principal, Depends(require(Permission.REVIEW))]
Settling = Annotated[Principal, Depends(require(Permission.SETTLE))]
ReadingAll = Annotated[Principal, Depends(require(Permission.READ_ALL))]
ReadingCases = Annotated[Principal, Depends(require(Permission.REVIEW, Permission.READ_ALL))]


@router.post(
    "/cases/claim",
    response_model=CaseOut,
    responses={204: {"description": "The queue has nothing for you"}},
)
def claim_case(
    who: Reviewing, database: DatabaseDep, settings: SettingsDep, sealer: SealerDep
) -> CaseOut | Response:
    """The next case, yours until its lease ends; renew it if you need longer."""
    at = now()
    with database.session() as session:
        case = service.claim(session, who, settings, at=at)
        if case is None:
            return Response(status_code=204)
        return reading.read_case(session, sealer, who, case, settings, at)


@router.get("/cases")
def list_cases(
    who: ReadingAll,
    database: DatabaseDep,
    state: Annotated[State | None, Query()] = None,
    kind: Annotated[Kind | Literal["gold"] | None, Query()] = None,
    after: After = 0,
    limit: Limit = 100,
) -> list[CaseSummary]:
    """Cases by id, without text."""
    with database.reading() as session:
        page = repository.page_of_cases(
            session, state=state, kind=kind, after_id=after, limit=limit
        )
        return [summary_of(case) for case in page]


# A number in the path itself, so that what is no case, such as /cases/claim, is none to GET either.
@router.get("/cases/{case_id:int}")
def read_case(
    case_id: CaseId,
    who: ReadingCases,
    database: DatabaseDep,
    settings: SettingsDep,
    sealer: SealerDep,
) -> CaseOut:
    """A case with its texts: one you hold, or any if your role reads everything. It is logged."""
    at = now()
    with database.session() as session:
        case = service.readable_case(session, who, case_id, at)
        return reading.read_case(session, sealer, who, case, settings, at)


@router.get("/cases/{case_id}/cluster")
def read_cluster(
    case_id: CaseId,
    who: Reviewing,
    database: DatabaseDep,
    settings: SettingsDep,
    sealer: SealerDep,
) -> list[CaseOut]:
    """Up to ten near-duplicates of a case you hold, to be seen before you decide on all."""
    at = now()
    with database.session() as session:
        case = service.held_case(session, who, case_id, at)
        members = service.cluster_members(session, who, case, at)[: reading.SHOWN_MEMBERS]
        return [reading.read_case(session, sealer, who, member, settings, at) for member in members]


@router.post("/cases/{case_id}/renew")
def renew_case(
    case_id: CaseId, body: FenceIn, who: Reviewing, database: DatabaseDep, settings: SettingsDep
) -> HeldOut:
    """The lease of a case you hold starts anew."""
    with database.session() as session:
        return held_of(service.renew(session, who, case_id, body.fence, settings, now()))


@router.post("/cases/{case_id}/release")
def release_case(
    case_id: CaseId, body: ReleaseIn, who: Reviewing, database: DatabaseDep
) -> HeldOut:
    """Give a case back to the queue, for somebody else."""
    with database.session() as session:
        return held_of(service.release(session, who, case_id, body.fence, body.reason, now()))


@router.post("/cases/{case_id}/decide")
def decide_case(
    case_id: CaseId,
    body: DecisionIn,
    who: Reviewing,
    database: DatabaseDep,
    settings: SettingsDep,
) -> HeldOut:
    """Your ruling on a case you hold; refused if the lease has ended."""
    with database.session() as session:
        ruling = body.ruling()
        return held_of(
            service.decide(session, who, case_id, body.fence, ruling, settings, at=now())
        )


@router.post("/cases/{case_id}/decide-cluster")
def decide_cluster(
    case_id: CaseId,
    body: DecisionIn,
    who: Reviewing,
    database: DatabaseDep,
    settings: SettingsDep,
) -> BatchOut:
    """One ruling on a case you hold and the near-duplicates that wait; undone for 60 seconds."""
    with database.session() as session:
        batch, cases = service.decide_cluster(
            session, who, case_id, body.fence, body.ruling(), settings, at=now()
        )
        return BatchOut(batch=batch, cases=cases)


@router.post("/batches/{batch}/undo")
def undo_batch(
    batch: Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")], who: Reviewing, database: DatabaseDep
) -> BatchOut:
    """Take your bulk decision back."""
    with database.session() as session:
        return BatchOut(batch=batch, cases=service.undo(session, who, batch, now()))


@router.post("/cases/{case_id}/settle")
def settle_case(case_id: CaseId, body: RulingIn, who: Settling, database: DatabaseDep) -> HeldOut:
    """A senior's ruling where two reviews differ."""
    with database.session() as session:
        return held_of(service.settle(session, who, case_id, body.ruling(), now()))


@router.post("/cases/{case_id}/reopen")
def reopen_case(case_id: CaseId, body: ReopenIn, who: Settling, database: DatabaseDep) -> HeldOut:
    """Put a closed case up for review again, by people who have not reviewed it."""
    with database.session() as session:
        case = service.reopen(
            session, who, case_id, body.reason, is_appeal=body.is_appeal, at=now()
        )
        return held_of(case)


@router.post("/cases/{case_id}/gold", status_code=201)
def make_gold(case_id: CaseId, body: RulingIn, who: Settling, database: DatabaseDep) -> GoldOut:
    """Make a closed case's content a gold item, with the right answer."""
    with database.session() as session:
        item = service.make_gold(session, who, case_id, body.ruling(), now())
        return GoldOut.model_validate(item, from_attributes=True)


@router.post("/cases/{case_id}/hold", status_code=201)
def place_hold(
    case_id: CaseId, body: ReasonIn, who: Settling, database: DatabaseDep
) -> list[HoldOut]:
    """Keep a case's texts beyond their period, as evidence."""
    with database.session() as session:
        holds = retention.place_hold(session, who, case_id, body.reason, now())
        return [_hold_of(hold) for hold in holds]


@router.post("/holds/{hold_id}/lift")
def lift_hold(
    hold_id: Annotated[int, Path(ge=1, le=2**53)], who: Settling, database: DatabaseDep
) -> HoldOut:
    """The text's retention period applies again."""
    with database.session() as session:
        return _hold_of(retention.lift_hold(session, who, hold_id, now()))


@router.get("/pause")
def read_pause(who: Reviewing, database: DatabaseDep, settings: SettingsDep) -> PauseOut:
    """Your pause, and how much of your shift's limit is used."""
    with database.reading() as session:
        return _pause_of(session, who, settings.shift_hours, settings.shift_texts)


@router.post("/pause/skip")
def skip_pause(
    body: ReasonIn, who: Reviewing, database: DatabaseDep, settings: SettingsDep
) -> PauseOut:
    """Cut your pause short; the reason goes on record."""
    with database.session() as session:
        exposure.skip_pause(session, who.id, body.reason, now())
        return _pause_of(session, who, settings.shift_hours, settings.shift_texts)


def _pause_of(session: Session, who: Principal, hours: int, limit: int) -> PauseOut:
    at = now()
    pause = exposure.current_pause(session, who.id, at)
    shown = exposure.shown_in_shift(session, who.id, hours, at)
    return PauseOut(until=pause and pause.until, texts_in_shift=shown, texts_limit=limit)


def _hold_of(hold: LegalHold) -> HoldOut:
    return HoldOut.model_validate(hold, from_attributes=True)

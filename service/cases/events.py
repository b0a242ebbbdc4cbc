"""A case's steps: state and append-only event, written together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from service.cases.states import State, Step, after
from service.tables import Case, CaseEvent

SYSTEM = "system"


def take_step(
    session: Session,
    case: Case,
    step: Step,
    actor: str,
    at: datetime,
    *,
    reason: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Move a case, which the caller has locked.

    Raises
    ------
    Conflict
        The step does not start from the case's state.
    """
    case.state = after(State(case.state), step).value
    note(session, case, step.value, actor, at, reason=reason, detail=detail)


def note(
    session: Session,
    case: Case,
    event: str,
    actor: str,
    at: datetime,
    *,
    reason: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Add an event that leaves the state as it is."""
    case.events += 1
    case.changed_at = at
    session.add(
        CaseEvent(
            case_id=case.id,
            number=case.events,
            at=at,
            actor=actor,
            event=event,
            state=case.state,
            reason=reason,
            release=case.release,
            detail=dict(detail or {}),
        )
    )

"""Review statistics over HTTP: no text, only numbers."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from service.auth import Permission, Principal
from service.db import now
from service.dependencies import DatabaseDep, require
from service.reviews import repository
from service.reviews.statistics import (
    Accuracy,
    Alpha,
    Kappa,
    Recall,
    accuracies,
    alphas,
    kappas,
    recalls,
)

router = APIRouter(prefix="/v1", tags=["reviews"])

ReadingAll = Annotated[Principal, Depends(require(Permission.READ_ALL))]


class AgreementOut(BaseModel):
    """Agreement, accuracy and recall since a Monday; ``undecided`` cases may still change recall.

    Second reviews are asked of all that violates and of a share of the rest, so agreement is that
    of hard cases. What cannot be estimated from so few answers is null.
    """

    since: datetime
    kappa: list[Kappa]
    alpha: list[Alpha]
    gold: list[Accuracy]
    recall: list[Recall]
    undecided_hits: int
    undecided_samples: int


@router.get("/reviews/agreement")
def read_agreement(
    who: ReadingAll,
    database: DatabaseDep,
    weeks: Annotated[
        int, Query(ge=1, le=260, description="ISO weeks up to and with this one")
    ] = 13,
) -> AgreementOut:
    """How far reviewers agree, how right they are on gold items, how much screening misses."""
    since = first_monday(now(), weeks)
    with database.reading() as session:
        opinions = repository.two_opinions(session, since)
        gold = repository.gold_opinions(session, since)
        cases = repository.screened(session, since)
    undecided = [case.is_sample for case in cases if case.ruling is None]
    return AgreementOut(
        since=since,
        kappa=kappas(opinions),
        alpha=alphas(opinions),
        gold=accuracies(gold),
        recall=recalls(cases),
        undecided_hits=undecided.count(False),
        undecided_samples=undecided.count(True),
    )


def first_monday(at: datetime, weeks: int) -> datetime:
    """The start of the first of ``weeks`` ISO weeks, the last of which holds ``at``."""
    monday = at.date() - timedelta(days=at.weekday(), weeks=weeks - 1)
    return datetime.combine(monday, time.min, at.tzinfo)

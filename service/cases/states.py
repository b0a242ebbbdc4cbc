"""States of a case, the steps between them, and its place in the queue: all declared here.

::

    new ───────claim──► claimed ──decide──► decided ──close──────► closed ──reopen──► reopened
     ▲ ◄────release────────┘                   │                                         │
     │                                         └─ask_second─► second_review    (claimed like new)
     └──undo (60 s, bulk)── closed, second_review

    second_review ──claim──► second_claimed ──close──► closed
     ▲ ◄────────────release───────┘   └────dispute──► disputed ──settle──► closed
     └──undo_second (60 s, bulk)── closed, disputed
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from service.errors import Conflict


class State(StrEnum):
    """Where a case stands."""

    NEW = "new"
    CLAIMED = "claimed"
    DECIDED = "decided"
    SECOND_REVIEW = "second_review"
    SECOND_CLAIMED = "second_claimed"
    DISPUTED = "disputed"
    CLOSED = "closed"
    REOPENED = "reopened"


class Step(StrEnum):
    """What moves a case."""

    CLAIM = "claim"
    RELEASE = "release"
    DECIDE = "decide"
    CLOSE = "close"
    ASK_SECOND = "ask_second"
    DISPUTE = "dispute"
    SETTLE = "settle"
    UNDO = "undo"
    UNDO_SECOND = "undo_second"
    REOPEN = "reopen"


TRANSITIONS: Mapping[tuple[State, Step], State] = {
    (State.NEW, Step.CLAIM): State.CLAIMED,
    (State.REOPENED, Step.CLAIM): State.CLAIMED,
    (State.CLAIMED, Step.RELEASE): State.NEW,
    (State.CLAIMED, Step.DECIDE): State.DECIDED,
    (State.DECIDED, Step.CLOSE): State.CLOSED,
    (State.DECIDED, Step.ASK_SECOND): State.SECOND_REVIEW,
    (State.SECOND_REVIEW, Step.CLAIM): State.SECOND_CLAIMED,
    (State.SECOND_CLAIMED, Step.RELEASE): State.SECOND_REVIEW,
    (State.SECOND_CLAIMED, Step.CLOSE): State.CLOSED,
    (State.SECOND_CLAIMED, Step.DISPUTE): State.DISPUTED,
    (State.DISPUTED, Step.SETTLE): State.CLOSED,
    (State.CLOSED, Step.UNDO): State.NEW,
    (State.SECOND_REVIEW, Step.UNDO): State.NEW,
    (State.CLOSED, Step.UNDO_SECOND): State.SECOND_REVIEW,
    (State.DISPUTED, Step.UNDO_SECOND): State.SECOND_REVIEW,
    (State.CLOSED, Step.REOPEN): State.REOPENED,
}

QUEUED = (State.NEW, State.REOPENED, State.SECOND_REVIEW)
"""States in which a case waits for someone to claim it."""

HELD = (State.CLAIMED, State.SECOND_CLAIMED)
"""States in which someone holds the case on a lease."""


def after(state: State, step: Step) -> State:
    """The state a step leads to.

    Raises
    ------
    Conflict
        The step is not one of the state's.
    """
    if (state, step) not in TRANSITIONS:
        raise Conflict(f"a case that is '{state}' cannot '{step.replace('_', ' ')}'")
    return TRANSITIONS[state, step]


SEVERITY: Mapping[str, float] = {
    "threat": 1.0,
    "incitement": 1.0,
    "instruction": 1.0,
    "recruitment": 0.8,
    "financing": 0.8,
    "glorification": 0.6,
    "radicalism": 0.6,
}
"""How much harm a day's delay may do, by label: harm to a person first, then help to a group, then
praise. A stated judgement, to be changed here and nowhere else."""

HALF_LIFE_HOURS = 72.0
"""A post's age halves its claim to be first so often: what is new can still be stopped."""


def priority(
    labels: Mapping[str, float], reach: int, posted_at: datetime | None, at: datetime
) -> float:
    """Severity times probability of the worst label, times reach, times freshness.

    ``reach`` counts the posts of the case and the views known of them; it enters as
    ``1 + log10(reach)``: ten times the audience is one step more. Freshness falls from 1 to 0.5;
    a post without a date counts as fresh.
    """
    worst = max(SEVERITY[label] * labels.get(label, 0.0) for label in SEVERITY)
    hours = 0.0 if posted_at is None else max(0.0, (at - posted_at).total_seconds() / 3600)
    freshness = 0.5 + 0.5 * 0.5 ** (hours / HALF_LIFE_HOURS)
    return float(worst * (1 + math.log10(max(1, reach))) * freshness)

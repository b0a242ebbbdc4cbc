"""Cases decided by two people, and notices of them."""

from __future__ import annotations

from datetime import datetime, timedelta

from service.auth import Principal, Role
from service.cases import service as cases
from service.cases.opening import open_cases
from service.cases.service import Ruling
from service.db import Database
from service.notices import service
from service.notices.repository import Whole
from service.notices.service import Selection
from service.settings import Settings
from tests.service.building import AT, VIOLATING, person, store_post

ADA, BUDI = person(1), person(2)
SENIOR = person(9, Role.SENIOR)
WATI, YUDI = person(21, Role.APPROVER), person(22, Role.APPROVER)
FLAGGER = {"flagger_name": "Lembaga Uji", "flagger_email": "lapor@example.org"}


def name_of(who: str) -> str:
    """A pseudonym that a test can foretell."""
    return f"nama-{who.removeprefix('person:')}"


def fill(database: Database, *numbers: int, **fields: object) -> None:
    """Posts with a text of their own, and their cases."""
    with database.session() as session:
        open_cases(session, [store_post(session, number, **fields) for number in numbers], at=AT)


def decide(
    database: Database, settings: Settings, who: Principal, ruling: Ruling, at: datetime = AT
) -> int:
    """``who`` rules on the next case of the queue; its id."""
    with database.session() as session:
        case = cases.claim(session, who, settings, draw=lambda: 1.0, at=at)
        assert case is not None
        cases.decide(session, who, case.id, case.fence, ruling, settings, draw=lambda: 1.0, at=at)
        return case.id


def closed(
    database: Database, settings: Settings, ruling: Ruling = VIOLATING, *, number: int = 1,
    **fields: object,
) -> int:  # fmt: skip
    """A case that Ada and Budi closed alike; its id."""
    fill(database, number, **fields)
    case = decide(database, settings, ADA, ruling)
    if ruling.is_violating:
        decide(database, settings, BUDI, ruling)
    return case


def drafted(database: Database, settings: Settings, *ids: int, who: Principal = SENIOR) -> Whole:
    with database.session() as session:
        return service.draft(session, who, Selection(ids), settings, name_of, AT).whole


def approved(database: Database, notice_id: int, who: Principal = WATI, hours: float = 1) -> Whole:
    at = AT + timedelta(hours=hours)
    with database.session() as session:
        return service.approve(session, who, notice_id, name_of, at)

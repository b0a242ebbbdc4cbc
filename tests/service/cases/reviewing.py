"""One worker process of the concurrency test: reviewers that claim and decide until all is done."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from service.cases import repository, service
from service.db import Database, now
from service.settings import Settings
from tests.service.building import LAWFUL, VIOLATING, person

VIOLATING_EACH = 10
"""Every tenth case violates, so that two people decide it."""

Claimed = tuple[int, int, str]


def review_all(settings: Settings, reviewers: list[int]) -> list[Claimed]:
    """Case, fence and reviewer of every claim of a worker's reviewers."""
    database = Database(settings)
    with ThreadPoolExecutor(len(reviewers)) as pool:
        lists = list(pool.map(lambda number: _review(database, settings, number), reviewers))
    database.close()
    return [claimed for found in lists for claimed in found]


def _review(database: Database, settings: Settings, number: int) -> list[Claimed]:
    who, claimed = person(number), []
    while True:
        with database.session() as session:
            case = service.claim(session, who, settings, at=now())
        if case is None:
            with database.reading() as session:
                waiting = set(repository.queue_counts(session)) - {"closed"}
            if not waiting:
                return claimed
            time.sleep(0.05)
            continue
        claimed.append((case.id, case.fence, who.id))
        ruling = VIOLATING if case.id % VIOLATING_EACH == 0 else LAWFUL
        with database.session() as session:
            service.decide(session, who, case.id, case.fence, ruling, settings, at=now())

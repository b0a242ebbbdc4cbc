"""Sixteen reviewers on four worker processes: no case to two at once, none lost."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from sqlalchemy import func, select

from service import audit
from service.cases.opening import open_cases
from service.db import Database
from service.settings import Settings
from service.tables import Case, CaseEvent, Review
from tests.service.building import AT, store_post
from tests.service.cases.reviewing import VIOLATING_EACH, review_all

CASES, WORKERS, REVIEWERS = 2000, 4, 16


def test_16_reviewers_on_4_workers_decide_2000_cases_on_postgresql(
    postgres_url: str, tmp_path: Path
) -> None:
    settings = Settings(
        data_dir=tmp_path,
        database_url=postgres_url,
        gold_share=0,
        second_share=0,
        pause_minutes=0,
        shift_texts=CASES,
    )
    database = Database(settings)
    with database.session() as session:
        stored = [store_post(session, n, channel_id=f"c{n}") for n in range(CASES)]
        open_cases(session, stored, at=AT)
    people = [list(range(first, REVIEWERS, WORKERS)) for first in range(WORKERS)]
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        claims = [
            claimed
            for found in pool.map(review_all, [settings] * WORKERS, people)
            for claimed in found
        ]

    second = CASES // VIOLATING_EACH
    assert len({(case, fence) for case, fence, _ in claims}) == len(claims) == CASES + second
    assert len({(case, who) for case, _, who in claims}) == len(claims)
    assert len({who for _, _, who in claims}) == REVIEWERS
    with database.reading() as session:
        states = dict(session.execute(select(Case.state, func.count()).group_by(Case.state)).all())
        assert states == {"closed": CASES}
        violating = session.scalar(select(func.count()).where(Case.is_violating))
        assert violating == second
        assert session.scalar(select(func.count(Review.id))) == CASES + second
        taken = session.scalars(select(CaseEvent.case_id).where(CaseEvent.event == "claim"))
        assert Counter(taken) == Counter(case for case, _, _ in claims)
        assert audit.verify(session) is None
    database.close()

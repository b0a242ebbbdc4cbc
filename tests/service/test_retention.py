"""What is purged when, and what a legal hold spares."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from service import audit
from service.auth import Role
from service.cases import service
from service.cases.opening import Stored, open_cases
from service.db import Database
from service.errors import Forbidden, NotFound
from service.retention import lift_hold, place_hold, purge
from service.settings import Settings
from service.tables import Answered, Case, Content, PostRow
from tests.service.building import AT, LAWFUL, person, store_post

SENIOR = person(9, Role.SENIOR)
DAY = timedelta(days=1)


def has_text(database: Database, stored: Stored) -> bool:
    with database.reading() as session:
        return session.get_one(Content, stored.post.content_sha256).sealed is not None


def close_case(session: Session, settings: Settings) -> Case:
    case = service.claim(session, person(1), settings, draw=lambda: 1.0, at=AT)
    assert case is not None
    return service.decide(
        session, person(1), case.id, case.fence, LAWFUL, settings, draw=lambda: 1.0, at=AT
    )


def test_clear_text_goes_with_its_authors_after_its_days(
    database: Database, settings: Settings
) -> None:
    with database.session() as session:
        stored = store_post(session, 1, band="clear", author_name="Ada", author_id="a")
    at = AT + settings.clear_text_days * DAY
    assert purge(database, settings, "system", at).texts == 0
    assert purge(database, settings, "system", at + DAY).texts == 1
    assert not has_text(database, stored)
    with database.reading() as session:
        post = session.get_one(PostRow, stored.post.id)
        assert (post.author_name, post.author_id, post.message_id) == (None, None, "1")
        entries = [e for e in audit.entries(session) if e.action == "retention.purge_texts"]
        assert [e.detail for e in entries] == [{"contents": [stored.post.content_sha256]}]


def test_text_of_a_case_is_kept_while_it_is_open_and_its_days_after(
    database: Database, settings: Settings
) -> None:
    with database.session() as session:
        stored = store_post(session, 1)
        open_cases(session, [stored], at=AT)
    purge(database, settings, "system", AT + 9999 * DAY)
    assert has_text(database, stored)
    with database.session() as session:
        close_case(session, settings)
    purge(database, settings, "system", AT + settings.case_text_days * DAY)
    assert has_text(database, stored)
    purge(database, settings, "system", AT + (settings.case_text_days + 1) * DAY)
    assert not has_text(database, stored)


def test_a_legal_hold_spares_evidence_until_it_is_lifted(
    database: Database, settings: Settings
) -> None:
    late = AT + 9999 * DAY
    with database.session() as session:
        stored = store_post(session, 1)
        open_cases(session, [stored], at=AT)
        case = close_case(session, settings)
        (hold,) = place_hold(session, SENIOR, case.id, "case 12/2026", AT)
    assert purge(database, settings, "system", late).texts == 0
    assert has_text(database, stored)
    with database.session() as session:
        lift_hold(session, SENIOR, hold.id, late)
        with pytest.raises(NotFound):
            lift_hold(session, SENIOR, hold.id, late)
    assert purge(database, settings, "system", late).texts == 1


def test_only_a_senior_places_a_hold(database: Database) -> None:
    with database.session() as session, pytest.raises(Forbidden):
        place_hold(session, person(1), 1, "because", AT)


def test_answers_are_forgotten_after_their_days(database: Database, settings: Settings) -> None:
    with database.session() as session:
        session.add(
            Answered(principal="key:1", key="k", request_sha256="0" * 64, answer={}, answered_at=AT)
        )
    assert purge(database, settings, "system", AT + settings.answer_days * DAY).answers == 0
    assert purge(database, settings, "system", AT + 3 * DAY).answers == 1

"""Claim, decide, second review, settlement, reopening: the rules of the queue."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service import audit
from service.auth import Role
from service.cases import exposure, service
from service.cases.opening import open_cases
from service.cases.service import Ruling
from service.cases.states import TRANSITIONS, State, Step, after
from service.db import Database
from service.errors import Conflict, Forbidden, NotFound, Unprocessable
from service.settings import Settings
from service.tables import Case, CaseEvent, Review
from tests.service.building import AT, LAWFUL, VIOLATING, person, store_post

MINUTE = timedelta(minutes=1)
ADA, BUDI, SENIOR = person(1), person(2), person(9, Role.SENIOR)
LONG = "mari kita berkumpul di lapangan besar pada hari minggu pagi untuk acara kecil bersama warga"


def fill(session: Session, count: int = 1) -> None:
    open_cases(
        session,
        [store_post(session, n, channel_id=f"c{n}", probability=1 - n / 100) for n in range(count)],
        at=AT,
    )


def never() -> float:
    return 1.0


def claim(session: Session, settings: Settings, who: object = ADA, at: datetime = AT) -> Case:
    case = service.claim(session, who, settings, draw=never, at=at)  # type: ignore[arg-type]
    assert case is not None
    return case


def decide(
    session: Session, settings: Settings, who: object, ruling: Ruling, at: datetime = AT
) -> Case:
    case = claim(session, settings, who, at)
    return service.decide(
        session,
        who,
        case.id,
        case.fence,
        ruling,
        settings,
        draw=never,
        at=at,  # type: ignore[arg-type]
    )


def test_claims_come_by_priority_and_an_empty_queue_gives_nothing(
    database: Database, settings: Settings
) -> None:
    with database.session() as session:
        fill(session, 3)
        given = [claim(session, settings).probability for _ in range(3)]
        assert given == [1.0, 0.99, 0.98]
        assert service.claim(session, BUDI, settings, draw=never, at=AT) is None


def test_two_reviewers_claiming_at_once_get_different_cases(
    database: Database, settings: Settings
) -> None:
    with database.session() as session:
        fill(session, 8)
    got: list[int] = []

    def work(number: int) -> None:
        for _ in range(2):
            with database.session() as session:
                got.append(claim(session, settings, person(number)).id)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == len(set(got)) == 8


def test_an_expired_lease_returns_the_case_and_refuses_the_late_decision(
    database: Database, settings: Settings
) -> None:
    late = AT + timedelta(seconds=settings.lease_seconds)
    with database.session() as session:
        fill(session)
        first = claim(session, settings)
        case_id, fence = first.id, first.fence
        again = claim(session, settings, BUDI, late)
        assert (again.id, again.fence) == (case_id, fence + 1)
        with pytest.raises(Conflict, match="do not hold"):
            service.decide(session, ADA, case_id, fence, LAWFUL, settings, at=late)
        assert session.scalars(select(Review)).all() == []


def test_a_lease_that_ended_is_refused_even_if_nobody_claimed_since(
    database: Database, settings: Settings
) -> None:
    with database.session() as session:
        fill(session)
        case = claim(session, settings)
        late = AT + timedelta(seconds=settings.lease_seconds)
        with pytest.raises(Conflict):
            service.decide(session, ADA, case.id, case.fence, LAWFUL, settings, at=late)


def test_renewing_holds_the_case_longer(database: Database, settings: Settings) -> None:
    lease = timedelta(seconds=settings.lease_seconds)
    with database.session() as session:
        fill(session)
        case = claim(session, settings)
        service.renew(session, ADA, case.id, case.fence, settings, AT + lease - MINUTE)
        assert service.claim(session, BUDI, settings, draw=never, at=AT + lease) is None
        service.decide(
            session, ADA, case.id, case.fence, LAWFUL, settings, draw=never, at=AT + lease
        )
        assert case.state == "closed"


def test_a_released_case_goes_to_somebody_else(database: Database, settings: Settings) -> None:
    with database.session() as session:
        fill(session)
        case = claim(session, settings)
        service.release(session, ADA, case.id, case.fence, "not my language", AT)
        assert service.claim(session, ADA, settings, draw=never, at=AT) is None
        assert claim(session, settings, BUDI).id == case.id


def test_a_lawful_post_is_closed_by_one(database: Database, settings: Settings) -> None:
    with database.session() as session:
        fill(session)
        case = decide(session, settings, ADA, LAWFUL)
        assert (case.state, case.is_violating, case.closed_at) == ("closed", False, AT)


def test_a_share_of_lawful_ones_is_reviewed_twice(database: Database, settings: Settings) -> None:
    with database.session() as session:
        fill(session)
        case = claim(session, settings)
        low = settings.second_share - 1e-9
        service.decide(session, ADA, case.id, case.fence, LAWFUL, settings, draw=lambda: low, at=AT)
        assert case.state == "second_review"


def test_a_violating_post_is_reviewed_twice_by_different_people(
    database: Database, settings: Settings
) -> None:
    with database.session() as session:
        fill(session)
        case = decide(session, settings, ADA, VIOLATING)
        assert (case.state, case.is_violating) == ("second_review", None)
        assert service.claim(session, ADA, settings, draw=never, at=AT) is None
        decide(session, settings, BUDI, VIOLATING)
        assert (case.state, case.is_violating) == ("closed", True)
        reviews = session.scalars(select(Review).order_by(Review.round)).all()
        assert [(r.round, r.reviewer, r.came_by) for r in reviews] == [
            (1, ADA.id, "review_band"),
            (2, BUDI.id, "review_band"),
        ]


def test_disagreement_goes_to_a_senior_who_is_neither_of_the_two(
    database: Database, settings: Settings
) -> None:
    other = person(8, Role.SENIOR)
    with database.session() as session:
        fill(session)
        case = decide(session, settings, ADA, VIOLATING)
        decide(session, settings, other, LAWFUL)
        assert case.state == "disputed"
        with pytest.raises(Forbidden, match="yours"):
            service.settle(session, other, case.id, LAWFUL, AT)
        with pytest.raises(Forbidden, match="may not settle"):
            service.settle(session, BUDI, case.id, LAWFUL, AT)
        service.settle(session, SENIOR, case.id, VIOLATING, AT)
        assert (case.state, case.is_violating) == ("closed", True)


def test_an_appeal_is_heard_by_others_and_marked(database: Database, settings: Settings) -> None:
    with database.session() as session:
        fill(session)
        case = decide(session, settings, ADA, LAWFUL)
        service.reopen(session, SENIOR, case.id, "the author objects", is_appeal=True, at=AT)
        assert (case.state, case.cycle, case.is_violating) == ("reopened", 2, None)
        assert service.claim(session, ADA, settings, draw=never, at=AT) is None
        decide(session, settings, BUDI, LAWFUL)
        reviews = session.scalars(select(Review).order_by(Review.id)).all()
        assert [(r.cycle, r.came_by) for r in reviews] == [(1, "review_band"), (2, "appeal")]


def cluster(session: Session, size: int = 3) -> None:
    for number in range(size):
        stored = store_post(session, number, f"{LONG} {number}", channel_id=f"c{number}")
        open_cases(session, [stored], at=AT)


def test_a_cluster_is_decided_in_bulk_after_its_samples_and_undone_for_60_seconds(
    database: Database, settings: Settings
) -> None:
    with database.session() as session:
        cluster(session)
        fill(session)
        case = session.get_one(Case, claim(session, settings).id)
        if case.cluster != session.get_one(Case, 1).cluster:
            case = claim(session, settings)
        with pytest.raises(Conflict, match="open 3"):
            service.decide_cluster(session, ADA, case.id, case.fence, LAWFUL, settings, at=AT)
        for member in (1, 2, 3):
            if member != case.id:
                exposure.record(session, ADA.id, member, settings, AT)
        batch, ids = service.decide_cluster(
            session, ADA, case.id, case.fence, LAWFUL, settings, draw=never, at=AT
        )
        assert sorted(ids) == [1, 2, 3]
        assert {session.get_one(Case, i).state for i in ids} == {"closed"}
        with pytest.raises(NotFound):
            service.undo(session, BUDI, batch, AT)
        with pytest.raises(Conflict, match="60 seconds"):
            service.undo(session, ADA, batch, AT + MINUTE)
        assert sorted(service.undo(session, ADA, batch, AT + MINUTE * 0.99)) == [1, 2, 3]
        assert {session.get_one(Case, i).state for i in ids} == {"new"}
        assert all(review.undone_at for review in session.scalars(select(Review)))
        # and it can be decided again
        decide(session, settings, ADA, LAWFUL, AT + 2 * MINUTE)


def test_a_second_review_waits_until_a_bulk_decision_stands(
    database: Database, settings: Settings
) -> None:
    with database.session() as session:
        cluster(session, 1)
        case = claim(session, settings)
        service.decide_cluster(session, ADA, case.id, case.fence, VIOLATING, settings, at=AT)
        assert service.claim(session, BUDI, settings, draw=never, at=AT + MINUTE / 2) is None
        again = claim(session, settings, BUDI, AT + MINUTE)
        batch, _ = service.decide_cluster(
            session, BUDI, again.id, again.fence, VIOLATING, settings, at=AT + MINUTE
        )
        assert case.is_violating is True
        service.undo(session, BUDI, batch, AT + MINUTE)
        assert (case.state, case.is_violating) == ("second_review", None)


def test_gold_is_given_once_to_those_who_do_not_know_it_and_closes_at_once(
    database: Database, settings: Settings
) -> None:
    golden = settings.model_copy(update={"gold_share": 1.0})
    with database.session() as session:
        fill(session, 1)
        case = decide(session, settings, ADA, LAWFUL)
        service.make_gold(session, SENIOR, case.id, VIOLATING, AT)
        assert service.claim(session, ADA, golden, draw=lambda: 0.0, at=AT) is None
        gold = service.claim(session, BUDI, golden, draw=lambda: 0.0, at=AT)
        assert gold is not None
        assert (gold.kind, gold.channel_id) == ("gold", case.channel_id)
        service.decide(session, BUDI, gold.id, gold.fence, VIOLATING, golden, at=AT)
        assert gold.state == "closed"
        assert service.claim(session, BUDI, golden, draw=lambda: 0.0, at=AT) is None


def test_a_pause_begins_after_enough_texts_and_is_skipped_only_with_a_reason_on_record(
    database: Database, settings: Settings
) -> None:
    brief = settings.model_copy(update={"pause_after_texts": 2, "pause_minutes": 10})
    with database.session() as session:
        fill(session, 5)
        claim(session, brief)
        claim(session, brief, at=AT + MINUTE)
        with pytest.raises(Conflict, match="pause") as caught:
            claim(session, brief, at=AT + 2 * MINUTE)
        assert caught.value.retry_after_seconds == 9 * 60 + 1
        exposure.skip_pause(session, ADA.id, "shift change", AT + 2 * MINUTE)
        claim(session, brief, at=AT + 2 * MINUTE)
        skipped = [e for e in audit.entries(session) if e.action == "pause.skip"]
        assert [entry.detail for entry in skipped] == [{"reason": "shift change"}]


def test_a_shift_has_a_limit(database: Database, settings: Settings) -> None:
    short = settings.model_copy(update={"shift_texts": 1, "shift_hours": 8})
    with database.session() as session:
        fill(session, 3)
        claim(session, short)
        with pytest.raises(Conflict, match="limit of a shift"):
            claim(session, short, at=AT + timedelta(hours=7))
        claim(session, short, at=AT + timedelta(hours=8))


def test_a_reviewer_reads_only_what_they_hold_and_never_reviews_they_could_follow(
    database: Database, settings: Settings
) -> None:
    auditor = person(7, Role.AUDITOR)
    with database.session() as session:
        fill(session)
        case = claim(session, settings)
        assert service.readable_case(session, ADA, case.id, AT) is case
        with pytest.raises(NotFound):
            service.readable_case(session, BUDI, case.id, AT)
        assert service.readable_case(session, auditor, case.id, AT) is case
        service.decide(session, ADA, case.id, case.fence, VIOLATING, settings, at=AT)
        with pytest.raises(NotFound):
            service.readable_case(session, ADA, case.id, AT)
        assert service.sees_reviews(case, auditor)
        assert not service.sees_reviews(case, SENIOR)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"labels": {"nonsense": "yes"}}, "/labels"),
        ({"labels": {"threat": "maybe"}}, "/labels"),
        ({"context": "nonsense"}, "/context"),
        ({"reason": "news"}, "/reason"),
        ({"reason": "threat"}, "/reason"),
    ],
)
def test_a_ruling_that_contradicts_the_taxonomy_names_its_field(
    change: dict[str, object], pointer: str
) -> None:
    with pytest.raises(Unprocessable) as caught:
        replace(VIOLATING, **change).check()  # type: ignore[arg-type]
    assert caught.value.pointer == pointer


def test_every_step_is_an_event_with_actor_time_and_release(
    database: Database, settings: Settings
) -> None:
    with database.session() as session:
        fill(session)
        decide(session, settings, ADA, VIOLATING)
        decide(session, settings, BUDI, VIOLATING)
        events = session.scalars(select(CaseEvent).order_by(CaseEvent.number)).all()
        assert [(e.event, e.state, e.actor) for e in events] == [
            ("open", "new", "system"),
            ("attach", "new", "system"),
            ("claim", "claimed", ADA.id),
            ("decide", "decided", ADA.id),
            ("ask_second", "second_review", "system"),
            ("claim", "second_claimed", BUDI.id),
            ("close", "closed", BUDI.id),
        ]
        assert {(e.at, e.release) for e in events} == {(AT, "fake-1")}
        assert audit.verify(session) is None


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("step", list(Step))
def test_a_step_that_is_not_declared_is_refused(state: State, step: Step) -> None:
    if (state, step) in TRANSITIONS:
        assert after(state, step) == TRANSITIONS[state, step]
    else:
        with pytest.raises(Conflict, match="cannot"):
            after(state, step)


def test_waiting_cases_are_ranked_anew_as_they_age(database: Database, settings: Settings) -> None:
    with database.session() as session:
        fill(session, 2)
        held = claim(session, settings)
        assert service.rerank(session, "system", AT + timedelta(hours=72)) == 1
        other = session.scalars(select(Case).where(Case.id != held.id)).one()
        assert other.priority == pytest.approx(0.99 * 0.75)

"""Which posts open a case, which attach to one, and where it stands in the queue."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.cases import near
from service.cases.opening import ACCOUNT_CASES, CHANNEL_CASES, Stored, open_cases
from service.cases.states import SEVERITY, State, priority
from service.db import Database
from service.tables import Case, CaseEvent, CasePost
from tests.service.building import AT, store_post

LONG = "mari kita berkumpul di lapangan besar pada hari minggu pagi untuk acara kecil bersama warga"


def cases(session: Session, kind: str = "content") -> list[Case]:
    return list(session.scalars(select(Case).where(Case.kind == kind).order_by(Case.id)))


def opened(session: Session, *stored: Stored, share: float = 0, draw: float = 0.5) -> list[int]:
    made = open_cases(session, stored, audit_share=share, draw=lambda: draw, at=AT)
    return made.opened


def test_a_hit_opens_a_case_with_its_event_and_a_clear_post_does_not(database: Database) -> None:
    with database.session() as session:
        clear = store_post(session, 2, band="clear", probability=0.01)
        opened(session, store_post(session, 1, band="urgent", probability=0.9), clear)
        (case,) = cases(session)
        assert (case.state, case.band, case.label) == ("new", "urgent", "terrorism")
        assert case.priority == pytest.approx(0.9)
        events = session.scalars(select(CaseEvent).order_by(CaseEvent.number)).all()
        assert [event.event for event in events] == ["open", "attach"]
        assert {event.release for event in events} == {"fake-1"}


def test_the_same_content_in_a_channel_has_one_case_and_rises(database: Database) -> None:
    with database.session() as session:
        opened(session, store_post(session, 1, LONG))
        before = cases(session)[0].priority
        assert opened(session, *(store_post(session, n, LONG) for n in range(2, 11))) == []
        (case,) = cases(session)
        # ten posts: 1 + log10(10) = 2 times the priority of one
        assert case.priority == pytest.approx(2 * before)
        assert case.reach == 10


def test_a_post_submitted_again_counts_once(database: Database) -> None:
    with database.session() as session:
        stored = store_post(session, 1, LONG)
        opened(session, stored)
        opened(session, stored)
        assert cases(session)[0].reach == 1


def test_the_same_content_elsewhere_has_its_own_case_in_the_same_cluster(
    database: Database,
) -> None:
    with database.session() as session:
        opened(session, store_post(session, 1, LONG))
        opened(session, store_post(session, 1, LONG, channel_id="2002"))
        first, second = cases(session)
        assert first.cluster == second.cluster == first.id


def test_a_near_duplicate_attaches_in_its_channel_and_clusters_elsewhere(
    database: Database,
) -> None:
    with database.session() as session:
        opened(session, store_post(session, 1, LONG))
        opened(session, store_post(session, 2, LONG + "!!"))
        opened(session, store_post(session, 3, LONG + " 1", channel_id="2002"))
        opened(session, store_post(session, 4, "kabar lain sama sekali tentang harga beras"))
        first, elsewhere, other = cases(session)
        similarities = session.scalars(
            select(CasePost.similarity).where(CasePost.case_id == first.id)
        ).all()
        assert len(similarities) == 2
        assert near.NEAR <= min(similarities) < 1
        assert elsewhere.cluster == first.id
        assert other.cluster == other.id


def test_a_near_duplicate_of_a_closed_case_is_looked_at_anew(database: Database) -> None:
    with database.session() as session:
        opened(session, store_post(session, 1, LONG))
        cases(session)[0].state = State.CLOSED.value
        assert opened(session, store_post(session, 2, LONG)) == []
        assert len(opened(session, store_post(session, 3, LONG + "!!"))) == 1


def test_workers_that_see_the_same_content_at_once_open_one_case(database: Database) -> None:
    with database.session() as session:
        stored = [store_post(session, number, LONG) for number in range(1, 9)]
    together = threading.Barrier(len(stored))

    def work(item: Stored) -> None:
        together.wait()
        with database.session() as session:
            opened(session, item)

    threads = [threading.Thread(target=work, args=(item,)) for item in stored]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        (case,) = cases(session)
        assert case.reach == len(stored)


def test_disguises_do_not_hide_a_near_duplicate() -> None:
    plain, disguised = near.signature(LONG), near.signature(LONG.replace("besar", "b3s4r").upper())
    assert (plain == disguised).mean() > 0.9
    assert (plain == near.signature("kabar lain sama sekali")).mean() < 0.1


def test_clear_posts_are_sampled_with_their_probability(database: Database) -> None:
    with database.session() as session:
        taken = store_post(session, 1, band="clear", probability=0.01)
        assert len(opened(session, taken, share=0.25, draw=0.2)) == 1
        left = store_post(session, 2, band="clear", probability=0.01)
        assert opened(session, left, share=0.25, draw=0.25) == []
        (case,) = cases(session)
        assert (case.came_by, case.sampling_probability) == ("random_audit", 0.25)


def test_an_account_with_several_cases_gets_one_that_gathers_its_posts(
    database: Database,
) -> None:
    with database.session() as session:
        for number in range(1, ACCOUNT_CASES + 2):
            stored = store_post(session, number, channel_id=f"{number}", author_id="a")
            opened(session, stored)
        (account,) = cases(session, "account")
        assert account.subject == "a"
        posts = session.scalars(select(CasePost).where(CasePost.case_id == account.id)).all()
        assert len(posts) == ACCOUNT_CASES + 1
        assert cases(session, "channel") == []


def test_a_channel_with_several_cases_gets_one_that_gathers_its_posts(
    database: Database,
) -> None:
    with database.session() as session:
        opened(session, *(store_post(session, number) for number in range(1, CHANNEL_CASES + 1)))
        (channel,) = cases(session, "channel")
        posts = session.scalars(select(CasePost).where(CasePost.case_id == channel.id)).all()
        assert len(posts) == CHANNEL_CASES


def test_priority_is_severity_times_probability_times_reach_and_freshness() -> None:
    threat = {"threat": 0.5}
    assert priority(threat, 1, AT, AT) == 0.5
    assert priority({"glorification": 0.5}, 1, AT, AT) == pytest.approx(0.3)
    assert priority(threat, 100, AT, AT) == pytest.approx(1.5)  # 0.5 * (1 + 2)
    # after one half-life: 0.5 + 0.5 * 0.5 = 0.75
    assert priority(threat, 1, AT - timedelta(hours=72), AT) == pytest.approx(0.375)
    # a clock ahead of ours counts as now
    assert priority(threat, 1, AT + timedelta(days=9), AT) == 0.5
    assert priority(threat, 1, None, AT) == 0.5


def test_every_label_has_a_severity() -> None:
    from screening.taxonomy import LABEL_IDS

    assert set(SEVERITY) == set(LABEL_IDS)

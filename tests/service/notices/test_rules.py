"""Which cases become a notice, and who may approve it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from screening.taxonomy import LABEL_IDS
from service import audit
from service.auth import Principal, Role
from service.cases import exposure
from service.cases import service as cases
from service.cases.opening import ACCOUNT_CASES
from service.cases.service import Ruling
from service.db import Database
from service.errors import Conflict, Forbidden, NotFound, ServiceError, Unprocessable
from service.notices import service
from service.notices.repository import page_of_notices
from service.notices.service import Selection
from service.settings import Settings
from service.tables import Case, Review
from tests.service.building import AT, LAWFUL, VIOLATING, person
from tests.service.notices.drafting import (
    ADA,
    BUDI,
    FLAGGER,
    SENIOR,
    WATI,
    YUDI,
    approved,
    closed,
    decide,
    drafted,
    fill,
    name_of,
)

RADICAL = Ruling({"radicalism": "yes", "incitement": "no"}, "radicalism")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update=FLAGGER)


def actions(database: Database) -> list[str]:
    with database.reading() as session:
        return [entry.action for entry in audit.entries(session)]


def withdraw(database: Database, who: Principal, notice_id: int) -> None:
    with database.session() as session:
        service.withdraw(session, who, notice_id, "keliru", AT)


def test_a_draft_names_what_was_decided_by_whom_and_by_what_law(
    database: Database, settings: Settings
) -> None:
    case = closed(database, settings, channel_id="-1001234", message_id="77", channel_name="Kanal")
    whole = drafted(database, settings, case)
    assert whole.state == "draft"
    content = json.loads(whole.notice.content)
    assert content["issuer"] == {
        "name": "Lembaga Uji", "email": "lapor@example.org", "role": "trusted flagger",
    }  # fmt: skip
    assert content["subject"] == {"kind": "channel", "id": "-1001234", "name": "Kanal"}
    assert content["deadline"] == {
        "class": "urgent", "hours": 4, "legal_ground": "Permenkominfo 5/2020 art. 14(3)",
    }  # fmt: skip
    (item,) = content["items"]
    assert item["link"] == "https://t.me/c/1234/77"
    assert item["labels"] == [{"id": "incitement", "name_id": "Hasutan", "name_en": "Incitement"}]
    assert item["legal_grounds"] == [
        "UU 5/2018 (amending UU 15/2003) art. 13A; Regulation (EU) 2021/784 art. 2(7)(a)",
        "Permenkominfo 5/2020 art. 14(3)",
    ]
    assert item["machine"] == {
        "release": "fake-1",
        "policy": "fake-1",
        "band": "review",
        "threshold": 0.3,
        "probabilities": {"incitement": 0.8, "terrorism": 0.8},
        "scored_at": "2026-03-01T08:00:00+00:00",
    }
    assert item["human"]["decision"] == "violating"
    assert [(r["reviewer"], r["round"]) for r in item["human"]["reviews"]] == [
        ("nama-1", "first review"), ("nama-2", "blind second review"),
    ]  # fmt: skip
    assert "Menghasut, menyerukan" in item["reason"]["id"]
    assert "Urges, calls on" in item["reason"]["en"]
    assert "reference" not in content
    assert "person:" not in whole.notice.content
    assert actions(database)[-1] == "notice.draft"


def test_the_deadline_runs_from_approval_and_radicalism_alone_has_a_day(
    database: Database, settings: Settings
) -> None:
    urgent = closed(database, settings, channel_id="1", number=1)
    other = closed(database, settings, RADICAL, channel_id="2", number=2)
    first, second = (drafted(database, settings, case).notice.id for case in (urgent, other))
    issued = approved(database, first, hours=1).issued
    assert issued is not None
    assert issued.due_at == AT + timedelta(hours=1 + 4)
    issued = approved(database, second, hours=1).issued
    assert issued is not None
    assert issued.due_at == AT + timedelta(hours=1 + 24)
    report = json.loads(issued.report)
    assert report["deadline"]["class"] == report["items"][0]["deadline_class"] == "standard"
    assert report["reference"] == issued.reference == f"PNP-2026-{second:06d}"
    assert report["approved_by"] == "nama-21"
    assert actions(database)[-2:] == ["notice.approve", "notice.approve"]
    with database.reading() as session:
        assert audit.verify(session) is None


def test_a_settled_case_is_reported_with_the_seniors_labels(
    database: Database, settings: Settings
) -> None:
    fill(database, 1)
    case = decide(database, settings, ADA, VIOLATING)
    decide(database, settings, BUDI, LAWFUL)
    both = Ruling({"incitement": "yes", "threat": "yes"}, "threat")
    with database.session() as session:
        cases.settle(session, SENIOR, case, both, AT)
    content = json.loads(drafted(database, settings, case).notice.content)
    assert content["labels"] == ["incitement", "threat"]
    assert "then by a senior reviewer" in content["items"][0]["reason"]["en"]
    assert len(content["items"][0]["human"]["reviews"]) == 3


def test_all_of_a_channel_or_an_account_is_drafted_and_each_post_but_once(
    database: Database, settings: Settings
) -> None:
    ids = [
        closed(database, settings, number=1, channel_id="1", author_id="x"),
        closed(database, settings, number=2, channel_id="2", author_id="x"),
        closed(database, settings, number=3, channel_id="1", author_id="y"),
    ]
    closed(database, settings, LAWFUL, number=4, channel_id="1", author_id="x")

    def draft(scope: str, subject: str) -> list[int]:
        with database.session() as session:
            selection = Selection((), "telegram", scope, subject)
            whole = service.draft(session, SENIOR, selection, settings, name_of, AT).whole
            assert (whole.notice.scope, whole.notice.subject) == (scope, subject)
            return [item["human"]["case"] for item in json.loads(whole.notice.content)["items"]]

    assert draft("channel", "1") == [ids[0], ids[2]]
    assert draft("account", "x") == [ids[1]]
    with pytest.raises(Conflict, match="no closed, violating case that is not in a notice"):
        draft("channel", "1")
    fill(database, 1, channel_id="1", author_id="z", message_id="1001")
    assert draft("channel", "1") == [ids[0]]


def test_a_case_that_cannot_be_reported_yet_does_not_hold_up_its_channel(
    database: Database, settings: Settings
) -> None:
    linked = closed(database, settings, number=1, platform="x", permalink="https://x.com/a/1")
    unlinked = closed(database, settings, number=2, platform="x")
    selection = Selection((), "x", "channel", "1001")

    def draft() -> service.Drafted:
        with database.session() as session:
            return service.draft(session, SENIOR, selection, settings, name_of, AT)

    drafted = draft()
    assert drafted.left_out == [unlinked]
    content = json.loads(drafted.whole.notice.content)
    assert [item["human"]["case"] for item in content["items"]] == [linked]
    with pytest.raises(Conflict, match="none of the channel's 1 cases can be reported yet"):
        draft()


def test_cases_of_one_account_in_two_channels_make_a_notice_of_the_account(
    database: Database, settings: Settings
) -> None:
    ids = [closed(database, settings, number=n, channel_id=f"{n}", author_id="x") for n in (1, 2)]
    ids.append(closed(database, settings, number=3, channel_id="3", author_id="y"))
    assert drafted(database, settings, *ids[:2]).notice.scope == "account"
    with pytest.raises(Unprocessable, match="several channels and accounts"):
        drafted(database, settings, *[closed(database, settings, number=4, channel_id="4"), ids[2]])


def test_only_posts_of_the_very_text_that_was_ruled_on_are_reported(
    database: Database, settings: Settings
) -> None:
    long = "mari kita berkumpul di lapangan besar pada hari minggu pagi untuk acara kecil warga"
    fill(database, 1, text=long)
    fill(database, 2, text=f"{long} ya")
    fill(database, 3, text=long)
    case = decide(database, settings, ADA, VIOLATING)
    decide(database, settings, BUDI, VIOLATING)
    content = json.loads(drafted(database, settings, case).notice.content)
    assert [item["message_id"] for item in content["items"]] == ["1", "3"]


def test_what_may_not_be_reported_is_refused_by_name(
    database: Database, settings: Settings
) -> None:
    def refused(number: int) -> ServiceError:
        with pytest.raises(ServiceError) as caught:
            drafted(database, settings, number)
        return caught.value

    fill(database, 1)
    assert "is not closed" in refused(1).detail
    decide(database, settings, ADA, VIOLATING)
    assert "is not closed" in refused(1).detail
    decide(database, settings, BUDI, VIOLATING)
    lawful = closed(database, settings, LAWFUL, number=2)
    assert "was closed as lawful" in refused(lawful).detail
    assert refused(lawful).pointer == "/cases/0"
    assert isinstance(refused(999), NotFound)
    unlinked = closed(database, settings, number=3, platform="api")
    assert "no post with a link" in refused(unlinked).detail
    drafted(database, settings, 1)
    assert "is in a notice already" in refused(1).detail
    with database.session() as session:
        (second,) = session.scalars(select(Review).where(Review.case_id == 3, Review.round == 2))
        second.undone_at = AT
    assert "was decided by one person" in refused(3).detail
    with database.session() as session:
        second = session.scalars(select(Review).where(Review.case_id == 3, Review.round == 2)).one()
        second.undone_at, second.reviewer = None, "key:4"
    assert "was decided with an API key" in refused(3).detail


def test_gold_items_and_what_can_still_be_undone_are_left_out(
    database: Database, settings: Settings
) -> None:
    case = closed(database, settings)
    with database.session() as session:
        cases.make_gold(session, SENIOR, case, VIOLATING, AT)
    sure = settings.model_copy(update={"gold_share": 1.0})
    with database.session() as session:
        gold = cases.claim(session, person(3), sure, draw=lambda: 0.0, at=AT)
        assert gold is not None
        cases.decide(session, person(3), gold.id, gold.fence, VIOLATING, sure, at=AT)
    with pytest.raises(NotFound, match=f"no case {gold.id}"):
        drafted(database, settings, gold.id)
    fill(database, 2)
    decide(database, settings, ADA, VIOLATING)
    with database.session() as session:
        held = cases.claim(session, BUDI, settings, draw=lambda: 1.0, at=AT)
        assert held is not None
        exposure.record(session, BUDI.id, held.id, settings, AT)
        cases.decide_cluster(session, BUDI, held.id, held.fence, VIOLATING, settings, at=AT)
    with pytest.raises(Conflict, match="can still be undone"):
        drafted(database, settings, held.id)


def test_a_case_that_gathers_an_accounts_posts_is_refused(
    database: Database, settings: Settings
) -> None:
    fill(database, *range(ACCOUNT_CASES), author_id="x")
    with database.reading() as session:
        account = session.scalars(select(Case.id).where(Case.kind == "account")).one()
    with pytest.raises(Conflict, match="is of kind 'account'"):
        drafted(database, settings, account)


def test_without_a_flagger_nothing_is_drafted(database: Database, settings: Settings) -> None:
    case = closed(database, settings)
    nobody = settings.model_copy(update={"flagger_email": None})
    with pytest.raises(Conflict, match="PENAPISAN_FLAGGER_EMAIL"):
        drafted(database, nobody, case)


def test_nobody_approves_what_they_drafted_or_reviewed(
    database: Database, settings: Settings
) -> None:
    notice = drafted(database, settings, closed(database, settings), who=WATI).notice.id
    promoted = Principal(ADA.id, ADA.name, Role.APPROVER)
    for who, words in (
        (WATI, "you drafted this notice"),
        (promoted, "you reviewed a case"),
        (Principal("key:4", "kunci", Role.APPROVER), "not with an API key"),
        (SENIOR, "may not approve"),
    ):
        with pytest.raises(Forbidden, match=words):
            approved(database, notice, who)
    assert approved(database, notice, YUDI).state == "approved"
    with pytest.raises(Conflict, match="is approved; only a draft"):
        approved(database, notice, YUDI)
    with pytest.raises(NotFound):
        approved(database, 999)


def test_an_undone_review_still_bars_from_approving(database: Database, settings: Settings) -> None:
    case = closed(database, settings)
    notice = drafted(database, settings, case).notice.id
    with database.session() as session:
        undone = session.scalars(select(Review).order_by(Review.id)).first()
        assert undone is not None
        session.add(
            Review(
                **{
                    column.name: getattr(undone, column.name)
                    for column in Review.__table__.columns
                    if column.name not in {"id", "reviewer", "undone_at"}
                },
                reviewer=WATI.id,
                undone_at=AT,
            )
        )
    with pytest.raises(Forbidden, match="you reviewed a case"):
        approved(database, notice)


def test_a_case_reopened_since_the_draft_stops_the_approval(
    database: Database, settings: Settings
) -> None:
    case = closed(database, settings)
    notice = drafted(database, settings, case).notice.id
    with database.session() as session:
        cases.reopen(session, SENIOR, case, "keberatan", is_appeal=True, at=AT)
    with pytest.raises(Conflict, match="was reopened since the draft"):
        approved(database, notice)


def test_a_withdrawn_notice_is_neither_approved_nor_handed_out_and_frees_its_posts(
    database: Database, settings: Settings
) -> None:
    case = closed(database, settings)
    first = drafted(database, settings, case, who=ADA).notice.id
    with pytest.raises(NotFound):
        withdraw(database, BUDI, first)
    with pytest.raises(Forbidden, match="withdrawn by an approver"):
        withdraw(database, SENIOR, first)
    withdraw(database, ADA, first)
    with pytest.raises(Conflict, match="withdrawn before"):
        withdraw(database, WATI, first)
    with pytest.raises(Conflict, match="is withdrawn; only a draft"):
        approved(database, first)
    second = drafted(database, settings, case, who=ADA).notice.id
    approved(database, second)
    with pytest.raises(Forbidden):
        withdraw(database, ADA, second)
    withdraw(database, WATI, second)
    third = drafted(database, settings, case).notice.id
    with database.session() as session:
        states = page_of_notices(session, state=None, drafter=None, after_id=0, limit=9)
        assert [whole.state for whole in states] == ["withdrawn", "withdrawn", "draft"]
        for state, count in (("withdrawn", 2), ("draft", 1), ("approved", 0)):
            page = page_of_notices(session, state=state, drafter=None, after_id=0, limit=9)
            assert len(page) == count
        with pytest.raises(Conflict, match="is withdrawn; its report"):
            service.hand_out(session, "person:1", states[1], "json")
        with pytest.raises(Conflict, match=f"notice {third} is a draft; its report"):
            service.hand_out(session, "person:1", states[2], "json")


def test_every_label_has_a_reason_and_a_ground(database: Database, settings: Settings) -> None:
    every = Ruling(dict.fromkeys(LABEL_IDS, "yes"), "threat")
    (item,) = json.loads(
        drafted(database, settings, closed(database, settings, every)).notice.content
    )["items"]
    assert [label["id"] for label in item["labels"]] == list(LABEL_IDS)
    assert any("UU 9/2013" in ground for ground in item["legal_grounds"])
    assert len(set(item["legal_grounds"])) == len(item["legal_grounds"])

"""What the database itself refuses, whatever program asks."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from service.db import Database
from service.notices.repository import get_notice
from service.settings import Settings
from tests.service.notices.drafting import ADA, FLAGGER, SENIOR, approved, closed, drafted

TABLES = ("notices", "notice_items", "notice_approvals", "issued_notices", "notice_withdrawals")
ISSUE = (
    "INSERT INTO issued_notices (notice_id, reference, report, sha256, issued_at, due_at) "
    "VALUES (1, 'PNP-1', '{}', 'ab', '2026-03-01', '2026-03-02')"
)
APPROVE = (
    "INSERT INTO notice_approvals (notice_id, approved_by, approved_at) "
    "VALUES (1, '{}', '2026-03-01')"
)
ITEM = "INSERT INTO notice_items (notice_id, post_id, case_id, cycle) VALUES (1, 2, 1, 1)"
WITHDRAW = (
    "INSERT INTO notice_withdrawals (notice_id, reason, withdrawn_by, withdrawn_at) "
    "VALUES (1, 'x', 'person:5', '2026-03-01')"
)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update=FLAGGER)


@pytest.fixture
def notice(database: Database, settings: Settings) -> int:
    """A draft by the senior, of a case that Ada and Budi reviewed."""
    return drafted(database, settings, closed(database, settings)).notice.id


def run(database: Database, *statements: str) -> None:
    with database.session() as session:
        for statement in statements:
            session.execute(text(statement))


def refused(database: Database, statement: str, words: str) -> None:
    with pytest.raises(DatabaseError, match=words):
        run(database, statement)


def test_no_report_without_an_approval(database: Database, notice: int) -> None:
    refused(database, ISSUE, "issued once another person has approved it")
    run(database, APPROVE.format("person:5"), ISSUE)


def test_no_report_without_an_approval_even_where_foreign_keys_are_off(
    database: Database, notice: int
) -> None:
    off = "PRAGMA foreign_keys=OFF" if database.is_sqlite else "SET session_replication_role=origin"
    with database.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute(off)
        with pytest.raises(Exception, match="issued once another person"):
            raw.execute(ISSUE)
        connection.invalidate()


@pytest.mark.parametrize(
    ("approver", "words"),
    [
        (SENIOR.id, "a person who took no part"),
        (ADA.id, "a person who took no part"),
        ("key:5", "a_person_approves"),
        ("system:command-line", "a_person_approves"),
    ],
)
def test_no_approval_by_somebody_who_took_part_or_is_no_person(
    database: Database, notice: int, approver: str, words: str
) -> None:
    refused(database, APPROVE.format(approver), words)


def test_a_notice_without_items_or_that_was_withdrawn_is_not_approved(
    database: Database, notice: int
) -> None:
    run(
        database,
        "INSERT INTO notices (id, platform, scope, subject, content, drafted_by, drafted_at) "
        "VALUES (2, 'telegram', 'channel', '1', '{}', 'person:9', '2026-03-01')",
    )
    empty = APPROVE.format("person:5").replace("(1,", "(2,")
    refused(database, empty, "a person who took no part")
    run(database, WITHDRAW)
    refused(database, APPROVE.format("person:5"), "a person who took no part")


def test_a_withdrawn_approval_issues_nothing(database: Database, notice: int) -> None:
    run(database, APPROVE.format("person:5"), WITHDRAW)
    refused(database, ISSUE, "issued once another person has approved it")


@pytest.mark.parametrize("table", TABLES)
def test_nothing_of_a_notice_is_changed_removed_or_replaced(
    database: Database, notice: int, table: str
) -> None:
    approved(database, notice)
    if table == "notice_withdrawals":
        run(database, WITHDRAW)
    with database.reading() as session:
        before = [tuple(row) for row in session.execute(text(f"SELECT * FROM {table}"))]
    assert before
    column = "id" if table == "notices" else "notice_id"
    refused(database, f"UPDATE {table} SET {column} = 7", "append-only")
    refused(database, f"DELETE FROM {table}", "append-only")
    if database.is_sqlite:
        replace = f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}"
        refused(database, replace, "append-only|gets no more items")
    else:
        refused(database, f"TRUNCATE {table} CASCADE", "append-only")
    with database.reading() as session:
        assert [tuple(row) for row in session.execute(text(f"SELECT * FROM {table}"))] == before


def test_another_notices_reference_cannot_be_taken_over(database: Database, notice: int) -> None:
    issued = approved(database, notice).issued
    assert issued is not None
    run(
        database,
        "INSERT INTO notices (id, platform, scope, subject, content, drafted_by, drafted_at) "
        "VALUES (2, 'telegram', 'channel', '1', '{}', 'person:9', '2026-03-01')",
        ITEM.replace("(1, 2,", "(2, 1,"),
        APPROVE.format("person:5").replace("(1,", "(2,"),
    )
    taken = ISSUE.replace("(1, 'PNP-1'", f"(2, '{issued.reference}'")
    if database.is_sqlite:
        refused(database, taken.replace("INSERT", "INSERT OR REPLACE"), "append-only")
    refused(database, taken, "append-only|unique")
    with database.reading() as session:
        kept = get_notice(session, notice)
        assert kept is not None
        assert kept.issued is not None
        assert kept.issued.report == issued.report


def test_an_approved_notice_gets_no_more_items(
    database: Database, settings: Settings, notice: int
) -> None:
    closed(database, settings, number=2)
    approved(database, notice)
    refused(database, ITEM, "gets no more items")

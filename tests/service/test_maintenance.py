"""Once a day, by one of several servers, on record."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import select

from service import audit
from service.db import Database, now
from service.maintenance import EVERY, Daily, Maintained, maintain, maintain_if_due
from service.retention import Purged
from service.settings import Settings
from service.tables import AuditEntry, Case, Content
from tests.service.building import AT, store_post

NOTHING = Maintained(Purged(), 0)


def actions(database: Database) -> Sequence[str]:
    with database.reading() as session:
        assert audit.verify(session) is None
        return session.scalars(select(AuditEntry.action).order_by(AuditEntry.sequence)).all()


def test_old_texts_are_purged_and_waiting_cases_ranked(
    settings: Settings, database: Database
) -> None:
    from service.cases.opening import open_cases

    with database.session() as session:
        store_post(session, 1, band="clear")
        open_cases(session, [store_post(session, 2)], at=AT)
    done = maintain(database, settings, "system:test", AT + timedelta(days=40))
    assert done == Maintained(Purged(texts=1), 1)
    with database.reading() as session:
        assert len(session.scalars(select(Content).where(Content.sealed.is_(None))).all()) == 1
        assert session.scalars(select(Case)).one().priority > 0


def test_it_is_due_again_only_after_a_day(settings: Settings, database: Database) -> None:
    at = now()
    assert maintain_if_due(database, settings, "server:1", at) == NOTHING
    assert maintain_if_due(database, settings, "server:2", at + EVERY / 2) is None
    assert maintain_if_due(database, settings, "server:2", at + EVERY * 1.01) == NOTHING
    assert actions(database).count("maintenance.begin") == 2


def test_what_a_command_has_done_a_server_does_not_do_again(
    settings: Settings, database: Database
) -> None:
    maintain(database, settings, "system:command-line", now())
    assert maintain_if_due(database, settings, "server:1", now()) is None


def test_of_many_servers_at_once_one_maintains(settings: Settings, database: Database) -> None:
    servers = [Database(settings) for _ in range(8)]
    at = now()
    with ThreadPoolExecutor(8) as pool:
        done = list(
            pool.map(lambda server: maintain_if_due(server, settings, "server", at), servers)
        )
    for server in servers:
        server.close()
    assert sorted(map(str, done)) == sorted(map(str, [NOTHING, *[None] * 7]))
    assert actions(database).count("maintenance.begin") == 1


def test_a_server_maintains_by_itself_and_stops_with_it(
    settings: Settings, database: Database
) -> None:
    with Daily(settings, "server:1", first_look_seconds=0.01, look_seconds=0.01):
        for _ in range(3000):
            if "queue.rerank" in actions(database):
                break
            time.sleep(0.01)
    assert list(actions(database)) == ["maintenance.begin", "retention.purge", "queue.rerank"]

"""The daily work of the queue and of retention: by command, by timer, or by a server on its own."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from sqlalchemy import func, select

from service import audit
from service.cases.service import rerank
from service.db import Database, now
from service.errors import ServiceError
from service.retention import Purged, purge
from service.settings import Settings
from service.tables import AuditEntry

log = logging.getLogger("penapisan.maintenance")

SUBJECT = "maintenance"
EVERY = timedelta(hours=23)
"""Less than a day, so that an hourly look does not make it later every day."""

FIRST_LOOK_SECONDS = 60.0
LOOK_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Maintained:
    """What was purged, and how many cases were ranked anew."""

    purged: Purged
    ranked: int


def maintain(database: Database, settings: Settings, actor: str, at: datetime) -> Maintained:
    """Purge what is past its retention period and rank waiting cases anew."""
    with database.session() as session:
        audit.append(session, actor, "maintenance.begin", SUBJECT)
    return _maintain(database, settings, actor, at)


def maintain_if_due(
    database: Database, settings: Settings, actor: str, at: datetime
) -> Maintained | None:
    """The same where nobody has begun it for ``EVERY``; of several servers one does.

    The audit chain has one writer at a time: who finds no recent beginning there and adds one to
    it is the one.
    """
    with database.session() as session:
        audit.hold_chain(session)
        last = session.scalar(select(func.max(AuditEntry.at)).where(AuditEntry.subject == SUBJECT))
        if last is not None and at - last < EVERY:
            return None
        audit.append(session, actor, "maintenance.begin", SUBJECT)
    return _maintain(database, settings, actor, at)


class Daily:
    """Maintains once a day, on a thread of its own, while ``with`` lasts."""

    def __init__(
        self,
        settings: Settings,
        actor: str,
        *,
        first_look_seconds: float = FIRST_LOOK_SECONDS,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._settings = settings
        self._actor = actor
        self._first_look_seconds = first_look_seconds
        self._look_seconds = look_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="maintenance", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        database = Database(self._settings)
        seconds = self._first_look_seconds
        while not self._stopped.wait(seconds):
            seconds = self._look_seconds
            try:
                done = maintain_if_due(database, self._settings, self._actor, now())
            except ServiceError as error:
                log.warning("maintenance: %s", error)
                continue
            if done is not None:
                words = "maintenance: %d texts purged, %d cases ranked anew"
                log.info(words, done.purged.texts, done.ranked)
        database.close()


def _maintain(database: Database, settings: Settings, actor: str, at: datetime) -> Maintained:
    purged = purge(database, settings, actor, at)
    with database.session() as session:
        ranked = rerank(session, actor, at)
    return Maintained(purged, ranked)

"""The audit chain: who read or changed what, each entry sealed by the hash of the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import Table, insert, select, text
from sqlalchemy.orm import Session

from service.db import now
from service.tables import AuditEntry

GENESIS = "0" * 64
"""What the first entry follows."""

CHAIN_LOCK = 7_031_217
"""PostgreSQL advisory lock: one writer appends at a time. SQLite has but one writer."""

PAGE = 1000


@dataclass(frozen=True, slots=True)
class Fault:
    """The first entry of the chain that is not as it was written."""

    sequence: int
    what: str


@dataclass(frozen=True, slots=True)
class Done:
    """What an entry tells: who did or read what."""

    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)


def append(
    session: Session, actor: str, action: str, subject: str, detail: Mapping[str, Any] | None = None
) -> AuditEntry:
    """Add an entry; it becomes true with the transaction that did what it tells.

    Append last: the chain's lock is held until the end of the transaction, and one that locked
    the chain before its rows could meet another that locked them the other way round.
    ``subject`` names what was read or changed, such as ``case:12``; never post text.
    """
    return append_all(session, [Done(actor, action, subject, detail or {})])[0]


def append_all(session: Session, done: Sequence[Done]) -> list[AuditEntry]:
    """Add an entry for each, in their order; see ``append``."""
    hold_chain(session)
    sequence, sha256 = chain_head(session)
    made = []
    for what in done:
        sequence += 1
        entry = AuditEntry(
            sequence=sequence,
            at=now(),
            actor=what.actor,
            action=what.action,
            subject=what.subject,
            detail=dict(what.detail),
            previous=sha256,
        )
        entry.sha256 = sha256 = entry_hash(entry)
        made.append(entry)
    session.flush()
    # Into the table: nobody changes an entry, so no session need watch it.
    table = cast(Table, AuditEntry.__table__)
    names = [column.name for column in table.columns]
    rows = [{name: getattr(entry, name) for name in names} for entry in made]
    session.execute(insert(table), rows)
    return made


def hold_chain(session: Session) -> None:
    """Keep every other writer from the chain until the end of the transaction."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CHAIN_LOCK})


def entry_hash(entry: AuditEntry) -> str:
    """SHA-256 over the entry's canonical JSON and the hash before it."""
    body = {
        "sequence": entry.sequence,
        "at": entry.at.isoformat(),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "detail": entry.detail,
        "previous": entry.previous,
    }
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def entries(session: Session) -> Iterator[AuditEntry]:
    """The whole chain, oldest first, page by page."""
    after = 0
    while page := page_of_entries(session, after, PAGE):
        yield from page
        after = page[-1].sequence
        session.expunge_all()


def page_of_entries(session: Session, after: int, limit: int) -> Sequence[AuditEntry]:
    return session.scalars(
        select(AuditEntry)
        .where(AuditEntry.sequence > after)
        .order_by(AuditEntry.sequence)
        .limit(limit)
    ).all()


def verify(session: Session, *, head: str | None = None) -> Fault | None:
    """The first fault of the chain, or ``None``.

    A changed entry no longer has its hash, a missing or moved one breaks the sequence or the link.
    ``head`` is the last hash as it was noted elsewhere: it betrays a chain cut off or written anew.
    """
    expected, previous, seen = 1, GENESIS, head is None
    for entry in entries(session):
        if entry.sequence != expected:
            return Fault(expected, f"is missing: entry {entry.sequence} follows {expected - 1}")
        if entry.previous != previous:
            return Fault(entry.sequence, "does not follow the entry before it")
        if entry.sha256 != entry_hash(entry):
            return Fault(entry.sequence, "was changed after it was written")
        expected, previous = entry.sequence + 1, entry.sha256
        seen = seen or previous == head
    return None if seen else Fault(expected, "is missing: the noted head is not in the chain")


def chain_head(session: Session) -> tuple[int, str]:
    """Sequence and hash of the last entry; (0, ``GENESIS``) of an empty chain."""
    row = session.execute(
        select(AuditEntry.sequence, AuditEntry.sha256).order_by(AuditEntry.sequence.desc()).limit(1)
    ).first()
    return (0, GENESIS) if row is None else (row[0], row[1])

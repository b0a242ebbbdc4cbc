"""Builders for the service's tests: stored posts, people, rulings."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from screening.taxonomy import CONTEXT_IDS, LABEL_IDS
from service.auth import Principal, Role
from service.cases.service import Ruling, Stored
from service.sealing import Sealer
from service.tables import Content, PostRow, ScoreRow

AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
VIOLATING = Ruling({"incitement": "yes", "radicalism": "no"}, "incitement")
LAWFUL = Ruling(dict.fromkeys(LABEL_IDS, "no"), "news", "news")


def person(number: int, role: Role = Role.REVIEWER) -> Principal:
    return Principal(f"person:{number}", f"Orang {number}", role)


def store_post(session: Session, number: int = 1, text: str = "", **fields: object) -> Stored:
    """A post with its content and score, as scoring stores them; the default text is unique."""
    text = text or f"{hashlib.sha256(str(number).encode()).hexdigest()} nomor {number}"
    probability = float(str(fields.pop("probability", 0.8)))
    band = str(fields.pop("band", "review"))
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    content = session.get(Content, sha256)
    if content is None:
        sealed = Sealer().seal(text)
        session.add(
            Content(
                sha256=sha256,
                sealed=sealed,
                characters=len(text),
                created_at=AT,
                last_seen_at=AT,
            )
        )
    defaults: dict[str, object] = {
        "platform": "telegram",
        "channel_id": "1001",
        "message_id": str(number),
        "content_sha256": sha256,
        "posted_at": AT,
        "submitted_by": "key:1",
        "received_at": AT,
    }
    post = PostRow(**{**defaults, **fields})
    session.add(post)
    score = session.get(ScoreRow, (sha256, "fake-1"))
    if score is None:
        score = ScoreRow(
            content_sha256=sha256,
            release="fake-1",
            band=band,
            decided_by="terrorism",
            threshold=0.3,
            policy="fake-1",
            terrorism=probability,
            labels=dict.fromkeys(LABEL_IDS, 0.0) | {"incitement": probability},
            contexts=dict.fromkeys(CONTEXT_IDS, 0.0),
            windows=1,
            truncated=False,
            scored_at=AT,
        )
        session.add(score)
    session.flush()
    return Stored(post, score, text)

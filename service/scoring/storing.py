"""Submitted posts into the database: contents once, posts once, scores by release, then cases."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Insert, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from screening.policy import Policy
from screening.types import Post, Score
from service import audit
from service.auth import Principal
from service.cases.opening import Stored, draw, open_cases
from service.sealing import Sealer
from service.tables import Answered, Content, PostRow, ScoreRow


@dataclass(frozen=True, slots=True)
class Scored:
    """A submitted post with its score; ``views`` where the submitter knows them."""

    post: Post
    score: Score
    views: int | None = None
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", sha256_of(self.post.text))


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def store(
    session: Session,
    sealer: Sealer,
    scored: Sequence[Scored],
    *,
    policy: Policy,
    who: Principal,
    at: datetime,
    audit_share: float,
) -> None:
    """Keep one submission; see ``store_all``."""
    store_all(session, sealer, [(who, scored)], policy=policy, at=at, audit_share=audit_share)


def store_all(
    session: Session,
    sealer: Sealer,
    submissions: Sequence[tuple[Principal, Sequence[Scored]]],
    *,
    policy: Policy,
    at: datetime,
    audit_share: float,
) -> None:
    """Keep posts and scores and open their cases; what is there already is left as it is.

    Rows are written in one order, so that two transactions never wait for each other; each
    submission has its entry in the audit chain.
    """
    sent = [(who, item) for who, scored in submissions for item in scored]
    if not sent:
        return
    sent.sort(key=lambda pair: _key(pair[1]))
    ordered = [item for _, item in sent]
    known = _known_contents(session, ordered)
    put_contents(session, sealer, {item.sha256: item.post.text for item in ordered}, at)
    _put(session, PostRow, [_post_values(item, who, at) for who, item in sent])
    _put(session, ScoreRow, [_score_values(item, policy, at) for item in ordered])
    # Most posts are clear, and are not read back.
    news = {_key(item) for item in ordered if _place(item) not in known}
    drawn = {key for key in news if draw() < audit_share}
    wanted = {
        _key(item): item
        for item in ordered
        if _key(item) in drawn or policy.decide(item.score).band != "clear"
    }
    posts, scores = _stored_rows(session, list(wanted.values()))
    stored = [
        Stored(
            posts[key],
            scores[item.sha256],
            item.post.text,
            is_new=key in news,
            is_drawn=key in drawn,
        )
        for key, item in wanted.items()
    ]
    made = open_cases(session, stored, audit_share=audit_share, at=at)
    subject = f"release:{policy.version}"
    entries = []
    for who, scored in submissions:
        counts = Counter({"posts": len(scored), "opened": 0, "attached": 0})
        for key in {_key(item) for item in scored}:
            # Taken out, so that of two submissions with one post the first opened its case.
            counts.update(made.by_post.pop(posts[key].id, {}) if key in posts else {})
        if scored:
            entries.append(audit.Done(who.id, "posts.submit", subject, counts))
    audit.append_all(session, entries)


def remembered(session: Session, who: Principal, key: str) -> Answered | None:
    """The answer given before to this caller's ``Idempotency-Key``."""
    return session.get(Answered, (who.id, key))


def _key(item: Scored) -> tuple[str, str, str, str]:
    post = item.post
    return (post.platform, post.channel_id or "", post.message_id, item.sha256)


def _place(item: Scored) -> tuple[str, str, str]:
    """Where a content is new or not."""
    return (item.post.platform, item.post.channel_id or "", item.sha256)


def _known_contents(session: Session, scored: Sequence[Scored]) -> set[tuple[str, str, str]]:
    """Which contents their channels had before."""
    rows = session.execute(
        select(PostRow.platform, PostRow.channel_id, PostRow.content_sha256)
        .where(PostRow.content_sha256.in_({item.sha256 for item in scored}))
        .distinct()
    )
    return {(platform, channel, sha256) for platform, channel, sha256 in rows}


def put_contents(session: Session, sealer: Sealer, texts: Mapping[str, str], at: datetime) -> None:
    """Keep texts, by SHA-256; one that was purged and comes again is kept again, from now on."""
    rows = [
        {
            "sha256": sha256,
            "sealed": sealer.seal(text),
            "characters": len(text),
            "created_at": at,
            "last_seen_at": at,
        }
        for sha256, text in sorted(texts.items())
    ]
    insert = _insert(session, Content)
    session.execute(
        insert.on_conflict_do_update(
            index_elements=["sha256"],
            set_={
                "last_seen_at": insert.excluded.last_seen_at,
                "sealed": func.coalesce(Content.sealed, insert.excluded.sealed),
                "purged_at": None,
            },
        ),
        rows,
    )


def _put(session: Session, table: type[Any], rows: list[dict[str, Any]]) -> None:
    session.execute(_insert(session, table).on_conflict_do_nothing(), rows)


def _insert(session: Session, table: type[Any]) -> Any:
    dialect = session.get_bind().dialect.name
    # Into the table: the mapper would prepare every row once more.
    insert: Insert = (postgresql if dialect == "postgresql" else sqlite).insert(table.__table__)
    return insert


def _stored_rows(
    session: Session, scored: Sequence[Scored]
) -> tuple[dict[tuple[str, str, str, str], PostRow], dict[str, ScoreRow]]:
    if not scored:
        return {}, {}
    contents = {item.sha256 for item in scored}
    wanted = {item.post.message_id for item in scored}
    posts = session.scalars(
        select(PostRow).where(PostRow.content_sha256.in_(contents), PostRow.message_id.in_(wanted))
    )
    scores = session.scalars(
        select(ScoreRow).where(
            ScoreRow.content_sha256.in_(contents), ScoreRow.release == scored[0].score.release
        )
    )
    return (
        {(p.platform, p.channel_id, p.message_id, p.content_sha256): p for p in posts},
        {score.content_sha256: score for score in scores},
    )


def _post_values(item: Scored, who: Principal, at: datetime) -> dict[str, Any]:
    post = item.post
    return {
        "platform": post.platform,
        "channel_id": post.channel_id or "",
        "channel_name": post.channel_name,
        "message_id": post.message_id,
        "content_sha256": item.sha256,
        "posted_at": post.posted_at,
        "author_id": post.author_id,
        "author_name": post.author_name,
        "forwarded_from": post.forwarded_from,
        "permalink": post.permalink,
        "views": item.views,
        "submitted_by": who.id,
        "received_at": at,
    }


def _score_values(item: Scored, policy: Policy, at: datetime) -> dict[str, Any]:
    decision = policy.decide(item.score)
    return {
        "content_sha256": item.sha256,
        "release": item.score.release,
        "band": decision.band,
        "decided_by": decision.label,
        "threshold": decision.threshold,
        "policy": decision.policy,
        "terrorism": item.score.terrorism,
        "labels": dict(item.score.labels),
        "contexts": dict(item.score.contexts),
        "windows": item.score.windows,
        "truncated": item.score.truncated,
        "scored_at": at,
    }

"""Score what a request sends, keep it, and open its cases: one transaction, then the answer."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from screening.policy import Policy
from screening.types import Post
from service.auth import Principal
from service.db import Database, now
from service.errors import Conflict, Unprocessable
from service.observation import Metrics
from service.problems import FieldProblem, pointer
from service.scoring.batcher import Batcher
from service.scoring.schemas import PostIn
from service.scoring.storing import Scored, remembered, sha256_of, store_all
from service.sealing import Sealer
from service.settings import Settings
from service.tables import Answered
from service.writer import Writer

MAX_KEY = 256
FEW_POSTS = 16
"""Up to so many are read and answered between two other requests."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Room:
    """What scoring works with."""

    database: Database
    sealer: Sealer
    batcher: Batcher
    settings: Settings
    metrics: Metrics
    writer: Writer[Submission]


@dataclass(frozen=True, slots=True)
class Once:
    """A request that must take effect once: its ``Idempotency-Key`` and a digest of its body."""

    key: str
    sha256: str

    @classmethod
    def of(cls, key: str | None, body: object) -> Once | None:
        """``None`` without a key.

        Raises
        ------
        Unprocessable
            The key is empty or too long.
        """
        if key is None:
            return None
        if not 0 < len(key) <= MAX_KEY or "\x00" in key:
            raise Unprocessable(f"Idempotency-Key must have 1 to {MAX_KEY} characters")
        flat = json.dumps(body, sort_keys=True, default=str)
        return cls(key, hashlib.sha256(flat.encode()).hexdigest())


def read_posts(rows: Sequence[Any]) -> tuple[dict[int, PostIn], list[FieldProblem]]:
    """The posts that can be read, by their place, and what is wrong with the others."""
    posts: dict[int, PostIn] = {}
    problems: list[FieldProblem] = []
    for place, row in enumerate(rows):
        try:
            posts[place] = PostIn.model_validate(row)
        except ValidationError as error:
            problems += [
                FieldProblem(pointer=pointer(("posts", place, *e["loc"])), detail=e["msg"])
                for e in error.errors(include_url=False, include_input=False)
            ]
    return posts, problems


def text_post(text: str) -> Post:
    """A bare text as a post: its hash stands for its place."""
    return Post("api", None, sha256_of(text), text)


@dataclass(frozen=True, slots=True)
class Submission:
    """What is stored of a request, and the answer to it."""

    who: Principal
    scored: Sequence[Scored]
    once: Once | None
    body: dict[str, Any]


async def submit(
    room: Room,
    who: Principal,
    posts: Sequence[tuple[Post, int | None]],
    answer: Callable[[list[Scored]], dict[str, Any]],
    *,
    once: Once | None = None,
    is_kept: bool = True,
) -> tuple[dict[str, Any], bool]:
    """The answer to ``posts`` (each with its views), and whether it was given before.

    When this returns, posts, scores, cases and the answer to ``once`` are committed together.
    Requests that wait at the same time are scored in one batch and stored in one transaction.

    Raises
    ------
    Overloaded, Unavailable
        Nothing was stored.
    Unprocessable
        The ``Idempotency-Key`` was used for another request.
    Conflict
        The same key is being answered at this moment.
    """
    if once is not None:
        given = await run_in_threadpool(given_before, room, who, once)
        if given is not None:
            return given, True
    if is_kept:
        room.writer.check()
    scores = await asyncio.wrap_future(room.batcher.submit([post.text for post, _ in posts]))
    scored = [
        Scored(post, score, views) for (post, views), score in zip(posts, scores, strict=True)
    ]
    body = await apart(len(posts), answer, scored)
    for item in scored:
        band = room.batcher.policy.decide(item.score).band
        room.metrics.bands.labels(band, item.score.release).inc()
    if not is_kept:
        return body, False
    with answering(once):
        submission = Submission(who, scored, once, body)
        await asyncio.wrap_future(room.writer.submit(submission, len(posts)))
    return body, False


@contextmanager
def answering(once: Once | None) -> Iterator[None]:
    """Raise ``Conflict`` where another request with the key is stored first."""
    try:
        yield
    except IntegrityError as error:
        if once is None:
            raise
        raise Conflict(
            "a request with this Idempotency-Key is being answered; repeat it"
        ) from error


async def apart(posts: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """``work`` on so many posts: on a thread where it would hold up other requests."""
    if posts <= FEW_POSTS:
        return work(*args, **kwargs)
    return await run_in_threadpool(work, *args, **kwargs)


def write_submissions(
    session: Session,
    submissions: Sequence[Submission],
    *,
    sealer: Sealer,
    policy: Policy,
    audit_share: float,
) -> None:
    """Store the posts of several requests, and the answers to be remembered."""
    at = now()
    for sent in submissions:
        if sent.once is not None:
            remember(session, sent.who, sent.once, sent.body, at)
    store_all(
        session,
        sealer,
        [(sent.who, sent.scored) for sent in submissions],
        policy=policy,
        at=at,
        audit_share=audit_share,
    )


def remember(
    session: Session, who: Principal, once: Once, body: dict[str, Any], at: datetime
) -> None:
    """Keep the answer; ``IntegrityError`` where another request with the key was faster."""
    session.add(
        Answered(
            principal=who.id,
            key=once.key,
            request_sha256=once.sha256,
            answer=body,
            answered_at=at,
        )
    )
    session.flush()


def given_before(room: Room, who: Principal, once: Once) -> dict[str, Any] | None:
    """The answer to an earlier request with the same key.

    Raises
    ------
    Unprocessable
        The key was used for another request.
    """
    with room.database.reading() as session:
        given = remembered(session, who, once.key)
        if given is None:
            return None
        if given.request_sha256 != once.sha256:
            raise Unprocessable("this Idempotency-Key was used for another request; take a new one")
        return given.answer

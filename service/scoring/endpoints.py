"""Scoring over HTTP, in our own shape."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, cast

import orjson
from fastapi import APIRouter, Depends, Header, Request, Response

from service.auth import Permission, Principal
from service.dependencies import require
from service.errors import Unprocessable
from service.scoring import service
from service.scoring.schemas import ScoreAnswer, ScoreRequest, to_answer, to_post
from service.scoring.storing import Scored

router = APIRouter(prefix="/v1", tags=["scoring"])

REPLAYED = "Idempotent-Replayed"

Scoring = Annotated[Principal, Depends(require(Permission.SCORE))]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=service.MAX_KEY,
        description="A repeated request with the same key gets the first one's answer",
    ),
]


async def get_room(request: Request) -> service.Room:
    return cast(service.Room, request.app.state.room)


RoomDep = Annotated[service.Room, Depends(get_room)]


@router.post("/score", response_model=ScoreAnswer)
async def score_posts(
    sent: ScoreRequest, who: Scoring, room: RoomDep, idempotency_key: IdempotencyKey = None
) -> Response:
    """Score up to a thousand posts, keep them, and open cases for the hits.

    A bad post is named in ``errors`` and its place in ``results`` is ``null``; the others are
    scored. What is answered is stored.
    """
    posts, problems = await service.apart(len(sent.posts), service.read_posts, sent.posts)
    if not posts:
        errors = [problem.model_dump() for problem in problems]
        raise Unprocessable("no post of the request can be scored", errors=errors)
    once = None
    if idempotency_key is not None:
        once = await service.apart(len(posts), _once, idempotency_key, sent)
    policy = room.batcher.policy

    def answer(scored: list[Scored]) -> dict[str, Any]:
        results: list[Any] = [None] * len(sent.posts)
        for (place, post), item in zip(posts.items(), scored, strict=True):
            results[place] = to_answer(post, item, policy, with_spans=sent.spans)
        return ScoreAnswer(
            request_id=f"req_{secrets.token_hex(12)}",
            release=room.batcher.release,
            results=results,
            errors=problems,
        ).model_dump(mode="json")

    body, is_replayed = await service.submit(
        room,
        who,
        [(to_post(post), post.views) for post in posts.values()],
        answer,
        once=once,
    )
    # Built from the declared model above: to be checked against it again would take as long.
    headers = {REPLAYED: "true"} if is_replayed else None
    return Response(orjson.dumps(body), media_type="application/json", headers=headers)


def _once(key: str, sent: ScoreRequest) -> service.Once | None:
    return service.Once.of(key, {"posts": sent.posts, "spans": sent.spans})

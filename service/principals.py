"""Who holds a key, read once for all requests that ask at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool

from service.auth import Principal, principal_of_key
from service.db import Database
from service.errors import Unauthorized


class Principals:
    """Answers never come from before the question: a revoked key works for no later request.

    Requests that arrive while a read runs share the next one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked: dict[str, asyncio.Future[Principal]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def of_key(self, secret: str) -> Principal:
        """See ``service.auth.principal_of_key``."""
        answer = self._asked.get(secret)
        if answer is None:
            answer = self._asked[secret] = asyncio.get_running_loop().create_future()
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read())
        # One that asks may be given up; the others still wait.
        return await asyncio.shield(answer)

    async def _read(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, {}
            try:
                found = await run_in_threadpool(self._find, list(asked))
            except Exception as error:  # noqa: BLE001  whoever waits is told
                found = [error] * len(asked)
            for answer, principal in zip(asked.values(), found, strict=True):
                if isinstance(principal, Principal):
                    answer.set_result(principal)
                else:
                    answer.set_exception(principal)

    def _find(self, secrets: Sequence[str]) -> list[Principal | Exception]:
        found: list[Principal | Exception] = []
        with self._database.reading() as session:
            for secret in secrets:
                try:
                    found.append(principal_of_key(session, secret))
                except Unauthorized as error:
                    found.append(error)
        return found

"""How often somebody may ask, counted over a sliding window.

A window's limit holds for any span of its length as far as a sliding window counter can tell: the
count of the window before is weighted by the part of it that the span still covers, as if its
requests had come evenly. On PostgreSQL the counters are rows, so that the limit holds for all
workers together; on SQLite they are in the memory of its one process and start anew with it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from math import floor

from limits import RateLimitItem
from limits.storage import MemoryStorage, Storage
from limits.storage.base import SlidingWindowCounterSupport
from limits.strategies import SlidingWindowCounterRateLimiter
from sqlalchemy import case, delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.db import Database
from service.tables import RateWindow

STATE_KEY = "rate_limit"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where somebody stands: requests a window, how many of them are left, seconds until more."""

    limit: int
    window_seconds: int
    remaining: int
    wait_seconds: int

    @property
    def headers(self) -> dict[str, str]:
        """``RateLimit`` and ``RateLimit-Policy`` (draft-ietf-httpapi-ratelimit-headers-10)."""
        return {
            "RateLimit-Policy": f'"requests";q={self.limit};w={self.window_seconds}',
            "RateLimit": f'"requests";r={self.remaining};t={self.wait_seconds}',
        }


class RateLimits:
    """Counters by name, such as ``key:3``."""

    def __init__(self, database: Database) -> None:
        storage = MemoryStorage() if database.is_sqlite else TableStorage(database)
        self._windows: SlidingWindowCounterSupport = storage
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    def take(self, item: RateLimitItem, name: str) -> tuple[bool, Standing]:
        """Count one request where the limit allows it; whether it did, and where that leaves."""
        is_allowed = self._limiter.hit(item, name)
        expiry = item.get_expiry()
        previous, _, current, ttl = self._windows.get_sliding_window(item.key_for(name), expiry)
        left = ttl - expiry
        used = floor(previous * left / expiry) + current
        wait = seconds_until_one_more(previous, current, left, item.amount, expiry)
        # What was refused may fit a moment later, when it is looked at again.
        wait = wait if is_allowed else max(1, wait)
        return is_allowed, Standing(item.amount, expiry, max(0, item.amount - used), wait)

    def forget(self, item: RateLimitItem, name: str) -> None:
        """Count from nothing again."""
        self._limiter.clear(item, name)


def seconds_until_one_more(
    previous: int, current: int, left: float, limit: int, window: int
) -> int:
    """How long until another request fits, if none comes meanwhile; 0 where one fits now.

    ``left`` are the seconds until the current window ends. A window's count ``n`` that has ended
    weighs ``n * rest / window``, ``rest`` being the seconds of it that the span still covers; one
    more fits once the weighted sum is below ``limit``.
    """
    if previous * left / window + current < limit:
        return 0
    if current < limit:
        return floor(left - (limit - current) * window / previous) + 1
    return floor(left + window * (1 - limit / current)) + 1


class TableStorage(Storage, SlidingWindowCounterSupport):
    """Counters of ``limits`` as rows of PostgreSQL, one a key, locked while they are changed."""

    STORAGE_SCHEME = None

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    @property
    def base_exceptions(self) -> type[Exception]:
        return SQLAlchemyError

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        number, rest = divmod(time.time(), expiry)
        left = expiry - rest
        fresh = insert(RateWindow).values(
            key=key, number=int(number), current=0, previous=0, expires_at=_until(number, expiry)
        )
        turned = RateWindow.number < int(number)
        followed = RateWindow.number == int(number) - 1
        # The row is locked from here on; one of a worker whose clock is ahead is taken as it is.
        statement = fresh.on_conflict_do_update(
            index_elements=[RateWindow.key],
            set_={
                "previous": case(
                    (followed, RateWindow.current), (turned, 0), else_=RateWindow.previous
                ),
                "current": case((turned, 0), else_=RateWindow.current),
                "number": case((turned, int(number)), else_=RateWindow.number),
                "expires_at": _until(number, expiry),
            },
        ).returning(RateWindow)
        with self._database.session() as session:
            row = session.scalars(statement, execution_options={"populate_existing": True}).one()
            if floor(row.previous * left / expiry + row.current) + amount > limit:
                return False
            row.current += amount
            return True

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        number, rest = divmod(time.time(), expiry)
        with self._database.reading() as session:
            row = session.get(RateWindow, key)
        previous = current = 0
        if row is not None and row.number >= int(number):
            previous, current = row.previous, row.current
        elif row is not None and row.number == int(number) - 1:
            previous = row.current
        left = expiry - rest
        return previous, left, current, left + expiry

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        self.clear(key)

    def clear(self, key: str) -> None:
        with self._database.session() as session:
            session.execute(delete(RateWindow).where(RateWindow.key == key))

    def reset(self) -> int | None:
        with self._database.session() as session:
            session.execute(delete(RateWindow))
        return None

    def check(self) -> bool:
        self._database.ping()
        return True

    # The interface asks for fixed windows too; nothing here counts in them.

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError("only sliding windows are kept")

    def get(self, key: str) -> int:
        raise NotImplementedError("only sliding windows are kept")

    def get_expiry(self, key: str) -> float:
        raise NotImplementedError("only sliding windows are kept")


class RateHeaders:
    """Middleware: an answer to a limited key tells where it stands, whatever the answer is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def tell(message: Message) -> None:
            standing = state.get(STATE_KEY)
            if message["type"] == "http.response.start" and standing is not None:
                found = [(k.lower().encode(), v.encode()) for k, v in standing.headers.items()]
                message["headers"] = [*message.get("headers", []), *found]
            await send(message)

        await self._app(scope, receive, tell)


def _until(number: float, expiry: int) -> datetime:
    """When the window has lost all weight."""
    return datetime.fromtimestamp((number + 2) * expiry, UTC)

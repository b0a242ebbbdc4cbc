"""What concurrent requests write, in one transaction: all of them wait for one commit."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from service.db import Database
from service.errors import ServiceError, Unavailable

T = TypeVar("T")


@dataclass(slots=True)
class _Waiting(Generic[T]):
    item: T
    size: int
    done: Future[None] = field(default_factory=Future)


class Writer(Generic[T]):
    """Writes what waits, together, on one thread; an item is done once it is committed.

    A commit waits for the disk and holds up every other writer of SQLite, so that its price is
    shared. Where items together cannot be written, each is written by itself, so that only the bad
    one fails.
    """

    def __init__(
        self,
        database: Database,
        write: Callable[[Session, Sequence[T]], None],
        *,
        together: int,
        most_waiting: int,
    ) -> None:
        self._database = database
        self._write = write
        self._together = together
        self._most_waiting = most_waiting
        self._queue: deque[_Waiting[T]] = deque()
        self._size = 0
        self._is_closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """What was accepted and is not yet being written, by size."""
        return self._size

    def check(self) -> None:
        """Raise ``Unavailable`` where the database is so far behind that no more should be begun.

        What was begun before is still taken.
        """
        if self._size >= self._most_waiting:
            raise Unavailable(
                "the database is behind with what was scored; nothing was stored, try again",
                retry_after_seconds=5,
            )

    def submit(self, item: T, size: int = 1) -> Future[None]:
        """The commit of ``item``; its failure is what the transaction raised."""
        waiting = _Waiting(item, size)
        with self._changed:
            if self._is_closing:
                raise Unavailable("the service is stopping; try again", retry_after_seconds=5)
            self._queue.append(waiting)
            self._size += size
            self._changed.notify()
        return waiting.done

    def close(self) -> None:
        """Write what was accepted, take nothing more, and stop."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while group := self._next_group():
            failure = self._try(group)
            # A database that is away would be away for each of them, one time-out after another.
            is_one_bad = failure is not None and not isinstance(failure, ServiceError)
            for waiting in group:
                alone = self._try([waiting]) if is_one_bad and len(group) > 1 else failure
                _settle(waiting.done, alone)

    def _next_group(self) -> list[_Waiting[T]]:
        """The oldest items that fit together, waiting for the first; none when closed and done."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_closing)
            group: list[_Waiting[T]] = []
            size = 0
            while self._queue and (not group or size + self._queue[0].size <= self._together):
                group.append(self._queue.popleft())
                size += group[-1].size
            self._size -= size
            # From here on nobody can withdraw; a request that was given up is still written.
            for waiting in group:
                waiting.done.set_running_or_notify_cancel()
            return group

    def _try(self, group: Sequence[_Waiting[T]]) -> Exception | None:
        try:
            with self._database.session() as session:
                self._write(session, [waiting.item for waiting in group])
        except Exception as error:  # noqa: BLE001  whoever waits is told, and the thread lives
            return error
        return None


def _settle(done: Future[None], failure: Exception | None) -> None:
    if done.cancelled():
        return
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)

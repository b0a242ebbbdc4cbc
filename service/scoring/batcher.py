"""Posts of all requests are scored in one place: whoever waits, together; a bounded queue."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from screening.policy import Policy
from screening.scorer import Scorer
from screening.types import Score
from service.errors import Overloaded, Unavailable

SMOOTHING = 0.2
"""Weight of the newest batch in the speed that ``Retry-After`` is computed from."""

WHOLE_POSTS = 16
"""So many that wait are scored together; fewer at a time would take longer in all."""


@dataclass(slots=True)
class _Job:
    texts: Sequence[str]
    answer: Future[list[Score]] = field(default_factory=Future)


class Batcher:
    """Scores the texts of concurrent requests together, on one thread.

    A request waits for its own answer. Where ``queue_posts`` wait already, or as many as take
    longer than ``queue_seconds``, it is refused at once, so that those accepted are answered in
    bounded time; a request larger than the queue is taken while nothing else waits.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        batch_posts: int,
        queue_posts: int,
        queue_seconds: float = math.inf,
        on_batch: Callable[[int, float], None] = lambda posts, seconds: None,
    ) -> None:
        self._scorer = scorer
        self._batch_posts = batch_posts
        self._queue_posts = queue_posts
        self._queue_seconds = queue_seconds
        self._on_batch = on_batch
        self._jobs: deque[_Job] = deque()
        self._waiting = 0
        self._posts_per_second = 100.0
        self._is_closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    @property
    def release(self) -> str:
        return self._scorer.release

    @property
    def policy(self) -> Policy:
        return self._scorer.policy

    @property
    def waiting(self) -> int:
        """Posts accepted and not yet scored."""
        return self._waiting

    def score(self, texts: Sequence[str]) -> list[Score]:
        """Scores in the order of ``texts``, waited for; see ``submit``."""
        return self.submit(texts).result()

    def submit(self, texts: Sequence[str]) -> Future[list[Score]]:
        """Scores in the order of ``texts``, once they are there.

        Raises
        ------
        Overloaded
            The queue is full; nothing was done. ``retry_after_seconds`` says when to come back.
        Unavailable
            The service is stopping.
        """
        job = _Job(texts)
        if not texts:
            job.answer.set_result([])
            return job.answer
        with self._changed:
            if self._is_closing:
                raise Unavailable("the service is stopping; try again", retry_after_seconds=5)
            self.check(len(texts))
            self._jobs.append(job)
            self._waiting += len(texts)
            self._changed.notify()
        return job.answer

    def check(self, posts: int = 1) -> None:
        """Raise ``Overloaded`` where so many more posts would be refused now."""
        seconds = self._waiting / self._posts_per_second
        is_full = self._waiting and self._waiting + posts > self._queue_posts
        if is_full or seconds > self._queue_seconds:
            whole = math.ceil(seconds)
            raise Overloaded(
                f"{self._waiting} posts are waiting already; try again in {whole} s",
                retry_after_seconds=whole,
            )

    def close(self) -> None:
        """Score what was accepted, take nothing more, and stop."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while (jobs := self._next_jobs()) is not None:
            if not jobs:
                continue  # given up by those who waited
            texts = [text for job in jobs for text in job.texts]
            began = time.monotonic()
            try:
                scores = self._scorer.score(texts)
            except Exception as error:  # noqa: BLE001  whoever waits is told, and the thread lives
                for job in jobs:
                    job.answer.set_exception(error)
            else:
                start = 0
                for job in jobs:
                    job.answer.set_result(scores[start : start + len(job.texts)])
                    start += len(job.texts)
            self._note_speed(len(texts), time.monotonic() - began)

    def _next_jobs(self) -> list[_Job] | None:
        """The oldest jobs that make a batch, waiting for the first; ``None`` once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._is_closing)
            if not self._jobs:
                return None
            # Half, so that the rest is scored while these are stored and answered.
            most = min(self._batch_posts, max(WHOLE_POSTS, self._waiting // 2))
            jobs: list[_Job] = []
            posts = 0
            while self._jobs and (not jobs or posts + len(self._jobs[0].texts) <= most):
                job = self._jobs.popleft()
                if job.answer.set_running_or_notify_cancel():
                    jobs.append(job)
                    posts += len(job.texts)
                else:
                    self._waiting -= len(job.texts)
            return jobs

    def _note_speed(self, posts: int, seconds: float) -> None:
        with self._changed:
            self._waiting -= posts
            speed = posts / max(seconds, 1e-6)
            self._posts_per_second += SMOOTHING * (speed - self._posts_per_second)
        self._on_batch(posts, seconds)

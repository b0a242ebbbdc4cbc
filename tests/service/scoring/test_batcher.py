from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from screening.types import Score
from service.errors import Overloaded, Unavailable
from service.scoring.batcher import Batcher
from tests.builders import FakeScorer


class GatedScorer(FakeScorer):
    """Scores only while its gate is open, and notes the batches."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.batches: list[int] = []

    def score(self, texts: Sequence[str]) -> list[Score]:
        self.gate.wait(30)
        self.batches.append(len(texts))
        if "bad" in texts:
            raise ValueError("broken engine")
        return super().score(texts)


@pytest.fixture
def scorer() -> GatedScorer:
    return GatedScorer()


@pytest.fixture
def batcher(scorer: GatedScorer) -> Iterator[Batcher]:
    made = Batcher(scorer, batch_posts=8, queue_posts=20)
    yield made
    scorer.gate.set()
    made.close()


def wait_for(batcher: Batcher, posts: int) -> None:
    for _ in range(3000):
        if batcher.waiting == posts:
            return
        time.sleep(0.01)
    raise AssertionError(f"{batcher.waiting} posts wait, not {posts}")


def test_requests_that_wait_together_are_scored_together(
    batcher: Batcher, scorer: GatedScorer
) -> None:
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(batcher.score, ["x"])
        wait_for(batcher, 1)
        time.sleep(0.05)  # the first is taken alone: nobody else waited
        others = [pool.submit(batcher.score, ["x" * n + "y", "y"]) for n in range(1, 7)]
        wait_for(batcher, 13)
        scorer.gate.set()
        assert first.result()[0].terrorism == 1.0
        for n, other in enumerate(others, 1):
            assert [s.terrorism for s in other.result()] == [round(n / (n + 1), 6), 0.0]
    assert scorer.batches == [1, 8, 4]


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(
    batcher: Batcher, scorer: GatedScorer
) -> None:
    with ThreadPoolExecutor(2) as pool:
        accepted = pool.submit(batcher.score, ["x"] * 15)
        wait_for(batcher, 15)
        with pytest.raises(Overloaded, match="15 posts are waiting") as caught:
            batcher.score(["x"] * 6)
        assert caught.value.retry_after_seconds == 1
        scorer.gate.set()
        assert len(accepted.result()) == 15
    wait_for(batcher, 0)


def test_of_many_that_wait_half_are_scored_first(scorer: GatedScorer) -> None:
    batcher = Batcher(scorer, batch_posts=32, queue_posts=1000)
    waiting = [batcher.submit(["x"])]
    time.sleep(0.05)
    waiting += [batcher.submit(["x"]) for _ in range(100)]
    scorer.gate.set()
    for answer in waiting:
        answer.result(30)
    batcher.close()
    assert scorer.batches == [1, 32, 32, 18, 16, 2]


def test_a_wait_longer_than_allowed_is_refused_at_once(scorer: GatedScorer) -> None:
    batcher = Batcher(scorer, batch_posts=8, queue_posts=1000, queue_seconds=0.5)
    with ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(batcher.score, ["x"] * 60)
        wait_for(batcher, 60)  # 0.6 s at the 100 posts/s that are assumed before the first batch
        with pytest.raises(Overloaded, match="60 posts are waiting"):
            batcher.score(["x"])
        scorer.gate.set()
        assert len(accepted.result()) == 60
    batcher.close()


def test_what_is_given_up_before_its_turn_is_not_scored(
    batcher: Batcher, scorer: GatedScorer
) -> None:
    first = batcher.submit(["x"])
    wait_for(batcher, 1)
    time.sleep(0.05)
    given_up, other = batcher.submit(["y"] * 8), batcher.submit(["x", "x"])
    assert given_up.cancel()
    scorer.gate.set()
    assert len(first.result(30)) == 1
    assert len(other.result(30)) == 2
    wait_for(batcher, 0)
    assert "y" not in scorer.asked


def test_a_request_larger_than_the_queue_is_taken_when_nothing_waits(
    batcher: Batcher, scorer: GatedScorer
) -> None:
    scorer.gate.set()
    assert len(batcher.score(["x"] * 50)) == 50


def test_an_error_reaches_those_of_its_batch_and_the_next_are_scored(
    batcher: Batcher, scorer: GatedScorer
) -> None:
    scorer.gate.set()
    with pytest.raises(ValueError, match="broken engine"):
        batcher.score(["bad"])
    assert batcher.score(["x"])[0].terrorism == 1.0


def test_closing_answers_what_was_accepted_and_refuses_the_rest(scorer: GatedScorer) -> None:
    batcher = Batcher(scorer, batch_posts=8, queue_posts=20)
    with ThreadPoolExecutor(2) as pool:
        accepted = pool.submit(batcher.score, ["x"] * 3)
        wait_for(batcher, 3)
        closing = pool.submit(batcher.close)
        scorer.gate.set()
        assert len(accepted.result()) == 3
        closing.result()
    with pytest.raises(Unavailable, match="stopping"):
        batcher.score(["x"])

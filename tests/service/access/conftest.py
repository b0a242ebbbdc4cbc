"""A clock that stands still, for what is counted by the minute."""

from __future__ import annotations

import time

import pytest

BEGIN = 1_800_000_000.0
"""The begin of a minute, and of fifteen."""


class Clock:
    def __init__(self) -> None:
        self.at = BEGIN

    def time(self) -> float:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the counters."""
    clock = Clock()
    monkeypatch.setattr(time, "time", clock.time)
    return clock

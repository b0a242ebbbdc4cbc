"""The one protocol every engine meets, and what callers may rely on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from screening.policy import Policy
from screening.types import Score

BATCH_TOLERANCE = 1e-5
"""Largest difference in a probability that company in a batch may make. OpenVINO gives the same
bits in int8 and bfloat16, for no text is padded; ONNX Runtime and torch sum in another order."""


class Scorer(Protocol):
    """Texts in, calibrated scores out, in the same order.

    Scores depend on the text alone, within ``BATCH_TOLERANCE``; the same sequence of texts gives
    the same scores to the last bit on the same machine.
    """

    @property
    def release(self) -> str:
        """Id of the release whose weights, calibration and thresholds are in use."""

    @property
    def policy(self) -> Policy:
        """The release's thresholds."""

    def score(self, texts: Sequence[str]) -> list[Score]:
        """Score raw texts (unnormalised; the scorer normalises)."""

    def score_chunks(self, chunks: Iterable[Sequence[str]]) -> Iterator[list[Score]]:
        """Score chunk after chunk, preparing the next while the present one is computed."""

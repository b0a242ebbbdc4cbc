"""From a score to a proposal: thresholds travel in the release and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from screening.taxonomy import TERRORISM
from screening.types import Band, Decision, Score

SCREENED = (TERRORISM, "radicalism")
"""What a band is decided on: the terrorism group and radicalism."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Lowest probability of each band. ``urgent`` is ``None`` where a release refuses that band."""

    review: float
    urgent: float | None


@dataclass(frozen=True, slots=True)
class Policy:
    """One threshold pair per screened label; ``version`` names it in every decision."""

    thresholds: Mapping[str, Threshold]
    version: str

    def decide(self, score: Score) -> Decision:
        """The highest band any screened label reaches; ties go to the larger probability."""
        proposals = [self._decide_label(label, screened(score, label)) for label in SCREENED]
        return max(proposals, key=lambda d: (_RANK[d.band], d.probability))

    def _decide_label(self, label: str, probability: float) -> Decision:
        threshold = self.thresholds[label]
        if threshold.urgent is not None and probability >= threshold.urgent:
            return Decision("urgent", label, probability, threshold.urgent, self.version)
        band: Band = "review" if probability >= threshold.review else "clear"
        return Decision(band, label, probability, threshold.review, self.version)


_RANK: Mapping[Band, int] = {"clear": 0, "review": 1, "urgent": 2}


def screened(score: Score, label: str) -> float:
    """Probability of a screened label, the terrorism group included."""
    return score.terrorism if label == TERRORISM else score.labels[label]


def risk(score: Score) -> float:
    """What results are ranked by: the larger of the screened probabilities."""
    return max(screened(score, label) for label in SCREENED)

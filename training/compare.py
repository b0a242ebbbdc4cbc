"""Two releases on the same frozen test: better, equal or worse, on what and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from models.scorer import ReleaseScorer
from screening.labelled import LabelledPost
from screening.policy import SCREENED
from screening.types import Score
from training.data import targets
from training.evaluate import is_positive, reached, screened_probabilities
from training.metrics import BOOTSTRAPS, Floats, Metric, pr_auc, recall_at_precision

Verdict = Literal["better", "equal", "worse"]


@dataclass(frozen=True)
class Difference:
    """One figure of both releases; ``interval`` holds 95 % of the new one's lead."""

    figure: str
    old: float
    new: float
    interval: tuple[float, float]
    higher_is_better: bool

    @property
    def verdict(self) -> Verdict:
        """Whether the interval leaves out zero, and on which side."""
        low, high = (
            self.interval if self.higher_is_better else tuple(-v for v in self.interval[::-1])
        )
        return "better" if low > 0 else "worse" if high < 0 else "equal"


@dataclass(frozen=True)
class Comparison:
    """All differences between an old and a new release on ``posts`` posts."""

    old: str
    new: str
    posts: int
    families: int
    differences: tuple[Difference, ...]

    @property
    def verdict(self) -> Verdict:
        """Worse where any figure is worse; better where none is and some figure is better."""
        verdicts = {difference.verdict for difference in self.differences}
        return "worse" if "worse" in verdicts else "better" if "better" in verdicts else "equal"

    def to_json(self) -> dict[str, Any]:
        return {
            "old": self.old,
            "new": self.new,
            "verdict": self.verdict,
            "posts": self.posts,
            "families": self.families,
            "differences": [
                {
                    "figure": d.figure,
                    "old": round(d.old, 4),
                    "new": round(d.new, 4),
                    "interval": [round(value, 4) for value in d.interval],
                    "verdict": d.verdict,
                }
                for d in self.differences
            ],
        }

    def sentences(self) -> list[str]:
        """What a reader who is no specialist needs to know."""
        lines = [
            f"{self.new} is {self.verdict.upper()} than {self.old} on {self.posts} held-out posts "
            f"({self.families} families)."
            if self.verdict != "equal"
            else f"{self.new} and {self.old} cannot be told apart on {self.posts} held-out posts "
            f"({self.families} families)."
        ]
        for d in self.differences:
            low, high = d.interval
            lines.append(
                f"  {d.verdict:>6}: {d.figure} {d.old:.3f} -> {d.new:.3f} "
                f"(difference {low:+.3f} to {high:+.3f})"
            )
        return lines


def compare(old: ReleaseScorer, new: ReleaseScorer, test: Sequence[LabelledPost]) -> Comparison:
    """Both releases on ``test``, with paired bootstrap intervals over whole families."""
    texts = [post.text for post in test]
    scores = [scorer.score(texts) for scorer in (old, new)]
    found = [screened_probabilities(part) for part in scores]
    truth = targets(test, SCREENED)
    families = [post.family for post in test]
    differences = []
    for column, label in enumerate(SCREENED):
        known = ~np.isnan(truth[:, column])
        for name, metric in _FIGURES:
            differences.append(
                _difference(
                    f"{label} {name}",
                    metric,
                    truth[known, column],
                    (found[0][known, column], found[1][known, column]),
                    [family for family, is_known in zip(families, known, strict=True) if is_known],
                )
            )
    flags = [
        reached(scorer, part, "review") for scorer, part in zip((old, new), scores, strict=True)
    ]
    positive = np.array([is_positive(post) for post in test], float)
    given = (flags[0].astype(float), flags[1].astype(float))
    differences.append(_difference("review recall", _recall, positive, given, families))
    differences.append(
        _difference("review false positives", _false_rate, positive, given, families, lower=True)
    )
    return Comparison(old.release, new.release, len(test), len(set(families)), tuple(differences))


def _difference(
    figure: str,
    metric: Metric,
    truth: Floats,
    given: tuple[Floats, Floats],
    families: Sequence[str],
    *,
    lower: bool = False,
) -> Difference:
    rng = np.random.default_rng(0)
    _, number = np.unique(list(families), return_inverse=True)
    rows = [np.flatnonzero(number == family) for family in range(number.max() + 1)]
    leads = []
    for _ in range(BOOTSTRAPS):
        drawn = np.concatenate([rows[f] for f in rng.integers(0, len(rows), len(rows))])
        if 0 < truth[drawn].sum() < len(drawn):
            leads.append(
                metric(truth[drawn], given[1][drawn]) - metric(truth[drawn], given[0][drawn])
            )
    low, high = np.percentile(leads, [2.5, 97.5])
    return Difference(
        figure,
        metric(truth, given[0]),
        metric(truth, given[1]),
        (float(low), float(high)),
        not lower,
    )


def _flags(scorer: ReleaseScorer, scores: Sequence[Score]) -> Floats:
    return reached(scorer, scores, "review").astype(float)


def _recall(truth: Floats, flags: Floats) -> float:
    return float(flags[truth == 1].mean())


def _false_rate(truth: Floats, flags: Floats) -> float:
    return float(flags[truth == 0].mean())


_FIGURES: tuple[tuple[str, Metric], ...] = (
    ("PR-AUC", pr_auc),
    ("recall at 90 % precision", lambda truth, prob: recall_at_precision(truth, prob, 0.90)),
)

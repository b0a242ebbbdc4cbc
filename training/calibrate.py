"""Fit calibration and thresholds on validation posts the weights never learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from statsmodels.stats.proportion import proportion_confint

from models.release import OUTPUTS
from screening.calibration import Calibration
from screening.policy import SCREENED
from training.errors import TrainingError

URGENT_PRECISION = 0.95
REVIEW_RECALL = 0.98
REVIEW_LAWFUL_RATE = 0.002
"""Largest share of any lawful public set that one label may send to review: a band that holds
nearly every post would be no band. Posts of other sets come in two to five times as often, and one
in a hundred is what reviewers can bear."""

PREVALENCE = 0.01
"""Share of violating posts that thresholds are computed for: authored data are half positives,
a channel is not."""

ALPHA = 0.05
"""One-sided risk of each bound."""

Floats = npt.NDArray[np.floating[Any]]


def fit_calibration(logits: Floats, y_true: Floats) -> Calibration:
    """Platt scaling of each output on its known answers; logits and answers (n, n_outputs).

    Raises
    ------
    TrainingError
        An output that always has the same answer cannot be calibrated.
    """
    slopes, intercepts = [], []
    for column, output in enumerate(OUTPUTS):
        known = ~np.isnan(y_true[:, column])
        if len(np.unique(y_true[known, column])) < 2:
            raise TrainingError(
                f"the validation split holds no '{output}' post, or nothing else; "
                "add posts of both answers"
            )
        # Light regularisation only keeps a separable output finite.
        model = LogisticRegression(C=10.0).fit(
            logits[known, column : column + 1], y_true[known, column]
        )
        slopes.append(float(max(model.coef_[0, 0], 1e-3)))
        intercepts.append(float(model.intercept_[0]))
    return Calibration(OUTPUTS, tuple(slopes), tuple(intercepts))


def fit_thresholds(
    y_true: Floats, y_prob: Floats, lawful: Sequence[Floats], *, prevalence: float = PREVALENCE
) -> dict[str, dict[str, Any]]:
    """Review and urgent thresholds of each screened label.

    Answers and probabilities of shape (n, n_screened), as decisions compare them. ``lawful`` are
    probabilities of public lawful sets, each of shape (m, n_screened): together with the
    authored negatives they say how often a lawful post reaches a threshold. ``urgent`` is
    ``None`` where no threshold's precision has a lower bound of ``URGENT_PRECISION``.
    """
    thresholds = {}
    for column, label in enumerate(SCREENED):
        positives = y_prob[y_true[:, column] == 1, column]
        public = [found[:, column] for found in lawful]
        negatives = np.concatenate([y_prob[y_true[:, column] == 0, column], *public])
        review = review_threshold(positives, public)
        thresholds[label] = {
            "review": review,
            "review_lawful_rate": REVIEW_LAWFUL_RATE,
            "review_recall": round(float((positives >= review).mean()), 4),
            "urgent": urgent_threshold(positives, negatives, prevalence),
            "prevalence": prevalence,
            "positives": len(positives),
            "negatives": len(negatives),
        }
    return thresholds


def review_threshold(positives: Floats, lawful: Sequence[Floats]) -> float:
    """The largest threshold that keeps ``REVIEW_RECALL`` of positives, or, where that would send
    more than ``REVIEW_LAWFUL_RATE`` of a lawful set to review, the lowest that does not.

    Conformal risk control (Angelopoulos et al. 2024) on n exchangeable positives: at most
    ``floor((n + 1) * (1 - recall)) - 1`` of them may be missed, so expected recall is kept.
    """
    allowed = int(np.floor((len(positives) + 1) * (1 - REVIEW_RECALL))) - 1
    threshold = float(np.floor(np.sort(positives)[max(allowed, 0)] * 1e4) / 1e4)
    limits = [np.quantile(found, 1 - REVIEW_LAWFUL_RATE) for found in lawful if len(found)]
    return max([threshold, *(float(np.ceil(limit * 1e4) / 1e4) for limit in limits)])


def urgent_threshold(positives: Floats, negatives: Floats, prevalence: float) -> float | None:
    """The lowest threshold whose precision at ``prevalence`` is surely high enough.

    The bound takes the recall's lower and the false-positive rate's upper Clopper-Pearson limit,
    each one-sided at half of ``ALPHA`` (Bonferroni).
    """
    for threshold in np.unique(np.ceil(positives * 1e4) / 1e4):
        hits, false = int((positives >= threshold).sum()), int((negatives >= threshold).sum())
        recall, _ = proportion_confint(hits, len(positives), ALPHA, method="beta")
        _, false_rate = proportion_confint(false, len(negatives), ALPHA, method="beta")
        expected = prevalence * recall
        if expected / (expected + (1 - prevalence) * false_rate) >= URGENT_PRECISION:
            return float(threshold)
    return None

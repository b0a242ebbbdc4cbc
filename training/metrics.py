"""PR-AUC and recall at a precision, with bootstrap intervals over minimal-pair families."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, precision_recall_curve

from models.release import OUTPUTS
from screening.policy import SCREENED
from screening.taxonomy import LABEL_IDS

Floats = npt.NDArray[np.floating[Any]]
Metric = Callable[[Floats, Floats], float]

BOOTSTRAPS = 1000


def pr_auc(y_true: Floats, y_score: Floats) -> float:
    """Average precision (area under the precision-recall curve)."""
    return float(average_precision_score(y_true, y_score))


def recall_at_precision(y_true: Floats, y_score: Floats, precision: float) -> float:
    """The largest recall any threshold gives at ``precision`` or better; 0 where none does.

    >>> recall_at_precision(np.array([1, 1, 0, 1]), np.array([0.9, 0.8, 0.7, 0.6]), 0.9)
    0.6666666666666666
    """
    precisions, recalls, _ = precision_recall_curve(y_true, y_score)
    return float(recalls[precisions >= precision].max(initial=0.0))


def calibration_error(y_true: Floats, y_prob: Floats, bins: int = 10) -> float:
    """Expected calibration error over ``bins`` equal-width bins (Naeini et al. 2015)."""
    index = np.minimum((y_prob * bins).astype(int), bins - 1)
    gaps = [
        (index == b).mean() * abs(y_true[index == b].mean() - y_prob[index == b].mean())
        for b in range(bins)
        if (index == b).any()
    ]
    return float(sum(gaps))


def reliability(y_true: Floats, y_prob: Floats, bins: int = 10) -> list[dict[str, Any]]:
    """Points of a reliability plot: mean probability and share of positives per filled bin."""
    index = np.minimum((y_prob * bins).astype(int), bins - 1)
    return [
        {
            "posts": int((index == b).sum()),
            "probability": round(float(y_prob[index == b].mean()), 4),
            "positives": round(float(y_true[index == b].mean()), 4),
        }
        for b in range(bins)
        if (index == b).any()
    ]


def interval(
    metric: Metric, y_true: Floats, y_score: Floats, families: Sequence[str], seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap interval, whole families drawn together so that pairs stay pairs."""
    rng = np.random.default_rng(seed)
    _, number = np.unique(list(families), return_inverse=True)
    rows = [np.flatnonzero(number == family) for family in range(number.max() + 1)]
    values = []
    for _ in range(BOOTSTRAPS):
        drawn = np.concatenate([rows[f] for f in rng.integers(0, len(rows), len(rows))])
        if 0 < y_true[drawn].sum() < len(drawn):
            values.append(metric(y_true[drawn], y_score[drawn]))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def report(y_true: Floats, y_prob: Floats, families: Sequence[str]) -> dict[str, Any]:
    """PR-AUC and recall at precision 0.90, 0.95 and 0.99 of every label; intervals for the
    screened ones. Unknown answers (NaN) are left out."""
    rows: dict[str, Any] = {}
    for label in (*SCREENED, *(label for label in LABEL_IDS if label not in SCREENED)):
        column = OUTPUTS.index(label)
        known = ~np.isnan(y_true[:, column])
        truth, prob = y_true[known, column], y_prob[known, column]
        rows[label] = {"posts": len(truth), "positives": int(truth.sum())}
        for name, metric in _METRICS.items():
            rows[label][name] = round(metric(truth, prob), 4)
            if label in SCREENED:
                at = [family for family, is_known in zip(families, known, strict=True) if is_known]
                low, high = interval(metric, truth, prob, at)
                rows[label][f"{name}_interval"] = [round(low, 4), round(high, 4)]
        rows[label]["calibration_error"] = round(calibration_error(truth, prob), 4)
    return rows


_METRICS: dict[str, Metric] = {
    "pr_auc": pr_auc,
    "recall_at_precision_90": lambda truth, prob: recall_at_precision(truth, prob, 0.90),
    "recall_at_precision_95": lambda truth, prob: recall_at_precision(truth, prob, 0.95),
    "recall_at_precision_99": lambda truth, prob: recall_at_precision(truth, prob, 0.99),
}

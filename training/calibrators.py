"""Ways to turn a logit into a probability, measured on the same posts: why Platt scaling ships."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.model_selection import GroupKFold
from venn_abers import VennAbers

from models.release import OUTPUTS
from screening.policy import SCREENED
from training.metrics import calibration_error

FOLDS = 5
EDGE = 1e-4
"""Probabilities are kept this far from 0 and 1, so that one sure mistake has a finite loss."""

Floats = npt.NDArray[np.floating[Any]]
Method = Callable[[Floats, Floats, Floats], Floats]


def none(logits: Floats, y_true: Floats, asked: Floats) -> Floats:
    """The sigmoid of the logit as it is."""
    found: Floats = expit(asked)
    return found


def temperature(logits: Floats, y_true: Floats, asked: Floats) -> Floats:
    """One factor (Guo et al. 2017)."""

    def loss(log_factor: float) -> float:
        return float(log_loss(y_true, expit(logits * np.exp(log_factor)), labels=[0, 1]))

    factor = np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x)
    return none(logits, y_true, asked * factor)


def platt(logits: Floats, y_true: Floats, asked: Floats) -> Floats:
    """Factor and offset (Platt 1999): what ``training.calibrate`` fits."""
    model = LogisticRegression(C=10.0).fit(logits[:, None], y_true)
    found: Floats = model.predict_proba(asked[:, None])[:, 1]
    return found


def isotonic(logits: Floats, y_true: Floats, asked: Floats) -> Floats:
    """The best rising step function (Zadrozny and Elkan 2002)."""
    model = IsotonicRegression(out_of_bounds="clip").fit(logits, y_true)
    found: Floats = model.predict(asked)
    return found


def venn_abers(logits: Floats, y_true: Floats, asked: Floats) -> Floats:
    """Two isotonic fits a post, one for each answer it may have (Vovk and Petej 2014)."""
    model = VennAbers()
    model.fit(_both(logits), y_true.astype(int))
    found: Floats = model.predict_proba(_both(asked))[0][:, 1]
    return found


def _both(logits: Floats) -> Floats:
    return np.stack([expit(-logits), expit(logits)], axis=1)


METHODS: Mapping[str, Method] = {
    "none": none,
    "temperature": temperature,
    "platt": platt,
    "isotonic": isotonic,
    "venn_abers": venn_abers,
}


def measured(
    logits: Floats, y_true: Floats, families: Sequence[str]
) -> dict[str, dict[str, dict[str, float]]]:
    """``{screened label: {method: {log_loss, brier, calibration_error}}}``.

    Logits and answers of shape (n_posts, n_outputs). Each post is judged by a fit on other
    families (5 folds), so a method that only memorises does not look good.
    """
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for label in SCREENED:
        column = OUTPUTS.index(label)
        known = ~np.isnan(y_true[:, column])
        given, truth = logits[known, column].astype(float), y_true[known, column]
        groups = [family for family, is_known in zip(families, known, strict=True) if is_known]
        rows[label] = {
            name: _judged(method, given, truth, groups) for name, method in METHODS.items()
        }
    return rows


def _judged(
    method: Method, logits: Floats, y_true: Floats, groups: Sequence[str]
) -> dict[str, float]:
    found = np.zeros(len(logits))
    for fit, asked in GroupKFold(min(FOLDS, len(set(groups)))).split(logits, groups=groups):
        found[asked] = method(logits[fit], y_true[fit], logits[asked])
    found = np.clip(found, EDGE, 1 - EDGE)
    return {
        "log_loss": round(float(log_loss(y_true, found, labels=[0, 1])), 4),
        "brier": round(float(brier_score_loss(y_true, found)), 4),
        "calibration_error": round(calibration_error(y_true, found), 4),
    }

"""Logits to probabilities: plain numbers, saved with the release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt scaling per output: ``p = 1 / (1 + exp(-(slope * logit + intercept)))``.

    ``slope`` is positive, so calibration never changes a ranking. Source: Platt (1999),
    "Probabilistic outputs for support vector machines".
    """

    outputs: tuple[str, ...]
    slope: tuple[float, ...]
    intercept: tuple[float, ...]

    @classmethod
    def from_json(
        cls, outputs: Sequence[str], values: Mapping[str, Mapping[str, float]]
    ) -> Calibration:
        return cls(
            tuple(outputs),
            tuple(float(values[output]["slope"]) for output in outputs),
            tuple(float(values[output]["intercept"]) for output in outputs),
        )

    def to_json(self) -> dict[str, dict[str, float]]:
        return {
            output: {"slope": slope, "intercept": intercept}
            for output, slope, intercept in zip(
                self.outputs, self.slope, self.intercept, strict=True
            )
        }

    def probabilities(self, logits: npt.NDArray[np.floating]) -> Floats:
        """Logits of shape (n, n_outputs) to probabilities of the same shape."""
        scaled = logits.astype(np.float64) * np.array(self.slope) + np.array(self.intercept)
        probabilities: Floats = 1.0 / (1.0 + np.exp(-np.clip(scaled, -60.0, 60.0)))
        return probabilities

from __future__ import annotations

import numpy as np
import pytest

from screening.calibration import Calibration
from screening.policy import risk
from screening.taxonomy import CONTEXTS, LABEL_IDS, LABELS, TERRORISM_LABELS
from screening.types import Decision
from tests.builders import POLICY, make_score


@pytest.mark.parametrize(
    ("terrorism", "radicalism", "expected"),
    [
        (0.299, 0.0, Decision("clear", "terrorism", 0.299, 0.3, "fake-1")),
        (0.3, 0.0, Decision("review", "terrorism", 0.3, 0.3, "fake-1")),
        (0.9, 0.0, Decision("urgent", "terrorism", 0.9, 0.9, "fake-1")),
        (0.1, 0.99, Decision("review", "radicalism", 0.99, 0.4, "fake-1")),  # urgent refused
        (0.95, 0.99, Decision("urgent", "terrorism", 0.95, 0.9, "fake-1")),  # band before chance
        (0.35, 0.39, Decision("review", "terrorism", 0.35, 0.3, "fake-1")),
    ],
)
def test_the_band_is_the_highest_any_screened_label_reaches(
    terrorism: float, radicalism: float, expected: Decision
) -> None:
    assert POLICY.decide(make_score(terrorism, radicalism)) == expected


def test_risk_is_the_larger_screened_probability() -> None:
    assert risk(make_score(0.2, 0.7)) == 0.7


def test_calibration_is_a_sigmoid_of_a_line() -> None:
    calibration = Calibration(("a", "b"), (2.0, 1.0), (0.0, -1.0))
    # 1/(1+e^-2) = 0.880797; 1/(1+e^0) = 0.5
    assert calibration.probabilities(np.array([[1.0, 1.0]])) == pytest.approx(
        np.array([[0.880797, 0.5]]), abs=1e-6
    )


def test_calibration_survives_json() -> None:
    calibration = Calibration(("a", "b"), (2.0, 1.0), (0.0, -1.0))
    assert Calibration.from_json(("a", "b"), calibration.to_json()) == calibration


def test_extreme_logits_stay_finite() -> None:
    calibration = Calibration(("a",), (1e6,), (0.0,))
    assert np.isfinite(calibration.probabilities(np.array([[-1e30], [1e30]]))).all()


def test_taxonomy_has_seven_labels_and_six_contexts_fully_described() -> None:
    assert (
        *("incitement", "glorification", "recruitment", "financing", "instruction", "threat"),
        "radicalism",
    ) == LABEL_IDS
    assert set(LABEL_IDS) - set(TERRORISM_LABELS) == {"radicalism"}
    assert len(CONTEXTS) == 6
    for entry in (*LABELS, *CONTEXTS):
        for field in ("name_id", "name_en", "definition_id", "definition_en", "is_not_id"):
            assert getattr(entry, field).strip(), f"{entry.id}.{field}"
        assert entry.source

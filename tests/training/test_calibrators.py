from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from models.release import OUTPUTS
from training.calibrators import METHODS, measured


def test_every_method_undoes_a_known_distortion_on_posts_it_was_not_fitted_on() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.05, 0.95, 1500)
    answers = (rng.random(1500) < truth).astype(float)
    # The network is three times too sure and leans to yes.
    distorted = 3 * logit(truth) + 2
    logits = np.tile(distorted[:, None], (1, len(OUTPUTS)))
    rows = measured(
        logits, np.tile(answers[:, None], (1, len(OUTPUTS))), [str(n) for n in range(1500)]
    )
    errors = {name: row["calibration_error"] for name, row in rows["terrorism"].items()}
    assert set(errors) == set(METHODS)
    assert errors["none"] > 0.1
    assert errors["platt"] < 0.05
    assert errors["isotonic"] < 0.05
    assert errors["venn_abers"] < 0.05
    # A factor alone cannot take the lean away.
    assert errors["platt"] < errors["temperature"] < errors["none"]


def test_unknown_answers_are_left_out() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(200, len(OUTPUTS)))
    answers = (rng.random((200, len(OUTPUTS))) < expit(logits)).astype(float)
    families = [str(n) for n in range(200)]
    known = measured(logits[:150], answers[:150], families[:150])
    answers[150:] = np.nan
    assert measured(logits, answers, families) == known

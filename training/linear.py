"""TF-IDF and logistic regression: the baseline that always stands beside the transformer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_union

from models.release import OUTPUTS
from screening.labelled import LabelledPost
from screening.text import normalise_text
from training.data import targets


class Linear:
    """Word 1-2-grams and in-word character 2-5-grams of normalised text; one regression an
    output."""

    def __init__(self, train: Sequence[LabelledPost], *, outputs: Sequence[str] = OUTPUTS) -> None:
        self._features = make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True),
        )
        known = self._features.fit_transform([normalise_text(post.text) for post in train])
        answers = targets(train, outputs)
        self._models = []
        for column in range(len(outputs)):
            rows = ~np.isnan(answers[:, column])
            model = LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000)
            self._models.append(model.fit(known[rows], answers[rows, column]))

    def probabilities(self, posts: Sequence[LabelledPost]) -> npt.NDArray[np.floating[Any]]:
        """Shape (n_posts, n_outputs)."""
        asked = self._features.transform([normalise_text(post.text) for post in posts])
        return np.stack([model.predict_proba(asked)[:, 1] for model in self._models], axis=1)


def linear_probabilities(
    train: Sequence[LabelledPost],
    test: Sequence[LabelledPost],
    *,
    outputs: Sequence[str] = OUTPUTS,
) -> npt.NDArray[np.floating[Any]]:
    """Probabilities of shape (n_test, n_outputs) of a baseline fitted on ``train``."""
    return Linear(train, outputs=outputs).probabilities(test)

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


def linear_probabilities(
    train: Sequence[LabelledPost],
    test: Sequence[LabelledPost],
    *,
    outputs: Sequence[str] = OUTPUTS,
) -> npt.NDArray[np.floating[Any]]:
    """Probabilities of shape (n_test, n_outputs) of a baseline fitted on ``train``.

    Word 1-2-grams and in-word character 2-5-grams of normalised text, one regression an output.
    """
    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True),
    )
    known = features.fit_transform([normalise_text(post.text) for post in train])
    asked = features.transform([normalise_text(post.text) for post in test])
    answers = targets(train, outputs)
    columns = []
    for column in range(len(outputs)):
        rows = ~np.isnan(answers[:, column])
        model = LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000)
        model.fit(known[rows], answers[rows, column])
        columns.append(model.predict_proba(asked)[:, 1])
    return np.stack(columns, axis=1)

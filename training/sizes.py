"""Releases of several sizes and the linear baseline, on the same posts in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models.engines import load_engine
from models.network import read_network
from models.release import OUTPUTS, Release
from models.scorer import ReleaseScorer
from screening.labelled import LabelledPost
from screening.policy import SCREENED
from training.data import targets
from training.evaluate import probabilities
from training.linear import Linear
from training.metrics import Floats, pr_auc

ROUNDS = 3


@dataclass(frozen=True)
class Size:
    """Quality and speed of one model; ``layers`` is ``None`` for one without an encoder."""

    name: str
    layers: int | None
    posts_per_second: float
    terrorism: float
    radicalism: float


def measure_sizes(
    releases: Sequence[Release], train: Sequence[LabelledPost], test: Sequence[LabelledPost]
) -> list[dict[str, Any]]:
    """A ``Size`` of each release and of the linear baseline fitted on ``train``, as dictionaries.

    Speed is the best of ``ROUNDS`` over all of ``test``, taken in turn, so that a busy moment hits
    none alone.
    """
    linear = Linear(train)
    models: list[tuple[str, int | None, Callable[[], Floats]]] = [
        (release.id, len(read_network(release.model_path).blocks()), _scoring(release, test))
        for release in releases
    ]
    models.append(("TF-IDF + logistic", None, lambda: linear.probabilities(test)))
    seconds = [float("inf")] * len(models)
    found: list[Floats] = []
    for _ in range(ROUNDS):
        found = []
        for place, (_, _, score) in enumerate(models):
            began = time.perf_counter()
            found.append(score())
            seconds[place] = min(seconds[place], time.perf_counter() - began)
    truth = targets(test)

    def quality(scores: Floats, label: str) -> float:
        column = OUTPUTS.index(label)
        known = ~np.isnan(truth[:, column])
        return round(pr_auc(truth[known, column], scores[known, column]), 4)

    return [
        asdict(
            Size(
                name,
                layers,
                round(len(test) / taken, 1),
                *(quality(scores, label) for label in SCREENED),
            )
        )
        for (name, layers, _), scores, taken in zip(models, found, seconds, strict=True)
    ]


def _scoring(release: Release, test: Sequence[LabelledPost]) -> Callable[[], Floats]:
    scorer = ReleaseScorer(release, load_engine(release.model_path))
    texts = [post.text for post in test]
    return lambda: probabilities(scorer.score(texts))

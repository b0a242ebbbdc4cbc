"""How far two independent passes agree, and which labels look wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import krippendorff
import numpy as np
from cleanlab.rank import get_label_quality_scores
from sklearn.model_selection import GroupKFold

from screening.labelled import LabelledPost
from screening.taxonomy import LABEL_IDS
from training.data import targets
from training.errors import TrainingError
from training.linear import linear_probabilities

SECOND_PASS = Path(__file__).parent / "second_pass.jsonl"
"""A second pass over the corpus, made without sight of the first: ``id``, its ``labels``, and the
``first`` pass's where the corpus now holds what the guideline settled between them."""

FOLDS = 5


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha of one label over the posts both passes answered.

    1 is perfect agreement, 0 what chance gives (Krippendorff 2018, "Content Analysis", ch. 12).
    """

    label: str
    alpha: float
    posts: int
    disagreements: tuple[str, ...]


@dataclass(frozen=True)
class SecondPass:
    """Post id → labels of the second pass, and of the first where they were settled since."""

    labels: Mapping[str, frozenset[str]]
    first: Mapping[str, frozenset[str]]


def read_second_pass(path: Path = SECOND_PASS) -> SecondPass:
    """Both passes' answers.

    Raises
    ------
    TrainingError
        A line is not JSON with ``id`` and known ``labels``; its number is named.
    """
    labels: dict[str, frozenset[str]] = {}
    first: dict[str, frozenset[str]] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            identifier = str(row["id"])
            labels[identifier] = frozenset(row["labels"])
            if "first" in row:
                first[identifier] = frozenset(row["first"])
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                f"{path}, line {number}: expected an object with 'id' and 'labels'"
            ) from error
        if unknown := (labels[identifier] | first.get(identifier, frozenset())) - set(LABEL_IDS):
            raise TrainingError(f"{path}, line {number}: unknown label '{min(unknown)}'")
    return SecondPass(labels, first)


def agreement(posts: Sequence[LabelledPost], second: SecondPass) -> list[Agreement]:
    """Agreement of the passes on each label, and on whether a post carries any."""
    both = [
        replace(post, labels=second.first.get(post.id, post.labels))
        for post in posts
        if post.id in second.labels
    ]
    if not both:
        raise TrainingError("the second pass answers no post of the corpus; check its ids")
    rows = []
    for label in (*LABEL_IDS, "any"):
        answers = np.array(
            [
                [_holds(post.labels, label) for post in both],
                [_holds(second.labels[post.id], label) for post in both],
            ]
        )
        differ = np.flatnonzero(answers[0] != answers[1])
        alpha = (
            krippendorff.alpha(reliability_data=answers, level_of_measurement="nominal")
            if len(np.unique(answers)) > 1
            else 1.0
        )
        names = tuple(both[index].id for index in differ)
        rows.append(Agreement(label, round(float(alpha), 3), len(both), names))
    return rows


def _holds(labels: frozenset[str], label: str) -> int:
    return int(bool(labels) if label == "any" else label in labels)


def suspects(posts: Sequence[LabelledPost], label: str, count: int) -> list[tuple[str, float]]:
    """Posts whose answer to ``label`` a model that never saw their family doubts most.

    Pairs of post id and label quality in [0, 1], worst first: confident learning's
    self-confidence (Northcutt et al. 2021), on out-of-fold probabilities of the linear model.
    """
    answers = targets(posts, (label,))[:, 0]
    known = [post for post, answer in zip(posts, answers, strict=True) if not np.isnan(answer)]
    answers = answers[~np.isnan(answers)].astype(int)
    found = np.zeros(len(known))
    families = [post.family for post in known]
    for train, test in GroupKFold(FOLDS).split(known, groups=families):
        probabilities = linear_probabilities(
            [known[index] for index in train], [known[index] for index in test], outputs=(label,)
        )
        found[test] = probabilities[:, 0]
    quality = get_label_quality_scores(answers, np.stack([1 - found, found], axis=1))
    order = np.argsort(quality, kind="stable")[:count]
    return [(known[index].id, round(float(quality[index]), 4)) for index in order]

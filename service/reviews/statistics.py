"""How far reviewers agree, how right they are on gold items, and how much screening misses.

``any`` stands for whether a post violates at all. A label that one of two people did not answer,
or answered *unknown*, is left out of their agreement. What cannot be estimated is ``None``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import krippendorff
import numpy as np
from scipy.special import betaincinv

from screening.taxonomy import LABEL_IDS
from service.reviews.repository import GoldOpinion, Opinion, Screened, TwoOpinions

ANY = "any"
QUESTIONS = (*LABEL_IDS, ANY)
CONFIDENCE = 0.95

Answers = list[tuple[bool, bool]]

Group = tuple[str, str, str]
"""Two reviewers and an ISO week; ``""`` for all of them."""

ALL: Group = ("", "", "")


@dataclass(frozen=True, slots=True)
class Kappa:
    """Agreement of two reviewers beyond chance (Cohen 1960); 1 is perfect, 0 is chance.

    ``week`` is the ISO week of the second review, ``None`` for the whole period.
    """

    reviewers: tuple[str, str]
    week: str | None
    label: str
    cases: int
    observed: float
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Alpha:
    """Krippendorff's alpha of a label: of two reviewers or (``None``) of all, in an ISO week or
    (``None``) the whole period."""

    reviewers: tuple[str, str] | None
    week: str | None
    label: str
    cases: int
    alpha: float | None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often a reviewer said rightly whether a gold item violates, with its interval.

    ``missed`` violating items were let pass, ``false_alarms`` were lawful.
    """

    reviewer: str
    items: int
    right: int
    accuracy: float
    low: float
    high: float
    missed: int
    false_alarms: int
    label_answers: int
    label_right: int


@dataclass(frozen=True, slots=True)
class Recall:
    """The share of violating contents that screening flagged, with its interval.

    ``found`` were flagged and held to violate; ``missed`` estimates those that were not flagged.
    """

    label: str
    found: int
    samples: int
    samples_violating: int
    missed: float | None
    recall: float | None
    low: float | None
    high: float | None


def kappas(opinions: Sequence[TwoOpinions]) -> list[Kappa]:
    """Cohen's kappa of each pair of reviewers on each label, over all and in each week."""
    return [
        Kappa((one, other), week or None, label, len(given), _observed(given), cohens_kappa(given))
        for (one, other, week), label, given in _grouped(opinions)
        if one
    ]


def alphas(opinions: Sequence[TwoOpinions]) -> list[Alpha]:
    """Krippendorff's alpha of each label, of all and of each pair, over all and in each week."""
    return [
        Alpha((one, other) if one else None, week or None, label, len(given), alpha)
        for (one, other, week), label, given in _grouped(opinions)
        for alpha in [krippendorffs_alpha(given)]
    ]


def accuracies(opinions: Sequence[GoldOpinion]) -> list[Accuracy]:
    """Each reviewer's answers to gold items."""
    by_reviewer: dict[str, list[GoldOpinion]] = defaultdict(list)
    for opinion in opinions:
        by_reviewer[opinion.given.reviewer].append(opinion)
    return [_accuracy(reviewer, by_reviewer[reviewer]) for reviewer in sorted(by_reviewer)]


def recalls(cases: Sequence[Screened]) -> list[Recall]:
    """Recall of screening on each label, from a random sample of what it did not flag.

    Every sampled content stands for 1 / its sampling probability (Horvitz and Thompson 1952).
    Samples that nobody has ruled on yet count as if they were like those ruled on: their place in
    the queue is drawn by chance. Hits that nobody has ruled on are not counted as found.
    """
    return [_recall(label, cases) for label in QUESTIONS]


def cohens_kappa(answers: Sequence[tuple[bool, bool]]) -> float | None:
    """``None`` where both gave one and the same answer throughout: chance explains it all."""
    table = np.array(answers, dtype=float)
    one, other = table.mean(axis=0)
    chance = one * other + (1 - one) * (1 - other)
    return None if chance == 1 else float((_observed(answers) - chance) / (1 - chance))


def krippendorffs_alpha(answers: Sequence[tuple[bool, bool]]) -> float | None:
    """``None`` where only one answer was ever given."""
    yes = np.array(answers, dtype=int).sum(axis=1)
    counts = np.column_stack([2 - yes, yes])
    if not counts.sum(axis=0).all():
        return None
    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))


def exact_interval(successes: float, trials: float) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share.

    Numbers need not be whole: an effective sample size of unequal weights is not (Korn and
    Graubard 1998).
    """
    tail = (1 - CONFIDENCE) / 2
    failures = trials - successes
    low = 0.0 if successes <= 0 else float(betaincinv(successes, failures + 1, tail))
    high = 1.0 if failures <= 0 else float(betaincinv(successes + 1, failures, 1 - tail))
    return low, high


def iso_week(at: datetime) -> str:
    """Such as ``2026-W09``."""
    year, week, _ = at.isocalendar()
    return f"{year:04}-W{week:02}"


def _grouped(opinions: Sequence[TwoOpinions]) -> list[tuple[Group, str, Answers]]:
    """Answers by group and label, all reviewers before each pair, the period before its weeks."""
    answers: dict[tuple[Group, str], Answers] = defaultdict(list)
    for both in _apart(opinions):
        first, second = sorted((both.first, both.second), key=lambda opinion: opinion.reviewer)
        week = iso_week(both.at)
        pair = (first.reviewer, second.reviewer)
        for label, given in _shared(first, second):
            for group in (ALL, ("", "", week), (*pair, ""), (*pair, week)):
                answers[group, label].append(given)
    ordered = sorted(answers.items(), key=lambda item: (item[0][0], QUESTIONS.index(item[0][1])))
    return [(group, label, given) for (group, label), given in ordered]


def _apart(opinions: Sequence[TwoOpinions]) -> list[TwoOpinions]:
    """One pair for all cases that both reviewers decided in bulk: they looked but once."""
    kept: dict[object, TwoOpinions] = {}
    for both in opinions:
        batches = both.first.batch, both.second.batch
        kept.setdefault(batches if all(batches) else (both.case_id, both.at), both)
    return list(kept.values())


def _shared(one: Opinion, other: Opinion) -> list[tuple[str, tuple[bool, bool]]]:
    """The questions that both answered."""
    known = ("yes", "no")
    labels = [
        (label, (one.labels[label] == "yes", other.labels[label] == "yes"))
        for label in LABEL_IDS
        if one.labels.get(label) in known and other.labels.get(label) in known
    ]
    return [*labels, (ANY, (one.is_violating, other.is_violating))]


def _observed(answers: Sequence[tuple[bool, bool]]) -> float:
    return sum(one == other for one, other in answers) / len(answers)


def _accuracy(reviewer: str, opinions: Sequence[GoldOpinion]) -> Accuracy:
    pairs = [(opinion.given.is_violating, opinion.right.is_violating) for opinion in opinions]
    right = sum(given == truth for given, truth in pairs)
    labels = [
        given == truth
        for opinion in opinions
        for label, (given, truth) in _shared(opinion.given, opinion.right)
        if label != ANY
    ]
    low, high = exact_interval(right, len(pairs))
    return Accuracy(
        reviewer=reviewer,
        items=len(pairs),
        right=right,
        accuracy=right / len(pairs),
        low=low,
        high=high,
        missed=sum(truth and not given for given, truth in pairs),
        false_alarms=sum(given and not truth for given, truth in pairs),
        label_answers=len(labels),
        label_right=sum(labels),
    )


def _recall(label: str, cases: Sequence[Screened]) -> Recall:
    found = sum(case.contents for case in cases if not case.is_sample and _holds(case, label))
    samples = [case for case in cases if case.is_sample]
    ruled = [case for case in samples if case.ruling is not None]
    violating = sum(_holds(case, label) for case in ruled)
    if not ruled:
        return Recall(label, found, 0, 0, None, None, None, None)
    weights = np.array([1 / case.probability for case in ruled])
    share = float(weights @ [_holds(case, label) for case in ruled] / weights.sum())
    trials = float(weights.sum() ** 2 / (weights**2).sum())
    unflagged = sum(1 / case.probability for case in samples)
    low, high = exact_interval(share * trials, trials)
    missed = share * unflagged
    if not found + missed:
        return Recall(label, found, len(ruled), violating, missed, None, None, None)
    return Recall(
        label=label,
        found=found,
        samples=len(ruled),
        samples_violating=violating,
        missed=missed,
        recall=found / (found + missed),
        low=found / (found + high * unflagged),
        high=found / (found + low * unflagged),
    )


def _holds(case: Screened, label: str) -> bool:
    if case.ruling is None:
        return False
    return case.ruling.is_violating if label == ANY else case.ruling.labels.get(label) == "yes"

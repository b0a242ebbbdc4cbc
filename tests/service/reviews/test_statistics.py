"""Agreement, accuracy and recall: published examples, edge cases, no bias."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from statistics import mean

import pytest

from screening.taxonomy import LABEL_IDS
from service.reviews.repository import GoldOpinion, Opinion, Screened, TwoOpinions
from service.reviews.statistics import (
    ANY,
    Answers,
    accuracies,
    alphas,
    cohens_kappa,
    exact_interval,
    iso_week,
    kappas,
    krippendorffs_alpha,
    recalls,
)
from tests.service.building import AT

YES = {"incitement": "yes", "threat": "no"}
NO = {"incitement": "no", "threat": "no"}


def opinion(reviewer: str, labels: dict[str, str], batch: str | None = None) -> Opinion:
    return Opinion(reviewer, labels, "yes" in labels.values(), batch)


def both(number: int, one: Opinion, other: Opinion, days: int = 0) -> TwoOpinions:
    return TwoOpinions(number, one, other, AT + timedelta(days=days))


def table(yes_yes: int, yes_no: int, no_yes: int, no_no: int) -> Answers:
    return (
        [(True, True)] * yes_yes
        + [(True, False)] * yes_no
        + [(False, True)] * no_yes
        + [(False, False)] * no_no
    )


def test_kappa_is_cohens() -> None:
    assert cohens_kappa(table(20, 5, 10, 15)) == pytest.approx(0.4)
    assert cohens_kappa(table(45, 15, 25, 15)) == pytest.approx(0.1304, abs=1e-4)
    assert cohens_kappa(table(0, 5, 5, 0)) == pytest.approx(-1)
    assert cohens_kappa(table(0, 0, 0, 9)) is None


def test_alpha_is_krippendorffs() -> None:
    # For two people and two answers: 1 - (n - 1) * differing / (n_yes * n_no), of n answers.
    assert krippendorffs_alpha(table(20, 5, 10, 15)) == pytest.approx(1 - 99 * 15 / (55 * 45))
    assert krippendorffs_alpha(table(3, 0, 0, 4)) == pytest.approx(1)
    assert krippendorffs_alpha(table(9, 0, 0, 0)) is None


def test_the_interval_is_clopper_and_pearsons() -> None:
    assert exact_interval(5, 10) == pytest.approx((0.1871, 0.8129), abs=1e-4)
    assert exact_interval(0, 10) == pytest.approx((0, 0.3085), abs=1e-4)
    assert exact_interval(10, 10) == pytest.approx((0.6915, 1), abs=1e-4)


def test_a_pair_is_one_whoever_reviewed_first_and_unknown_is_left_out() -> None:
    opinions = [
        both(1, opinion("ada", YES), opinion("budi", NO)),
        both(2, opinion("budi", YES), opinion("ada", NO)),
        both(3, opinion("budi", {"incitement": "unknown"}), opinion("ada", YES)),
        both(4, opinion("ada", NO), opinion("cici", NO)),
    ]
    found = {(row.reviewers, row.label): row for row in kappas(opinions) if row.week is None}
    pair = ("ada", "budi")
    incitement = found[pair, "incitement"]
    assert (incitement.cases, incitement.observed, incitement.kappa) == (2, 0, pytest.approx(-1))
    assert (found[pair, "threat"].cases, found[pair, "threat"].kappa) == (2, None)
    assert (found[pair, ANY].cases, found[pair, ANY].observed) == (3, 0)
    assert found[("ada", "cici"), ANY].cases == 1
    assert (pair, "financing") not in found


def test_agreement_comes_by_label_pair_and_iso_week_and_over_all() -> None:
    assert iso_week(datetime(2027, 1, 1, tzinfo=UTC)) == "2026-W53"
    opinions = [
        both(1, opinion("ada", YES), opinion("budi", YES)),
        both(2, opinion("budi", NO), opinion("ada", NO)),
        both(3, opinion("ada", YES), opinion("budi", NO), days=7),
        both(4, opinion("ada", YES), opinion("cici", NO), days=7),
    ]
    alpha = {(row.reviewers, row.week, row.label): row for row in alphas(opinions)}
    first, second, pair = "2026-W09", "2026-W10", ("ada", "budi")
    assert (alpha[None, first, ANY].cases, alpha[None, first, ANY].alpha) == (2, 1.0)
    # Two cases, both differ: 1 - (n - 1) * differing / (n_yes * n_no), of n = 4 answers.
    assert alpha[None, second, ANY].alpha == pytest.approx(1 - 3 * 2 / (2 * 2))
    assert alpha[pair, None, ANY].alpha == pytest.approx(1 - 5 * 1 / (3 * 3))
    assert (alpha[pair, second, ANY].cases, alpha[pair, second, ANY].alpha) == (1, 0.0)
    assert alpha[None, None, "incitement"].cases == 4
    assert alpha[None, None, "threat"].alpha is None
    kappa = {(row.reviewers, row.week, row.label): row for row in kappas(opinions)}
    assert (kappa[pair, None, ANY].cases, kappa[pair, None, ANY].kappa) == (3, pytest.approx(0.4))
    assert (kappa[pair, first, ANY].cases, kappa[pair, first, ANY].kappa) == (2, pytest.approx(1))
    assert (kappa[pair, second, ANY].cases, kappa[pair, second, ANY].observed) == (1, 0)


def test_cases_decided_in_bulk_by_both_count_once() -> None:
    first, second = opinion("ada", YES, "b1"), opinion("budi", YES, "b2")
    opinions = [both(number, first, second) for number in range(30)]
    opinions += [both(30 + number, first, opinion("budi", NO)) for number in range(2)]
    (row,) = [row for row in kappas(opinions) if row.label == ANY and row.week is None]
    assert (row.cases, row.observed) == (3, pytest.approx(1 / 3))


def test_accuracy_names_what_was_missed_and_what_was_a_false_alarm() -> None:
    violating, lawful = opinion("senior", YES), opinion("senior", NO)
    opinions = [
        GoldOpinion(opinion("ada", YES), violating),
        GoldOpinion(opinion("ada", NO), violating),
        GoldOpinion(opinion("ada", YES), lawful),
        GoldOpinion(opinion("budi", NO), lawful),
    ]
    ada, budi = accuracies(opinions)
    assert (ada.items, ada.right, ada.missed, ada.false_alarms) == (3, 1, 1, 1)
    assert (ada.label_answers, ada.label_right) == (6, 4)
    assert ada.low < ada.accuracy < ada.high
    assert ada.accuracy == pytest.approx(1 / 3)
    assert (budi.accuracy, budi.high) == (1, 1)
    assert budi.low == pytest.approx(0.025)


def hit(contents: int = 1, labels: dict[str, str] = YES) -> Screened:
    return Screened(False, 1.0, contents, opinion("ada", labels))


def sample(probability: float, labels: dict[str, str] | None = NO) -> Screened:
    ruling = None if labels is None else opinion("ada", labels)
    return Screened(True, probability, 1, ruling)


def test_a_missed_content_stands_for_one_by_its_probability() -> None:
    cases = [hit(contents=3), hit(), hit(labels=NO), Screened(False, 1.0, 1, None)]
    cases += [sample(0.25, YES), sample(0.25), sample(0.5, YES), sample(0.5)]
    found = {row.label: row for row in recalls(cases)}
    assert tuple(found) == (*LABEL_IDS, ANY)
    row = found[ANY]
    assert (row.found, row.samples, row.samples_violating) == (4, 4, 2)
    assert row.missed == pytest.approx(6)
    assert row.recall == pytest.approx(0.4)
    assert row.low is not None
    assert row.high is not None
    assert row.low < 0.4 < row.high
    assert (found["threat"].found, found["threat"].missed, found["threat"].recall) == (0, 0, None)


def test_samples_not_ruled_on_count_as_those_that_are() -> None:
    ruled = [sample(0.1, YES), sample(0.1), sample(0.1)]
    missed = recalls([hit(), *ruled, *[sample(0.1, None)] * 3])[-1].missed
    assert missed == pytest.approx(20)


def test_without_a_sample_there_is_no_recall_and_without_a_miss_there_is_a_bound() -> None:
    assert (recalls([])[-1].recall, recalls([hit()])[-1].recall) == (None, None)
    assert recalls([sample(0.1, None)])[-1].missed is None
    row = recalls([hit(), *[sample(0.5)] * 20])[-1]
    assert (row.recall, row.high) == (1, 1)
    assert row.low is not None
    assert row.low == pytest.approx(1 / (1 + 0.1684 * 40), abs=1e-3)


def test_the_estimate_is_unbiased_and_its_interval_holds_the_truth() -> None:
    chance = random.Random(5)
    missed, covered = [], []
    for _ in range(100):
        drawn = [
            sample(share, YES if number < 60 else NO)
            for number in range(3000)
            if chance.random() < (share := 0.05 if number % 2 else 0.2)
        ]
        row = recalls([hit(contents=140), *drawn])[-1]
        assert row.missed is not None
        assert row.low is not None
        assert row.high is not None
        missed.append(row.missed)
        covered.append(row.low <= 0.7 <= row.high)
    assert mean(missed) == pytest.approx(60, rel=0.1)
    assert mean(covered) >= 0.9

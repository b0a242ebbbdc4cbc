"""Measure a release on posts it never learned from: one dictionary of figures, plots beside it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from statsmodels.stats.proportion import proportion_confint

from models.release import OUTPUTS
from models.scorer import ReleaseScorer
from screening.labelled import LabelledPost
from screening.policy import SCREENED, screened
from screening.taxonomy import CONTEXT_IDS, LABEL_IDS, TERRORISM
from screening.types import Score
from training.augment import TRICKS
from training.data import targets
from training.domains import domain_sets, identity_groups
from training.functional import pass_rates
from training.metrics import Floats, pr_auc, reliability, report

SEED = 0
RARE = 30
"""Posts below which a slice's rate says too little to be printed."""


def probabilities(scores: Iterable[Score]) -> Floats:
    """Scores as an array (n_posts, n_outputs), the group as decisions use it."""
    return np.array(
        [
            [*(s.labels[i] for i in LABEL_IDS), s.terrorism, *(s.contexts[i] for i in CONTEXT_IDS)]
            for s in scores
        ]
    ).reshape(-1, len(OUTPUTS))


def screened_probabilities(scores: Iterable[Score]) -> Floats:
    """Array (n_posts, n_screened) of what thresholds are compared with."""
    return np.array([[screened(score, label) for label in SCREENED] for score in scores]).reshape(
        -1, len(SCREENED)
    )


def evaluate(
    scorer: ReleaseScorer,
    test: Sequence[LabelledPost],
    *,
    lawful: Path | None = None,
    baseline: Floats | None = None,
) -> dict[str, Any]:
    """Every figure of the card and the report.

    ``lawful`` is a folder with the public sets of ``training.domains``; ``baseline`` are the
    linear model's probabilities of ``test``, shape (n_posts, n_outputs).
    """
    began = time.perf_counter()
    scores = scorer.score([post.text for post in test])
    seconds = time.perf_counter() - began
    truth, found = targets(test), probabilities(scores)
    families = [post.family for post in test]
    figures: dict[str, Any] = {
        "release": scorer.release,
        "split": "authored test split, by minimal-pair family",
        "transformer": report(truth, found, families),
        "bands": _band_rates(scorer, test, scores),
        "slices": _slices(scorer, test, scores),
        "reliability": {label: reliability(*_column(truth, found, label)) for label in SCREENED},
        "obfuscation": _obfuscation(scorer, test),
        "functional": pass_rates(scorer),
        "cost": {
            "engine": scorer.engine,
            "posts": len(test),
            "posts_per_second": round(len(test) / seconds, 1),
        },
    }
    if baseline is not None:
        figures["linear"] = report(truth, baseline, families)
    if lawful is not None:
        figures["domains"], figures["identity"] = _lawful(scorer, lawful)
    return figures


def _column(truth: Floats, found: Floats, label: str) -> tuple[Floats, Floats]:
    """Known answers of one output, and its probabilities."""
    column = OUTPUTS.index(label)
    known = ~np.isnan(truth[:, column])
    return truth[known, column], found[known, column]


def reached(scorer: ReleaseScorer, scores: Sequence[Score], band: str) -> npt.NDArray[np.bool_]:
    """Which posts reach ``band`` or a higher one."""
    enough = ("review", "urgent") if band == "review" else ("urgent",)
    return np.array([scorer.policy.decide(score).band in enough for score in scores], bool)


def is_positive(post: LabelledPost) -> bool:
    return bool(post.labels)


def _band_rates(
    scorer: ReleaseScorer, test: Sequence[LabelledPost], scores: Sequence[Score]
) -> dict[str, Any]:
    """Precision and recall of each band against any label, as the test split mixes them."""
    positive = np.array([is_positive(post) for post in test])
    rates = {}
    for band in ("review", "urgent"):
        flags = reached(scorer, scores, band)
        rates[band] = {
            "flagged": int(flags.sum()),
            "recall": proportion(flags[positive]),
            "precision": proportion(positive[flags]),
            "false_positive_rate": proportion(flags[~positive]),
        }
    return rates


def proportion(flags: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """A share with its count and 95 % Clopper-Pearson interval; nulls where nothing was counted."""
    if not len(flags):
        return {"of": 0, "rate": None, "interval": None}
    low, high = proportion_confint(int(flags.sum()), len(flags), method="beta")
    return {
        "of": len(flags),
        "rate": round(float(flags.mean()), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
    }


def _slices(
    scorer: ReleaseScorer, test: Sequence[LabelledPost], scores: Sequence[Score]
) -> dict[str, dict[str, Any]]:
    """PR-AUC of terrorism and review recall by register, trick, context and kind of source."""
    flags = reached(scorer, scores, "review")
    group = screened_probabilities(scores)[:, SCREENED.index(TERRORISM)]
    truth = targets(test, (TERRORISM,))[:, 0]
    rows: dict[str, dict[str, Any]] = {}
    for name, belongs in _SLICES:
        for value in sorted({v for post in test for v in belongs(post)}):
            at = np.array([value in belongs(post) for post in test]) & ~np.isnan(truth)
            if at.sum() < RARE:
                continue
            positive = np.array([is_positive(post) for post in test]) & at
            has_both = 0 < truth[at].sum() < at.sum()
            rows.setdefault(name, {})[value] = {
                "posts": int(at.sum()),
                "pr_auc": round(pr_auc(truth[at], group[at]), 4) if has_both else None,
                "review_recall": proportion(flags[positive]),
                "review_false_positives": proportion(flags[at & ~positive]),
            }
    return rows


def _registers(post: LabelledPost) -> set[str]:
    return {post.register.split("+")[0]}


def _tricks(post: LabelledPost) -> set[str]:
    return set(post.register.split("+")[1:]) or {"none"}


def _contexts(post: LabelledPost) -> set[str]:
    return set(post.contexts) or {"none"}


def _kinds(post: LabelledPost) -> set[str]:
    return {"template" if post.source == "template" else "authored"}


def _lengths(post: LabelledPost) -> set[str]:
    words = len(post.text.split())
    return {"to 8 words" if words <= 8 else "9 to 20 words" if words <= 20 else "over 20 words"}


_SLICES: tuple[tuple[str, Callable[[LabelledPost], set[str]]], ...] = (
    ("register", _registers),
    ("trick", _tricks),
    ("context", _contexts),
    ("kind", _kinds),
    ("length", _lengths),
)


def _obfuscation(scorer: ReleaseScorer, test: Sequence[LabelledPost]) -> dict[str, Any]:
    """Review recall of positives under each trick, and how much of the clean recall is kept."""
    texts = [post.text for post in test if is_positive(post)]
    clean = reached(scorer, scorer.score(texts), "review")
    rows = {}
    for name, trick in sorted(TRICKS.items()):
        rng = random.Random(SEED)
        flags = reached(scorer, scorer.score([trick(text, rng) for text in texts]), "review")
        kept = float(flags.sum() / clean.sum()) if clean.any() else None
        rows[name] = {**proportion(flags), "kept": None if kept is None else round(kept, 4)}
    return {"clean": proportion(clean), "tricks": rows}


def _lawful(scorer: ReleaseScorer, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    domains: dict[str, Any] = {}
    texts: list[str] = []
    review: list[bool] = []
    for domain, sets in domain_sets(folder).items():
        for name, posts in sets.items():
            given = [post.text for post in posts]
            scores = scorer.score(given)
            flags = {band: reached(scorer, scores, band) for band in ("review", "urgent")}
            domains.setdefault(domain, {})[name] = {
                "posts": len(posts),
                **{band: _per_10000(flags[band]) for band in flags},
            }
            texts += given
            review += flags["review"].tolist()
    return domains, _identity(texts, np.array(review, bool))


def _per_10000(flags: npt.NDArray[np.bool_]) -> dict[str, Any]:
    share = proportion(flags)
    low, high = share["interval"]
    return {
        "false_positives": int(flags.sum()),
        "per_10000": round(1e4 * float(flags.mean()), 1),
        "interval": [round(1e4 * low, 1), round(1e4 * high, 1)],
    }


def _identity(texts: Sequence[str], flags: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Review false positives of lawful posts that name a group, against all lawful posts."""
    overall = float(flags.mean())
    at: dict[str, list[int]] = {}
    for number, text in enumerate(texts):
        for group in identity_groups(text):
            at.setdefault(group, []).append(number)
    groups = {
        group: {**proportion(flags[rows]), "ratio": round(flags[rows].mean() / overall, 2)}
        for group, rows in sorted(at.items())
        if len(rows) >= RARE and overall > 0
    }
    return {"overall": proportion(flags), "groups": groups}


def worst_ratio(identity: Mapping[str, Any]) -> tuple[str, float] | None:
    """The group whose lawful posts are flagged most against the overall rate."""
    ratios = {group: row["ratio"] for group, row in identity["groups"].items()}
    return max(ratios.items(), key=lambda item: item[1]) if ratios else None

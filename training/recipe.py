"""From labelled posts to a release folder, in one run that reads from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.engines import load_engine
from models.network import Network
from models.release import (
    CARD_FILE,
    CHECKED_FILES,
    MODEL_FILE,
    OUTPUTS,
    TOKENIZER_FILE,
    Release,
    load_release,
    write_record,
)
from models.scorer import ReleaseScorer
from screening.calibration import Calibration
from screening.labelled import LabelledPost
from screening.policy import SCREENED
from screening.taxonomy import TAXONOMY_VERSION
from training.base import DEFAULT_BASE, DEFAULT_PIECES, load_base, trim
from training.calibrate import fit_calibration, fit_thresholds
from training.card import write_card
from training.data import (
    LawfulPart,
    fingerprint,
    in_split,
    label_counts,
    read_corpus,
    read_lawful,
    targets,
)
from training.errors import TrainingError
from training.export import export_onnx
from training.finetune import Hyperparameters, finetune, settings_record
from training.linear import linear_probabilities
from training.metrics import report
from training.vocabulary import WeightedText, wordfreq_texts

CORPUS_WEIGHT = 3.0
"""Weight of a post against a wordfreq word of one per million, when pieces are counted."""

Floats = npt.NDArray[np.floating[Any]]
LawfulPosts = dict[str, list[LabelledPost]]


@dataclass(frozen=True)
class Recipe:
    """What to train on, from what, and where to.

    ``lawful`` is a folder with the public lawful sets of ``training.data.LAWFUL_SOURCES``; without
    it the model learns from the authored corpus alone and refuses the urgent band sooner.
    """

    release_id: str
    out: Path
    base: str = DEFAULT_BASE
    pieces: int = DEFAULT_PIECES
    lawful: Path | None = None
    lawful_per_source: int = 150
    settings: Hyperparameters = field(default_factory=Hyperparameters)


def build_release(recipe: Recipe) -> Release:
    """Train, export, calibrate, evaluate and write a release folder.

    Calibration, thresholds and every figure are taken from the exported file as it ships.

    Raises
    ------
    TrainingError
        The output folder holds a release already, or the base cannot be loaded.
    """
    if (recipe.out / "release.json").exists():
        raise TrainingError(f"{recipe.out} holds a release already; releases are never edited")
    recipe.out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    corpus = read_corpus()
    train, validation = in_split(corpus, "train"), in_split(corpus, "validation")
    lawful = _lawful(recipe, "train")
    history = _train(recipe, train + _flat(lawful), validation, corpus)
    scorer = _scorer(recipe)
    calibration = fit_calibration(_logits(scorer, validation), targets(validation))
    thresholds = fit_thresholds(
        targets(validation),
        calibration.probabilities(_logits(scorer, validation)),
        calibration.probabilities(_logits(scorer, _flat(_lawful(recipe, "threshold")))),
    )
    record = {
        **_draft_record(recipe, calibration, thresholds),
        "training": {
            **settings_record(recipe.settings),
            "history": history,
            "minutes": round((time.monotonic() - started) / 60, 1),
        },
        "data": _data_record(corpus, lawful),
        "metrics": _metrics(recipe, scorer, calibration, thresholds, corpus),
    }
    write_card(recipe.out / CARD_FILE, record)
    write_record(recipe.out, record, [*CHECKED_FILES, CARD_FILE])
    return load_release(recipe.out)


def _train(
    recipe: Recipe,
    train: Sequence[LabelledPost],
    validation: Sequence[LabelledPost],
    corpus: Sequence[LabelledPost],
) -> list[dict[str, float]]:
    torch.manual_seed(recipe.settings.seed)
    encoder, tokenizer = load_base(recipe.base)
    encoder, tokenizer = trim(encoder, tokenizer, _texts(train, corpus), recipe.pieces)
    network = Network(encoder, len(OUTPUTS), dropout=recipe.settings.dropout)
    checkpoint = recipe.out / "checkpoint.pt"
    history = finetune(
        network, tokenizer, train, validation, recipe.settings, checkpoint=checkpoint
    )
    export_onnx(network, recipe.out / MODEL_FILE)
    tokenizer.save(str(recipe.out / TOKENIZER_FILE))
    checkpoint.unlink()
    return history


def _texts(*groups: Iterable[LabelledPost]) -> Iterable[WeightedText]:
    """What pieces are counted over: word frequencies, the corpus and the lawful sets."""
    yield from wordfreq_texts()
    for posts in groups:
        for post in posts:
            yield WeightedText(post.text, CORPUS_WEIGHT)


def _scorer(recipe: Recipe) -> ReleaseScorer:
    """The exported model behind a draft record whose calibration changes nothing."""
    ones = Calibration(OUTPUTS, (1.0,) * len(OUTPUTS), (0.0,) * len(OUTPUTS))
    thresholds = {label: {"review": 0.5, "urgent": None} for label in SCREENED}
    write_record(recipe.out, _draft_record(recipe, ones, thresholds), CHECKED_FILES)
    draft = load_release(recipe.out)
    (recipe.out / "release.json").unlink()
    return ReleaseScorer(draft, load_engine(draft.model_path))


def _logits(scorer: ReleaseScorer, posts: Sequence[LabelledPost]) -> Floats:
    return scorer.logits([post.text for post in posts])


def _lawful(recipe: Recipe, part: LawfulPart) -> LawfulPosts:
    if recipe.lawful is None:
        return {}
    return read_lawful(recipe.lawful, part, per_source=recipe.lawful_per_source)


def _flat(lawful: LawfulPosts) -> list[LabelledPost]:
    return [post for posts in lawful.values() for post in posts]


def _draft_record(
    recipe: Recipe, calibration: Calibration, thresholds: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "id": recipe.release_id,
        "created": datetime.now(UTC).date().isoformat(),
        "taxonomy": TAXONOMY_VERSION,
        "outputs": list(OUTPUTS),
        "activation": "sigmoid per output; labels are not exclusive",
        "max_tokens": recipe.settings.max_tokens,
        "calibration": calibration.to_json(),
        "thresholds": {label: dict(values) for label, values in thresholds.items()},
        "base": {"name": DEFAULT_BASE, "pieces": recipe.pieces, "licence": "MIT"},
    }


def _data_record(corpus: Sequence[LabelledPost], lawful: LawfulPosts) -> dict[str, Any]:
    splits = ("train", "validation", "test")
    return {
        "fingerprint": fingerprint([*corpus, *_flat(lawful)]),
        "corpus": {
            split: {"posts": len(posts), "families": len({p.family for p in posts})}
            | label_counts(posts)
            for split in splits
            for posts in [in_split(corpus, split)]
        },
        "lawful_train": {name: len(posts) for name, posts in lawful.items()},
    }


def _metrics(
    recipe: Recipe,
    scorer: ReleaseScorer,
    calibration: Calibration,
    thresholds: Mapping[str, Mapping[str, Any]],
    corpus: Sequence[LabelledPost],
) -> dict[str, Any]:
    """Quality on posts never seen: the corpus's test split, and lawful posts held out."""
    test = in_split(corpus, "test")
    families = [post.family for post in test]
    baseline = linear_probabilities(
        in_split(corpus, "train") + _flat(_lawful(recipe, "train")), test
    )
    probabilities = calibration.probabilities(_logits(scorer, test))
    return {
        "split": "authored test split, by minimal-pair family",
        "transformer": report(targets(test), probabilities, families),
        "linear": report(targets(test), baseline, families),
        "lawful": {
            name: _lawful_rates(calibration.probabilities(_logits(scorer, posts)), thresholds)
            for name, posts in _lawful(recipe, "evaluation").items()
        },
    }


def _lawful_rates(
    probabilities: Floats, thresholds: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Held-out lawful posts of one set that reach a band: counts, and per 10,000."""
    reached = {}
    for band in ("review", "urgent"):
        flags = np.zeros(len(probabilities), bool)
        for label in SCREENED:
            if (threshold := thresholds[label][band]) is not None:
                flags |= probabilities[:, OUTPUTS.index(label)] >= threshold
        reached[band] = int(flags.sum())
    return {
        "posts": len(probabilities),
        **reached,
        **{f"{b}_per_10000": round(1e4 * n / len(probabilities), 1) for b, n in reached.items()},
    }

"""From labelled posts to a release folder, in one run that reads from top to bottom."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from models.engines import load_engine
from models.network import Network, read_network, shortened
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
from training import calibrators
from training.base import DEFAULT_BASE, DEFAULT_PIECES, load_base, lowercase, trim
from training.calibrate import fit_calibration, fit_thresholds
from training.card import write_card
from training.data import (
    LAWFUL_PER_SOURCE,
    SPLITS,
    LawfulPart,
    Split,
    fingerprint,
    label_counts,
    read_corpus,
    read_lawful,
    targets,
)
from training.errors import TrainingError
from training.evaluate import evaluate, screened_probabilities
from training.export import export_onnx
from training.finetune import Hyperparameters, finetune, settings_record
from training.linear import linear_probabilities
from training.merge import merged, split_posts
from training.start import start_head
from training.vocabulary import WeightedText, wordfreq_texts
from training.wide import PAIR_BUCKETS, PENALTY, fit_wide, widen

TRAINED_FILE = "trained.json"
"""Marks a folder whose weights are done: an interrupted run goes on with calibration."""

BASE_LICENCES = {DEFAULT_BASE: "MIT"}

WEIGHED_PER_SOURCE = 500
"""Lawful posts of each set beside the validation posts, when the wide part is weighed."""

CORPUS_WEIGHT = 3.0
"""Weight of a post against a wordfreq word of one per million, when pieces are counted."""

Floats = npt.NDArray[np.floating[Any]]
Parts = Mapping[Split, Sequence[LabelledPost]]


@dataclass(frozen=True)
class Recipe:
    """What to train on, from what, and where to.

    ``lawful`` is a folder with the public lawful sets of ``training.data.LAWFUL_SOURCES``; without
    it the model learns from the authored corpus alone and refuses the urgent band sooner.
    ``base_name`` is the hub id of a base that lies in a local folder. ``reviews`` are people's
    labels, merged with the corpus. ``parent`` is a release to go on from, in place of ``base``;
    with ``student_layers`` a student of that many of its layers is distilled from it.
    """

    release_id: str
    out: Path
    base: str = DEFAULT_BASE
    base_name: str | None = None
    pieces: int = DEFAULT_PIECES
    lawful: Path | None = None
    lawful_per_source: int = LAWFUL_PER_SOURCE
    reviews: tuple[LabelledPost, ...] = ()
    parent: Release | None = None
    student_layers: int | None = None
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
    parts = read_parts(recipe.reviews)
    if not (recipe.out / TRAINED_FILE).exists():
        _train(recipe, parts)
    trained = json.loads((recipe.out / TRAINED_FILE).read_text("utf-8"))
    release = _calibrated(recipe, parts["validation"], trained)
    record = {**release.record, "metrics": _metrics(recipe, release, parts)}
    write_card(recipe.out / CARD_FILE, record)
    write_record(recipe.out, record, [*CHECKED_FILES, CARD_FILE])
    (recipe.out / TRAINED_FILE).unlink()
    return load_release(recipe.out)


def recalibrate(release: Release, out: Path, *, lawful: Path | None = None) -> Release:
    """The weights of ``release`` with calibration, thresholds and figures made anew in ``out``.

    Raises
    ------
    TrainingError
        The output folder holds a release already.
    """
    if (out / "release.json").exists():
        raise TrainingError(f"{out} holds a release already; releases are never edited")
    out.mkdir(parents=True, exist_ok=True)
    for name in CHECKED_FILES:
        shutil.copyfile(release.folder / name, out / name)
    origin = {key: release.record[key] for key in ("base", "training", "data")}
    (out / TRAINED_FILE).write_text(json.dumps(origin), "utf-8")
    settings = Hyperparameters(max_tokens=release.max_tokens)
    return build_release(Recipe(out.name, out, lawful=lawful, settings=settings))


def read_parts(reviews: Sequence[LabelledPost] = ()) -> dict[Split, list[LabelledPost]]:
    """The corpus and people's labels, by split."""
    return split_posts(merged(read_corpus(), reviews))


def _train(recipe: Recipe, parts: Parts) -> None:
    """Fine-tune and export; ``TRAINED_FILE``, written last, says what the weights came from."""
    started = time.monotonic()
    torch.manual_seed(recipe.settings.seed)
    pool = _lawful(recipe, "train")
    lawful = telling_lawful(parts["train"], pool, recipe.lawful_per_source)
    train = [*parts["train"], *_flat(lawful)]
    network, tokenizer, base = _start(recipe, train)
    teacher = None
    if recipe.student_layers is not None:
        teacher, network = network, shortened(network, recipe.student_layers)
    if recipe.parent is None or teacher is not None:
        start_head(network, tokenizer, train, recipe.settings)
    checkpoint = recipe.out / "checkpoint.pt"
    history = finetune(
        network,
        tokenizer,
        train,
        parts["validation"],
        recipe.settings,
        teacher=teacher,
        checkpoint=checkpoint,
    )
    known = [*parts["train"], *_flat(pool)]
    wide = fit_wide(tokenizer, known, max_tokens=recipe.settings.max_tokens)
    weighed_on = [*parts["validation"], *_flat(_first(_lawful(recipe, "threshold")))]
    wide_weight = widen(network, wide, tokenizer, weighed_on, SCREENED, recipe.settings)
    export_onnx(network, recipe.out / MODEL_FILE)
    tokenizer.save(str(recipe.out / TOKENIZER_FILE))
    minutes = round((time.monotonic() - started) / 60, 1)
    trained = {
        "base": base,
        "training": {
            **settings_record(recipe.settings),
            "history": history,
            "minutes": minutes,
            "wide": {"weight": wide_weight, "pair_buckets": PAIR_BUCKETS, "penalty": PENALTY},
        },
        "data": {
            "fingerprint": fingerprint(train),
            "reviews": len(recipe.reviews),
            "lawful_train": {name: len(posts) for name, posts in lawful.items()},
            "lawful_wide": {name: len(posts) for name, posts in pool.items()},
            **{str(split): _counts(parts[split]) for split in SPLITS},
        },
    }
    (recipe.out / TRAINED_FILE).write_text(json.dumps(trained), "utf-8")
    checkpoint.unlink()


def _start(
    recipe: Recipe, train: Sequence[LabelledPost]
) -> tuple[Network, Tokenizer, dict[str, Any]]:
    """Network, tokenizer and their origin: the parent release's, or the base's, trimmed."""
    if recipe.parent is not None:
        network = read_network(recipe.parent.model_path, dropout=recipe.settings.dropout)
        network.wide = None
        tokenizer = Tokenizer.from_file(str(recipe.parent.tokenizer_path))
        return network, tokenizer, {**recipe.parent.record["base"], "parent": recipe.parent.id}
    encoder, tokenizer = load_base(recipe.base)
    encoder, tokenizer = trim(encoder, tokenizer, piece_texts(train), recipe.pieces)
    lowercase(tokenizer)
    network = Network(encoder, len(OUTPUTS), dropout=recipe.settings.dropout)
    is_local = Path(recipe.base).exists()
    name = recipe.base_name or (Path(recipe.base).name if is_local else recipe.base)
    licence = BASE_LICENCES.get(name, "as its publisher states")
    return network, tokenizer, {"name": name, "pieces": recipe.pieces, "licence": licence}


def _calibrated(
    recipe: Recipe, validation: Sequence[LabelledPost], trained: Mapping[str, Any]
) -> Release:
    """The exported weights with calibration, then thresholds on calibrated scores."""
    texts = [post.text for post in validation]
    lawful = _lawful(recipe, "threshold").values()
    ones = Calibration(OUTPUTS, (1.0,) * len(OUTPUTS), (0.0,) * len(OUTPUTS))
    open_bands = {label: {"review": 1.0, "urgent": None} for label in SCREENED}
    draft = _written(recipe, trained, ones, open_bands)
    logits, answers = _scorer(draft).logits(texts), targets(validation)
    calibration = fit_calibration(logits, answers)
    families = [post.family for post in validation]
    trained = {**trained, "calibrators": calibrators.measured(logits, answers, families)}
    scorer = _scorer(_written(recipe, trained, calibration, open_bands))
    thresholds = fit_thresholds(
        targets(validation, SCREENED),
        screened_probabilities(scorer.score(texts)),
        [screened_probabilities(scorer.score([post.text for post in posts])) for posts in lawful],
    )
    return _written(recipe, trained, calibration, thresholds)


def _written(
    recipe: Recipe,
    trained: Mapping[str, Any],
    calibration: Calibration,
    thresholds: Mapping[str, Mapping[str, Any]],
) -> Release:
    """The release as far as it is known; its record leaves the folder until all is."""
    record = {
        "id": recipe.release_id,
        "created": datetime.now(UTC).date().isoformat(),
        "taxonomy": TAXONOMY_VERSION,
        "outputs": list(OUTPUTS),
        "activation": "sigmoid per output; labels are not exclusive",
        "max_tokens": recipe.settings.max_tokens,
        "calibration": calibration.to_json(),
        "thresholds": {label: dict(values) for label, values in thresholds.items()},
        **trained,
    }
    write_record(recipe.out, record, CHECKED_FILES)
    release = load_release(recipe.out)
    (recipe.out / "release.json").unlink()
    return replace(release, record=record)


def _scorer(release: Release) -> ReleaseScorer:
    return ReleaseScorer(release, load_engine(release.model_path))


def _metrics(recipe: Recipe, release: Release, parts: Parts) -> dict[str, Any]:
    """Quality on posts never seen, and the linear baseline's on the same."""
    train = [*parts["train"], *_flat(_lawful(recipe, "train"))]
    baseline = linear_probabilities(train, parts["test"])
    figures = evaluate(_scorer(release), parts["test"], lawful=recipe.lawful, baseline=baseline)
    return {**figures, "linear_train_posts": len(train)}


def piece_texts(posts: Iterable[LabelledPost]) -> Iterable[WeightedText]:
    """What pieces are counted over: word frequencies and the posts to learn from."""
    for word in wordfreq_texts():
        yield WeightedText(word.text.lower(), word.weight)
    for post in posts:
        yield WeightedText(post.text.lower(), CORPUS_WEIGHT)


def _lawful(recipe: Recipe, part: LawfulPart) -> dict[str, list[LabelledPost]]:
    if recipe.lawful is None:
        return {}
    return read_lawful(recipe.lawful, part)


def telling_lawful(
    corpus: Sequence[LabelledPost], pool: Mapping[str, Sequence[LabelledPost]], per_source: int
) -> dict[str, list[LabelledPost]]:
    """``per_source`` posts of each set on average: half of them at random from each, half those
    of all sets that a linear model most takes for hits, because an easy negative teaches little
    (hard negative mining)."""
    half = per_source // 2
    some = {name: list(posts[:half]) for name, posts in pool.items()}
    rest = [(name, post) for name, posts in pool.items() for post in posts[half:]]
    if rest:
        known = [*corpus, *_flat(some)]
        asked = [post for _, post in rest]
        found = linear_probabilities(known, asked, outputs=SCREENED).max(axis=1)
        for index in np.argsort(-found, kind="stable")[: (per_source - half) * len(pool)]:
            name, post = rest[index]
            some[name].append(post)
    return some


def _first(lawful: Mapping[str, Sequence[LabelledPost]]) -> dict[str, Sequence[LabelledPost]]:
    return {name: posts[:WEIGHED_PER_SOURCE] for name, posts in lawful.items()}


def _flat(lawful: Mapping[str, Sequence[LabelledPost]]) -> list[LabelledPost]:
    return [post for posts in lawful.values() for post in posts]


def _counts(posts: Sequence[LabelledPost]) -> dict[str, int]:
    return {
        "posts": len(posts),
        "families": len({post.family for post in posts}),
        **label_counts(posts),
    }

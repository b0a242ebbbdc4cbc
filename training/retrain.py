"""Reviewers' labels to a new release and a verdict: the path of people who bring their own data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.engines import load_engine
from models.release import CARD_FILE, CHECKED_FILES, Release, load_release, write_record
from models.scorer import ReleaseScorer
from screening.errors import ReadError
from screening.labelled import LabelledPost, read_labelled
from training.compare import Comparison, compare
from training.errors import TrainingError
from training.finetune import Hyperparameters
from training.recipe import Recipe, build_release, read_parts

SETTINGS = Hyperparameters(epochs=4, learning_rate=5e-5, head_learning_rate=2e-4)
"""A release that already knows the task is moved gently."""


@dataclass(frozen=True)
class Retrained:
    """The new release, the reviews it learned from, and how it fares against its parent."""

    release: Release
    reviews: int
    comparison: Comparison


def read_reviews(
    paths: Sequence[Path], on_error: Callable[[ReadError], None]
) -> tuple[LabelledPost, ...]:
    """Reviewers' rows; each bad one goes to ``on_error``, named by file, line and field.

    Raises
    ------
    TrainingError
        A file is missing or empty, or no row is left.
    """
    posts: list[LabelledPost] = []
    for path in paths:
        try:
            size = path.stat().st_size
        except OSError as error:
            raise TrainingError(f"{path}: cannot be read ({error.strerror})") from error
        if not size:
            raise TrainingError(f"{path}: is empty; export labels again")
        posts += read_labelled(path, on_error=on_error)
    if not posts:
        raise TrainingError("no usable row in the labels; see the errors above")
    if not any(post.labels for post in posts) and not any(
        post.is_yes("incitement") is False for post in posts
    ):
        raise TrainingError("no row says yes or no to any label; only unknown answers were given")
    return tuple(posts)


def retrain(
    reviews: Sequence[LabelledPost],
    out: Path,
    *,
    parent: Release,
    lawful: Path | None = None,
    settings: Hyperparameters = SETTINGS,
) -> Retrained:
    """Fine-tune from ``parent`` on corpus and reviews, and compare both on the same frozen test.

    A release that is worse is written, marked ``refused``, and not loaded by default.
    """
    settings = replace(settings, max_tokens=parent.max_tokens)
    recipe = Recipe(
        out.name, out, lawful=lawful, reviews=tuple(reviews), parent=parent, settings=settings
    )
    made = build_release(recipe)
    old, new = (ReleaseScorer(part, load_engine(part.model_path)) for part in (parent, made))
    comparison = compare(old, new, read_parts(reviews)["test"])
    record = {**made.record, "comparison": comparison.to_json()}
    record["refused"] = comparison.verdict == "worse"
    write_record(out, record, [*CHECKED_FILES, CARD_FILE])
    return Retrained(load_release(out, allow_refused=True), len(reviews), comparison)

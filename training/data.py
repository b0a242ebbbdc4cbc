"""Labelled posts for training: reading, targets, and a split that no minimal pair straddles."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from models.release import OUTPUTS
from screening.labelled import LabelledPost, read_labelled
from screening.taxonomy import CONTEXT_IDS, LABEL_IDS, TERRORISM, TERRORISM_LABELS
from training.errors import TrainingError

CORPUS = Path(__file__).parent / "corpus"
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
SHARES: tuple[tuple[Split, float], ...] = (("test", 0.20), ("validation", 0.20), ("train", 0.60))


def read_corpus(folder: Path = CORPUS) -> list[LabelledPost]:
    """Every post of the JSONL files of ``folder``, files in name order."""
    posts = [post for path in sorted(folder.glob("*.jsonl")) for post in read_labelled(path)]
    if not posts:
        raise TrainingError(f"{folder}: no labelled posts found; expected *.jsonl files")
    return posts


def split_of(family: str) -> Split:
    """The split of a family: a hash of its name, so that it never moves and never straddles."""
    digest = hashlib.sha256(family.encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    for name, share in SHARES:
        if position < share:
            return name
        position -= share
    return "train"


def fixed_split(post: LabelledPost) -> Split:
    """The split a source fixed, or the one of the post's family."""
    return next((split for split in SPLITS if split == post.split), split_of(post.family))


def in_split(posts: Iterable[LabelledPost], split: Split) -> list[LabelledPost]:
    return [post for post in posts if fixed_split(post) == split]


def targets(
    posts: Sequence[LabelledPost], outputs: Sequence[str] = OUTPUTS
) -> npt.NDArray[np.float32]:
    """Answers of shape (n_posts, n_outputs): 1 yes, 0 no, NaN unknown."""
    values = {True: 1.0, False: 0.0, None: np.nan}
    rows = [[values[_answer(post, output)] for output in outputs] for post in posts]
    return np.array(rows, dtype=np.float32).reshape(len(posts), len(outputs))


def _answer(post: LabelledPost, output: str) -> bool | None:
    if output != TERRORISM:
        return post.is_yes(output)
    answers = [post.is_yes(label) for label in TERRORISM_LABELS]
    if any(answers):
        return True
    return None if None in answers else False


def fingerprint(posts: Iterable[LabelledPost]) -> str:
    """SHA-256 over ids, texts and answers, in order: which data made a release."""
    digest = hashlib.sha256()
    for post in posts:
        answers = sorted(post.labels), sorted(post.contexts), sorted(post.unknown)
        digest.update(json.dumps([post.id, post.text, answers], ensure_ascii=False).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class LawfulSource:
    """A public set that is lawful as far as our labels go, and may be trained on.

    ``context`` holds for every row where given; other contexts are unknown.
    ``keep`` names the rows that are not held out for evaluation.
    """

    name: str
    context: str | None
    licence: str

    def keep(self, row: dict[str, object]) -> bool:
        """Whether a row may be trained on: later news, every fifth surah and published test splits
        are held out for evaluation."""
        if "date" in row:
            return str(row["date"]) < "2024-07"
        if "surah" in row:
            return int(str(row["surah"])) % 5 != 0
        return row.get("split") != "test"


LAWFUL_SOURCES = (
    LawfulSource("news_headlines_narasipal", "news", "for public use, cited"),
    LawfulSource("scripture_quran_id", "religious", "MIT repository; text of the ministry"),
    LawfulSource("indonlu_smsa", None, "CC BY-SA 4.0"),
    LawfulSource("indonlu_emot", None, "CC BY-SA 4.0"),
)


LAWFUL_PER_SOURCE = 500
"""Lawful posts of each public set to fine-tune on."""

LawfulPart = Literal["train", "threshold", "evaluation"]


def read_lawful(folder: Path, part: LawfulPart, *, seed: int = 0) -> dict[str, list[LabelledPost]]:
    """Posts of each lawful set in ``folder``: half of what may be trained on to learn from, the
    other half for thresholds, and the held-out posts for evaluation.

    Folders that lack a set give none of it.
    """
    found: dict[str, list[LabelledPost]] = {}
    for source in LAWFUL_SOURCES:
        path = folder / f"{source.name}.jsonl.gz"
        if not path.exists():
            continue
        posts = list(lawful_posts(path, source, held_out=part == "evaluation"))
        if part != "evaluation":
            order = np.random.default_rng(seed).permutation(len(posts))
            half = len(posts) // 2
            posts = [posts[index] for index in (order[:half] if part == "train" else order[half:])]
        found[source.name] = posts
    return found


def lawful_posts(
    path: Path, source: LawfulSource | None, *, held_out: bool
) -> Iterator[LabelledPost]:
    """The held-out or the other posts of a lawful set; without ``source`` none is trained on."""
    contexts = frozenset({source.context} if source and source.context else ())
    unknown = frozenset(CONTEXT_IDS) - contexts
    name = path.name.split(".")[0]
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            row = json.loads(line)
            if (source is not None and source.keep(row)) is not held_out:
                key = f"{name}:{number}"
                yield LabelledPost(key, row["text"], frozenset(), contexts, unknown, family=key)


def label_counts(posts: Iterable[LabelledPost]) -> dict[str, int]:
    """How many posts carry each label, and how many none."""
    posts = list(posts)
    counts = {label: sum(label in post.labels for post in posts) for label in LABEL_IDS}
    return {**counts, "none": sum(not post.labels for post in posts)}

"""Labelled posts: one JSON line each, the format training and reviewers exchange.

``labels`` comes in two forms. A list names the labels that hold, and every other label does not:
the form of a corpus whose authors answered everything. A mapping ``{label: "yes" | "no" |
"unknown"}`` answers some labels and leaves the others unknown: the form of reviewers and of
public sets with labels of their own. A post with an unknown label still teaches the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from screening.errors import ReadError
from screening.taxonomy import CONTEXT_IDS, LABEL_IDS

ANSWERS = ("yes", "no", "unknown")


@dataclass(frozen=True, slots=True)
class LabelledPost:
    """A text with its answer, and where both come from.

    ``family`` ties a post to its minimal pairs and near-duplicates, ``channel`` to its
    neighbours: they share a split. ``confidence`` is the labeller's own, 0 to 1; ``split`` names
    a split fixed by the source; ``sampled_by`` and ``sampling_probability`` say how a post came
    to be reviewed, so that rates can be estimated without bias.
    """

    id: str
    text: str
    labels: frozenset[str]
    contexts: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    family: str = ""
    register: str = ""
    note: str = ""
    platform: str = ""
    channel: str = ""
    labelled_by: str = ""
    labelled_at: str = ""
    guideline: str = ""
    confidence: float = 1.0
    source: str = ""
    licence: str = ""
    split: str = ""
    sampled_by: str = ""
    sampling_probability: float = 1.0

    def is_yes(self, label: str) -> bool | None:
        """Whether ``label`` (or context) holds; ``None`` where nobody said."""
        if label in self.unknown:
            return None
        return label in self.labels or label in self.contexts


def read_labelled(
    path: Path, *, on_error: Callable[[ReadError], None] | None = None
) -> Iterator[LabelledPost]:
    """Read labelled posts of one JSONL file.

    A bad row goes to ``on_error`` and is left out; without ``on_error`` it is raised.

    Raises
    ------
    ReadError
        Naming file, line and field of the first row that is not a labelled post.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                post = labelled_post(line, f"{path.name}:{number}")
            except ReadError as error:
                if on_error is None:
                    raise
                on_error(error)
            else:
                yield post


def labelled_post(line: bytes, where: str) -> LabelledPost:
    """One JSON line to a post; ``where`` names it in errors and stands in for a missing id."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ReadError(f"{where}: not valid JSON ({error}); write one object a line") from error
    if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not row["text"].strip():
        raise ReadError(f"{where}: field 'text' must be a non-empty string")
    if "labels" not in row:
        raise ReadError(f"{where}: field 'labels' is missing; [] says that none holds")
    labels, unknown = _labels(row, where)
    return LabelledPost(
        id=str(row.get("id") or where),
        text=row["text"],
        labels=labels,
        contexts=_ids(row, "contexts", CONTEXT_IDS, where),
        unknown=unknown | _ids(row, "unknown", LABEL_IDS + CONTEXT_IDS, where),
        family=str(row.get("family") or row.get("id") or where),
        confidence=_share(row, "confidence", where),
        sampling_probability=_share(row, "sampling_probability", where),
        **{field: str(row.get(field) or "") for field in _PLAIN_FIELDS},
    )


_PLAIN_FIELDS = (
    "register", "note", "platform", "channel", "labelled_by", "labelled_at", "guideline",
    "source", "licence", "split", "sampled_by",
)  # fmt: skip


def to_json(post: LabelledPost) -> dict[str, Any]:
    """The row that ``labelled_post`` reads back, with answers as a mapping."""
    words = {True: "yes", False: "no", None: "unknown"}
    row: dict[str, Any] = {
        "id": post.id,
        "text": post.text,
        "labels": {label: words[post.is_yes(label)] for label in LABEL_IDS},
        "contexts": sorted(post.contexts),
        "unknown": sorted(post.unknown & set(CONTEXT_IDS)),
        "family": post.family,
        "confidence": post.confidence,
        "sampling_probability": post.sampling_probability,
    }
    plain = {field: getattr(post, field) for field in _PLAIN_FIELDS}
    return row | {field: value for field, value in plain.items() if value}


def _labels(row: Mapping[str, Any], where: str) -> tuple[frozenset[str], frozenset[str]]:
    """Labels that hold, and ids nobody answered."""
    given = row["labels"]
    if not isinstance(given, dict):
        return _ids(row, "labels", LABEL_IDS, where), frozenset()
    for label, answer in given.items():
        if label not in LABEL_IDS:
            raise ReadError(_unknown_id(where, "labels", label))
        if answer not in ANSWERS:
            raise ReadError(f"{where}: field 'labels.{label}' must be one of {', '.join(ANSWERS)}")
    unanswered = {label for label in LABEL_IDS if given.get(label, "unknown") == "unknown"}
    # Contexts left out by somebody who did not answer every label are not known to be absent.
    silent = set() if "contexts" in row else set(CONTEXT_IDS)
    yes = frozenset(label for label, answer in given.items() if answer == "yes")
    return yes, frozenset(unanswered | silent)


def _share(row: Mapping[str, Any], field: str, where: str) -> float:
    value = row.get(field, 1.0)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:
        raise ReadError(f"{where}: field '{field}' must be a number from 0 to 1")
    return float(value)


def _ids(row: Mapping[str, Any], field: str, known: tuple[str, ...], where: str) -> frozenset[str]:
    given = row.get(field, [])
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise ReadError(f"{where}: field '{field}' must be a list of label ids")
    if stray := sorted(set(given) - set(known)):
        raise ReadError(_unknown_id(where, field, stray[0]))
    return frozenset(given)


def _unknown_id(where: str, field: str, name: str) -> str:
    return f"{where}: field '{field}' has unknown id '{name}'; see `penapisan labels`"

"""Labelled posts: one JSON line each, the format training and reviewers exchange.

``labels`` lists the labels that hold; every other label of the taxonomy does not hold, unless it
is listed under ``unknown``. A post with an unknown label still teaches the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from screening.errors import ReadError
from screening.taxonomy import CONTEXT_IDS, LABEL_IDS


@dataclass(frozen=True, slots=True)
class LabelledPost:
    """A text with its answer. ``family`` ties a post to its minimal pairs: they share a split."""

    id: str
    text: str
    labels: frozenset[str]
    contexts: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    family: str = ""
    register: str = ""
    note: str = ""

    def is_yes(self, label: str) -> bool | None:
        """Whether ``label`` (or context) holds; ``None`` where nobody said."""
        if label in self.unknown:
            return None
        return label in self.labels or label in self.contexts


def read_labelled(path: Path) -> Iterator[LabelledPost]:
    """Read labelled posts of one JSONL file.

    Raises
    ------
    ReadError
        Naming file, line and field of the first row that is not a labelled post.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _labelled_post(line, f"{path.name}:{number}")


def _labelled_post(line: bytes, where: str) -> LabelledPost:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ReadError(f"{where}: not valid JSON ({error}); write one object a line") from error
    if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not row["text"]:
        raise ReadError(f"{where}: field 'text' must be a non-empty string")
    return LabelledPost(
        id=str(row.get("id", where)),
        text=row["text"],
        labels=_ids(row, "labels", LABEL_IDS, where),
        contexts=_ids(row, "contexts", CONTEXT_IDS, where),
        unknown=_ids(row, "unknown", LABEL_IDS + CONTEXT_IDS, where),
        family=str(row.get("family") or row.get("id") or where),
        register=str(row.get("register", "")),
        note=str(row.get("note", "")),
    )


def _ids(row: Mapping[str, Any], field: str, known: tuple[str, ...], where: str) -> frozenset[str]:
    given = row.get(field, [])
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise ReadError(f"{where}: field '{field}' must be a list of label ids")
    if stray := sorted(set(given) - set(known)):
        raise ReadError(
            f"{where}: field '{field}' has unknown id '{stray[0]}'; see `penapisan labels`"
        )
    return frozenset(given)

"""A release: one folder with everything a score depends on, never edited once written.

====================  ==========================================================================
``model.onnx``        encoder and head; weights int8 per output channel (ONNX opset 20)
``tokenizer.json``    Hugging Face ``tokenizers`` file
``release.json``      id, outputs, calibration, thresholds, base, training, data, metrics, SHA-256
``CARD.md``           the model card, generated from ``release.json``
====================  ==========================================================================

No pickle: every file is ONNX, JSON or text.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import ReleaseError
from screening.calibration import Calibration
from screening.policy import SCREENED, Policy, Threshold
from screening.taxonomy import CONTEXT_IDS, LABEL_IDS, TAXONOMY_VERSION, TERRORISM

FORMAT = 1
OUTPUTS: tuple[str, ...] = (*LABEL_IDS, TERRORISM, *CONTEXT_IDS)
"""What a model of this format answers, in order."""

RELEASES = Path(__file__).parent / "releases"
MODEL_FILE, TOKENIZER_FILE, CARD_FILE = "model.onnx", "tokenizer.json", "CARD.md"
CHECKED_FILES = (MODEL_FILE, TOKENIZER_FILE)


@dataclass(frozen=True)
class Release:
    """A verified release. ``record`` is the whole of ``release.json``."""

    folder: Path
    id: str
    max_tokens: int
    calibration: Calibration
    policy: Policy
    record: Mapping[str, Any] = field(repr=False)

    @property
    def model_path(self) -> Path:
        return self.folder / MODEL_FILE

    @property
    def tokenizer_path(self) -> Path:
        return self.folder / TOKENIZER_FILE


def default_release_folder() -> Path:
    """The folder named by ``models/releases/DEFAULT``."""
    pointer = RELEASES / "DEFAULT"
    try:
        return RELEASES / pointer.read_text("utf-8").strip()
    except OSError as error:
        raise ReleaseError(
            f"{pointer}: no default release is installed; name one with --release FOLDER"
        ) from error


def load_release(
    folder: str | os.PathLike[str] | None = None, *, allow_refused: bool = False
) -> Release:
    """Load and verify a release folder; the shipped default when none is named.

    Raises
    ------
    ReleaseError
        A file is missing, its SHA-256 differs, ``release.json`` lacks a field, or the release was
        refused because it is worse than the one it was made to replace.
    """
    path = Path(folder) if folder is not None else default_release_folder()
    record = _read_record(path)
    if record.get("refused") and not allow_refused:
        raise ReleaseError(
            f"{path}: refused, for it is worse than '{record['comparison']['old']}'; see its "
            "CARD.md, and serve the older release"
        )
    _verify_files(path, record)
    try:
        return _release(path, record)
    except (KeyError, TypeError, ValueError) as error:
        raise ReleaseError(
            f"{path / 'release.json'}: field {error} is missing or malformed; "
            "write the release again with penapisan-train"
        ) from error


def _read_record(folder: Path) -> dict[str, Any]:
    path = folder / "release.json"
    try:
        record = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ReleaseError(f"{folder} is not a release folder: no readable release.json") from error
    except ValueError as error:
        raise ReleaseError(f"{path}: not valid JSON ({error}); fetch the release again") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ReleaseError(f"{path}: expected format {FORMAT}; use a matching penapisan version")
    if record.get("taxonomy") != TAXONOMY_VERSION or tuple(record.get("outputs", ())) != OUTPUTS:
        raise ReleaseError(
            f"{path}: made for taxonomy {record.get('taxonomy')}, expected {TAXONOMY_VERSION} "
            "with its outputs in order; train a release for this version"
        )
    return record


def _verify_files(folder: Path, record: Mapping[str, Any]) -> None:
    for name in CHECKED_FILES:
        expected = record.get("files", {}).get(name)
        try:
            found = sha256(folder / name)
        except OSError as error:
            raise ReleaseError(f"{folder / name} is missing; fetch the release again") from error
        if found != expected:
            raise ReleaseError(
                f"{folder / name}: SHA-256 is {found[:12]}…, release.json says "
                f"{str(expected)[:12]}…; the file was changed or cut off, fetch the release again"
            )


def _release(folder: Path, record: Mapping[str, Any]) -> Release:
    thresholds = {
        label: Threshold(
            float(record["thresholds"][label]["review"]),
            _optional_float(record["thresholds"][label]["urgent"]),
        )
        for label in SCREENED
    }
    return Release(
        folder=folder,
        id=str(record["id"]),
        max_tokens=int(record["max_tokens"]),
        calibration=Calibration.from_json(OUTPUTS, record["calibration"]),
        policy=Policy(thresholds, version=str(record["id"])),
        record=record,
    )


def _optional_float(value: float | None) -> float | None:
    return None if value is None else float(value)


def write_record(folder: Path, record: Mapping[str, Any], files: Sequence[str]) -> None:
    """Write ``release.json`` last, with the checksums of ``files``: it marks completion."""
    checksums = {name: sha256(folder / name) for name in files}
    complete = {"format": FORMAT, **record, "files": checksums}
    scratch = folder / "release.json.partial"
    scratch.write_text(json.dumps(complete, indent=2, ensure_ascii=False) + "\n", "utf-8")
    scratch.replace(folder / "release.json")


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

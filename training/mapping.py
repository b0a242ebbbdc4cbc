"""Public sets as labelled posts, each by a small declarative mapping file.

A mapping says where a set lies (a hub id, or files the user names), which columns hold the text,
what each value of a column answers, and under which licence. Labels that no rule answers stay
unknown, so that sets with different labels train one model.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from screening.label_studio import choices_of, is_cancelled
from screening.labelled import LabelledPost
from screening.taxonomy import CONTEXT_IDS, LABEL_IDS
from training.errors import TrainingError

MAPPINGS = Path(__file__).parent / "mappings"

TRAINABLE_LICENCES = frozenset(
    {
        "Apache-2.0",
        "MIT",
        "BSD-3-Clause",
        "CC0-1.0",
        "CC-BY-3.0",
        "CC-BY-4.0",
        "CC-BY-SA-4.0",
        "own",
    }
)
"""Licences under which weights may be trained and shipped; any other is for evaluation only."""

FORMATS = {".jsonl": "json", ".json": "json", ".gz": "json", ".csv": "csv", ".parquet": "parquet"}


@dataclass(frozen=True)
class Rule:
    """Where ``column`` holds one of ``values``, labels ``yes`` hold and labels ``no`` do not."""

    column: str
    values: frozenset[str]
    yes: frozenset[str]
    no: frozenset[str]
    contexts: frozenset[str]


@dataclass(frozen=True)
class SetMapping:
    """A mapping file. ``outputs`` are its labels outside the taxonomy, if it has any.

    ``is_complete`` says that whoever answered a row answered every label: those not named do
    not hold.
    """

    name: str
    hub: str
    licence: str
    citation: str
    text: tuple[str, ...]
    outputs: tuple[str, ...]
    is_escaped: bool
    label_studio: bool
    is_complete: bool
    rules: tuple[Rule, ...]

    @property
    def trainable(self) -> bool:
        return self.licence in TRAINABLE_LICENCES


def read_mapping(name_or_path: str) -> SetMapping:
    """A mapping of ours by name, or a file of yours.

    Raises
    ------
    TrainingError
        No such mapping, or a field of it is missing or unknown.
    """
    path = MAPPINGS / f"{name_or_path}.toml"
    if not path.exists():
        path = Path(name_or_path)
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        ours = ", ".join(sorted(p.stem for p in MAPPINGS.glob("*.toml")))
        raise TrainingError(
            f"no mapping '{name_or_path}'; give a .toml file or one of {ours}"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path}: not a TOML file ({error})") from error
    if missing := [field for field in ("name", "licence", "text") if not given.get(field)]:
        raise TrainingError(f"{path}: field '{missing[0]}' is missing")
    outputs = tuple(given.get("outputs", ()))
    return SetMapping(
        name=given["name"],
        hub=given.get("hub", ""),
        licence=given["licence"],
        citation=given.get("citation", ""),
        text=tuple(given["text"]),
        outputs=outputs,
        is_escaped=bool(given.get("escaped", False)),
        label_studio=given.get("format") == "label_studio",
        is_complete=bool(given.get("complete", False)),
        rules=tuple(_rule(rule, outputs, path) for rule in given.get("rules", ())),
    )


def load_mapped(mapping: SetMapping, files: Sequence[Path] = ()) -> list[LabelledPost]:
    """Every post of a set, from ``files`` or else from the hub.

    Raises
    ------
    TrainingError
        The set cannot be read, or lacks a column of the mapping.
    """
    rows = _rows(mapping, files)
    if not rows:
        raise TrainingError(f"{_where(mapping, files)}: holds no rows")
    needed = [*mapping.text, *(rule.column for rule in mapping.rules)]
    for column in dict.fromkeys(needed):
        if column not in rows[0]:
            raise TrainingError(
                f"{_where(mapping, files)}: column '{column}' is missing; "
                f"found {', '.join(map(str, rows[0]))}"
            )
    posts = [_post(mapping, row, number) for number, row in enumerate(rows, 1)]
    return [post for post in posts if post.text]


def _rule(given: Mapping[str, Any], outputs: Sequence[str], path: Path) -> Rule:
    known = {*LABEL_IDS, *CONTEXT_IDS, *outputs}
    answered = {
        field: frozenset(LABEL_IDS if given.get(field) == "*" else given.get(field, ()))
        for field in ("yes", "no", "contexts")
    }
    if stray := sorted(set().union(*answered.values()) - known):
        raise TrainingError(f"{path}: rule on '{given.get('column')}' has unknown id '{stray[0]}'")
    if "column" not in given or "values" not in given:
        raise TrainingError(f"{path}: a rule needs 'column' and 'values'")
    return Rule(given["column"], frozenset(map(_key, given["values"])), **answered)


def _rows(mapping: SetMapping, files: Sequence[Path]) -> list[dict[str, Any]]:
    import datasets

    datasets.disable_progress_bars()
    for path in files:
        if not path.exists() or not path.stat().st_size:
            raise TrainingError(f"{path}: missing or empty; give a file that holds rows")
    try:
        return [
            {"split": split, **(_label_studio(row) if mapping.label_studio else row)}
            for split, part in _found(mapping, files).items()
            for row in part
        ]
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise TrainingError(
            f"{_where(mapping, files)}: cannot be read as rows ({_first_line(error)})"
        ) from error


def _found(mapping: SetMapping, files: Sequence[Path]) -> Any:
    import datasets

    if not files:
        if not mapping.hub:
            raise TrainingError(f"mapping '{mapping.name}' names no hub id; give --file")
        return datasets.load_dataset(mapping.hub)
    suffix = files[0].suffix.lower()
    if suffix not in FORMATS:
        raise TrainingError(f"{files[0]}: unknown suffix; use {', '.join(FORMATS)}")
    return datasets.load_dataset(FORMATS[suffix], data_files=[str(path) for path in files])


def _label_studio(row: Mapping[str, Any]) -> dict[str, Any]:
    """A task of a Label Studio JSON export: its text, and the choices of its first annotation that
    was not cancelled."""
    kept = [given for given in row.get("annotations") or [] if not is_cancelled(given)]
    return {**(row.get("data") or {}), "choices": choices_of(kept[0]) if kept else []}


def _post(mapping: SetMapping, row: Mapping[str, Any], number: int) -> LabelledPost:
    yes: set[str] = set()
    no: set[str] = set()
    contexts: set[str] = set()
    for rule in mapping.rules:
        value = row[rule.column]
        held = {_key(item) for item in (value if isinstance(value, list) else [value])}
        if held & rule.values:
            yes |= rule.yes
            no |= rule.no
            contexts |= rule.contexts
    if mapping.is_complete and (yes or no or contexts):
        no = {*LABEL_IDS, *CONTEXT_IDS, *mapping.outputs} - yes - contexts
    answered = yes | no
    text = "\n".join(str(row[column]).strip() for column in mapping.text if row[column])
    return LabelledPost(
        id=f"{mapping.name}:{number}",
        text=unescaped(text) if mapping.is_escaped else text,
        labels=frozenset(yes),
        contexts=frozenset(contexts),
        unknown=frozenset({*LABEL_IDS, *CONTEXT_IDS, *mapping.outputs} - answered - contexts),
        family=f"{mapping.name}:{number}",
        source=mapping.name,
        licence=mapping.licence,
        split=str(row.get("split") or ""),
    )


_BYTES = re.compile(r"(?:\\x[0-9a-fA-F]{2})+")


def unescaped(text: str) -> str:
    r"""Undo Python byte escapes that were published as text.

    >>> unescaped(r"wkwk \xf0\x9f\x98\x82\nbaris dua")
    'wkwk 😂\nbaris dua'
    """

    def decode(found: re.Match[str]) -> str:
        return bytes.fromhex(found[0].replace("\\x", "")).decode("utf-8", "ignore")

    return _BYTES.sub(decode, text).replace("\\n", "\n").replace("\\/", "/")


def _key(value: object) -> str:
    """Values compare as text, whatever the file's types: 1, 1.0, "1" and True are one."""
    if isinstance(value, (bool, float)):
        value = int(value) if value == int(value) else value
    return str(value).strip().lower()


def _where(mapping: SetMapping, files: Sequence[Path]) -> str:
    return ", ".join(path.name for path in files) or f"hub set '{mapping.hub}'"


def _first_line(error: BaseException) -> str:
    return str(error.__cause__ or error).strip().split("\n")[0][:200]

"""Label Studio's exports as labelled posts: JSON (tasks with annotations) and CSV.

A project's choices are this taxonomy's labels and contexts, by id or by name, and ``none``. Whoever
annotated a text answered every label: those not chosen do not hold. Formats: Label Studio's guide,
"Export annotations", and ``label_studio_sdk.converter`` 2.1.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from screening.errors import ReadError
from screening.labelled import LabelledPost
from screening.taxonomy import CONTEXT_IDS, CONTEXTS, LABEL_IDS, LABELS
from screening.text import display_text
from screening.types import ReadReport

NONE = "none"
OWN_COLUMNS = frozenset(
    {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"}
)
"""Columns of every CSV export, beside those of the tasks' data and of the controls."""

CHOICES: Mapping[str, str] = {
    name.casefold(): entry.id
    for entry in (*LABELS, *CONTEXTS)
    for name in (entry.id, entry.name_id, entry.name_en)
} | {NONE: NONE}

MAX_CELL = 2**24

OnError = Callable[[ReadError], None]


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one person answered: ``post.labelled_by`` is their name as the file has it, and
    ``where`` says where it stands. ``is_gold`` marks what the project holds for the truth."""

    post: LabelledPost
    where: str
    is_gold: bool = False


def read_json(
    content: bytes, name: str, *, text: str, choices: Sequence[str], report: ReadReport,
    on_error: OnError,
) -> Iterator[Annotation]:  # fmt: skip
    """The annotations of a JSON export.

    Parameters
    ----------
    text
        The field of a task's ``data`` that holds the text.
    choices
        Names of the controls that hold the choices; empty for all of them.
    report
        Counts annotations that were ``cancelled`` or ``empty`` and tasks that are ``unlabelled``.
    on_error
        Gets each bad annotation, named by task and field; it is left out.

    Raises
    ------
    ReadError
        The file is no list of tasks.
    """
    try:
        tasks = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ReadError(f"{name}: not valid JSON ({error})") from error
    if not isinstance(tasks, list):
        raise ReadError(f"{name}: is no list of tasks; export the project as JSON")
    for number, task in enumerate(tasks, 1):
        where = f"{name}: task {number}"
        try:
            if not isinstance(task, dict):
                raise ReadError(f"{where}: is no object")
            where = f"{name}: task {_shown(task.get('id', number))}"
            annotations = _list(task, "annotations", where)
            if not annotations:
                report.skipped["unlabelled"] += 1
            data = _mapping(task, "data", where)
        except ReadError as error:
            on_error(error)
            continue
        for annotation in annotations:
            try:
                found = _annotation(annotation, data, where, text, choices, report)
            except ReadError as error:
                on_error(error)
            else:
                if found is not None:
                    yield found


def read_csv(
    content: bytes, name: str, *, text: str, choices: Sequence[str], report: ReadReport,
    on_error: OnError,
) -> Iterator[Annotation]:  # fmt: skip
    """The annotations of a CSV export, which has one line each and leaves cancelled ones out.

    Without ``choices``, the one column in which this taxonomy's choices are found.

    Raises
    ------
    ReadError
        The file is no UTF-8, lacks a column, or does not tell which column holds the choices.
    """
    rows = _csv_rows(content, name)
    if not rows:
        raise ReadError(f"{name}: holds no row")
    for column in (text, "annotator", *choices):
        if column not in rows[0][1]:
            found = ", ".join(map(_shown, rows[0][1]))
            raise ReadError(f"{name}: column '{_shown(column)}' is missing; found {found}")
    columns = choices or _choice_columns([row for _, row in rows], text, name)
    for line, row in rows:
        where = f"{name}:{line}"
        if row.get("id"):
            where += f": task {_shown(row['id'])}"
        try:
            given = [choice for column in columns for choice in _cell_choices(row[column])]
            if not row["annotator"] and not given:
                report.skipped["unlabelled"] += 1
            elif not given:
                report.skipped["empty"] += 1
            else:
                yield Annotation(_post(row, given, row["annotator"], where, text), where)
        except ReadError as error:
            on_error(error)


def choices_of(annotation: Mapping[str, Any], controls: Sequence[str] = ()) -> list[str]:
    """What was chosen in an annotation, in the ``controls`` or, without them, in all."""
    return [
        str(choice)
        for result in annotation.get("result") or []
        if not controls or result.get("from_name") in controls
        for choice in (result.get("value") or {}).get("choices") or []
    ]


def is_cancelled(annotation: Mapping[str, Any]) -> bool:
    """Whether the annotator skipped the task."""
    return bool(annotation.get("was_cancelled") or annotation.get("skipped"))


def _annotation(
    annotation: Any,
    data: Mapping[str, Any],
    where: str,
    text: str,
    controls: Sequence[str],
    report: ReadReport,
) -> Annotation | None:
    if not isinstance(annotation, dict):
        raise ReadError(f"{where}: field 'annotations' must be a list of objects")
    where = f"{where}, annotation {_shown(annotation.get('id', '?'))}"
    if is_cancelled(annotation):
        report.skipped["cancelled"] += 1
        return None
    for result in _list(annotation, "result", where):
        if not isinstance(result, dict):
            raise ReadError(f"{where}: field 'result' must be a list of objects")
        _list(_mapping(result, "value", where), "choices", where)
    given = choices_of(annotation, controls)
    if not given:
        report.skipped["empty"] += 1
        return None
    fields = {**data, "created_at": annotation.get("created_at")}
    who = _annotator(annotation.get("completed_by"))
    is_gold = bool(annotation.get("ground_truth"))
    return Annotation(_post(fields, given, who, where, text), where, is_gold)


def _post(
    fields: Mapping[str, Any], given: Sequence[str], who: str, where: str, text: str
) -> LabelledPost:
    words = fields.get(text)
    if not isinstance(words, str) or not words.strip():
        raise ReadError(f"{where}: field '{_shown(text)}' must be a non-empty string")
    if not who:
        raise ReadError(f"{where}: field 'completed_by' does not say who annotated")
    chosen = frozenset(_known(choice, where) for choice in given)
    labels, contexts = chosen & set(LABEL_IDS), chosen & set(CONTEXT_IDS)
    if NONE in chosen and labels:
        raise ReadError(f"{where}: field 'choices' holds both '{NONE}' and '{min(labels)}'")
    return LabelledPost(
        id=where,
        text=words,
        labels=labels,
        contexts=contexts,
        family=where,
        labelled_by=who,
        labelled_at=str(fields.get("created_at") or ""),
        platform=_plain(fields, "platform"),
        channel=_plain(fields, "channel"),
    )


def _plain(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return str(value) if isinstance(value, str | int) else ""


def _known(choice: str, where: str) -> str:
    found = CHOICES.get(choice.strip().casefold())
    if found is None:
        raise ReadError(
            f"{where}: field 'choices' has '{_shown(choice)}', which is no label, context or "
            f"'{NONE}'; see `penapisan labels`"
        )
    return found


def _annotator(completed_by: Any) -> str:
    """E-mail or id: a CSV export of the same project has the same."""
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("email") or completed_by.get("id")
    is_given = isinstance(completed_by, str | int) and not isinstance(completed_by, bool)
    return str(completed_by) if is_given else ""


def _csv_rows(content: bytes, name: str) -> list[tuple[int, dict[str, str]]]:
    """Lines with their numbers; the last one of a row that spans several."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL))
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        return [
            (reader.line_num, {key: value or "" for key, value in row.items() if key is not None})
            for row in reader
        ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ReadError(f"{name}: cannot be read as CSV in UTF-8 ({error})") from error


def _choice_columns(rows: Sequence[Mapping[str, str]], text: str, name: str) -> list[str]:
    found = [
        column
        for column in rows[0]
        if column != text
        and column not in OWN_COLUMNS
        and any(choice.strip().casefold() in CHOICES for row in rows
                for choice in _cell_choices(row.get(column, "")))
    ]  # fmt: skip
    if len(found) != 1:
        which = f"the columns {', '.join(map(_shown, found))} hold" if found else "no column holds"
        raise ReadError(
            f"{name}: {which} choices of the taxonomy; name those that count (--choices)"
        )
    return found


def _cell_choices(cell: str) -> list[str]:
    """One choice as it is, several as ``{"choices": [...]}`` or a list of such."""
    if not cell.strip().startswith(("{", "[")):
        return [cell] if cell.strip() else []
    try:
        value = orjson.loads(cell)
    except orjson.JSONDecodeError:
        return [cell]
    parts = value if isinstance(value, list) else [value]
    found: list[str] = []
    for part in parts:
        held = part.get("choices") if isinstance(part, dict) else part
        found += [
            str(item) for item in (held if isinstance(held, list) else [held] if held else [])
        ]
    return found


def _list(given: Mapping[str, Any], field: str, where: str) -> list[Any]:
    value = given.get(field)
    if value is not None and not isinstance(value, list):
        raise ReadError(f"{where}: field '{field}' must be a list")
    return value or []


def _mapping(given: Mapping[str, Any], field: str, where: str) -> Mapping[str, Any]:
    value = given.get(field)
    if value is not None and not isinstance(value, dict):
        raise ReadError(f"{where}: field '{field}' must be an object")
    return value or {}


def _shown(value: object) -> str:
    """A name of the file in a message: short, and safe to print."""
    words = display_text(str(value))
    return words if len(words) <= 60 else words[:59] + "…"

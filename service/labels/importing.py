"""Labels from elsewhere: Label Studio's JSON and CSV exports, and labelled posts (JSONL).

An import is whole or not at all, and the same file twice adds nothing. It never changes a review:
what reviewers here ruled outranks it, and where the two differ the import says so. Annotators keep
their identity as a pseudonym.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from sqlalchemy.orm import Session

from screening import label_studio
from screening.errors import ReadError
from screening.label_studio import Annotation
from screening.labelled import LabelledPost, labelled_post
from screening.taxonomy import CONTEXT_IDS, LABEL_IDS
from screening.types import ReadReport
from service import audit
from service.db import Database
from service.errors import Unprocessable
from service.labels import repository
from service.labels.export import CONSENSUS, voices_of
from service.labels.pseudonyms import Pseudonyms
from service.scoring.storing import put_contents, sha256_of
from service.sealing import Sealer

_T = TypeVar("_T")

Format = Literal["label_studio_json", "label_studio_csv", "labelled_posts"]
FORMATS: Mapping[str, Format] = {
    ".json": "label_studio_json",
    ".csv": "label_studio_csv",
    ".jsonl": "labelled_posts",
}
"""By the suffix of a file."""

BATCH = 500
SHOWN = 100
"""Faults and conflicts that an answer names; all are counted."""

LONGEST = {
    "text": 1_000_000,
    "platform": 64,
    "channel": 256,
    "guideline": 32,
    "labelled_by": 256,
}
"""Most characters of a field."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to import. ``text`` names the field of Label Studio's tasks that holds the text,
    ``choices`` the controls that hold the choices; empty for those that are found."""

    name: str
    content: bytes
    format: Format
    text: str = "text"
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Differing:
    """A label about which an imported answer and the reviews here differ."""

    where: str
    label: str
    imported: bool
    here: bool


@dataclass(slots=True)
class Imported:
    """What an import added or, in a dry run, would add.

    ``labels`` counts the added answers by label or context and answer. ``skipped`` counts what is
    no answer of an annotator: ``cancelled``, ``empty``, ``unlabelled`` and, in labelled posts, rows
    by ``consensus`` and those ``from_here``, which an export of this service wrote.
    """

    dry_run: bool
    rows: int = 0
    added: int = 0
    known: int = 0
    annotators: int = 0
    labels: dict[str, dict[str, int]] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    fault_count: int = 0
    conflicts: list[Differing] = field(default_factory=list)
    conflict_count: int = 0

    def note_fault(self, error: ReadError) -> None:
        self.fault_count += 1
        if len(self.faults) < SHOWN:
            self.faults.append(str(error))

    def note_conflict(self, conflict: Differing) -> None:
        self.conflict_count += 1
        if len(self.conflicts) < SHOWN:
            self.conflicts.append(conflict)


@dataclass(frozen=True, slots=True)
class Answer:
    """An annotator's answer as it is kept; ``source`` tells it from every other."""

    annotation: Annotation
    content_sha256: str
    annotator: str
    labelled_at: str
    source: str


def import_labels(
    database: Database,
    sealer: Sealer,
    names: Pseudonyms,
    source: Source,
    actor: str,
    at: datetime,
    *,
    dry_run: bool = False,
) -> Imported:
    """Add a file's labels, or say what that would do; either way it is on record.

    Raises
    ------
    Unprocessable
        The file cannot be read or, unless this is a dry run, a row is bad; nothing was added.
    """
    done = Imported(dry_run)
    annotations = _read(source, done)
    if done.fault_count and not dry_run:
        raise Unprocessable(
            f"{done.fault_count} of {done.rows} rows are bad, so that none was added; mend the "
            "file, and see with a dry run what is left",
            errors=[{"pointer": "", "detail": fault} for fault in done.faults],
        )
    with database.session() as session:
        fresh = _new_answers(session, _from_elsewhere(session, annotations, names, done), names)
        done.known = done.rows - done.fault_count - sum(done.skipped.values()) - len(fresh)
        _count(fresh, done)
        _compare(session, names, fresh, done)
        if not dry_run:
            _add(session, sealer, fresh, source.name, actor, at)
        detail = {
            "sha256": hashlib.sha256(source.content).hexdigest(),
            "format": source.format,
            "dry_run": dry_run,
            "added": 0 if dry_run else done.added,
            "conflicts": done.conflict_count,
        }
        audit.append(session, actor, "labels.import", "labels", detail)
    return done


def _read(source: Source, done: Imported) -> list[Annotation]:
    """The file's annotations; its bad rows go to ``done``."""
    report = ReadReport()
    kept: list[Annotation] = []
    try:
        for annotation in _annotations(source, report, done.note_fault):
            try:
                _check_fields(annotation)
            except ReadError as error:
                done.note_fault(error)
            else:
                kept.append(annotation)
    except ReadError as error:
        raise Unprocessable(str(error)) from error
    done.skipped = dict(report.skipped)
    done.rows = len(kept) + done.fault_count + sum(done.skipped.values())
    return kept


def _annotations(
    source: Source, report: ReadReport, on_error: Callable[[ReadError], None]
) -> Iterator[Annotation]:
    if source.format == "labelled_posts":
        yield from _labelled_posts(source, on_error)
        return
    is_json = source.format == "label_studio_json"
    read = label_studio.read_json if is_json else label_studio.read_csv
    yield from read(
        source.content,
        source.name,
        text=source.text,
        choices=source.choices,
        report=report,
        on_error=on_error,
    )


def _labelled_posts(source: Source, on_error: Callable[[ReadError], None]) -> Iterator[Annotation]:
    for number, line in enumerate(source.content.splitlines(), 1):
        where = f"{source.name}:{number}"
        if not line.strip():
            continue
        try:
            post = labelled_post(line, where)
            if not post.labelled_by:
                raise ReadError(f"{where}: field 'labelled_by' does not say who labelled")
        except ReadError as error:
            on_error(error)
        else:
            yield Annotation(post, where)


def _check_fields(annotation: Annotation) -> None:
    """Raise ``ReadError`` where a field is longer than it can be kept, or cannot be stored."""
    for name, longest in LONGEST.items():
        value = getattr(annotation.post, name)
        if len(value) > longest:
            raise ReadError(
                f"{annotation.where}: field '{name}' has {len(value):,} characters, {longest:,} at "
                "most are kept"
            )
        if "\x00" in value and name != "text":
            raise ReadError(f"{annotation.where}: field '{name}' holds a NUL character")


def _from_elsewhere(
    session: Session, annotations: Sequence[Annotation], names: Pseudonyms, done: Imported
) -> list[Annotation]:
    """Those that are no rows of an export of this service, nor sums of other rows."""
    ours = {names.of(reviewer) for reviewer in repository.known_reviewers(session)}
    ours |= repository.known_annotators(session)
    kept = []
    for annotation in annotations:
        who = annotation.post.labelled_by
        reason = "consensus" if who == CONSENSUS else "from_here" if who in ours else None
        if reason is None:
            kept.append(annotation)
        else:
            done.skipped[reason] = done.skipped.get(reason, 0) + 1
    return kept


def _new_answers(
    session: Session, annotations: Sequence[Annotation], names: Pseudonyms
) -> list[Answer]:
    """The answers, each once, that no earlier import added."""
    found = {answer.source: answer for answer in (_answer(given, names) for given in annotations)}
    known: set[str] = set()
    for sources in _batches(list(found)):
        known |= repository.known_sources(session, sources)
    return [answer for source, answer in found.items() if source not in known]


def _answer(annotation: Annotation, names: Pseudonyms) -> Answer:
    post = annotation.post
    sha256 = sha256_of(post.text)
    annotator, at = names.of(f"external:{post.labelled_by}"), _in_utc(post.labelled_at)
    told = [sha256, annotator, at, _answers(post), post.guideline, annotation.is_gold]
    source = sha256_of(json.dumps(told, sort_keys=True))
    return Answer(annotation, sha256, annotator, at, source)


def _answers(post: LabelledPost) -> dict[str, str]:
    words = {True: "yes", False: "no", None: "unknown"}
    return {name: words[post.is_yes(name)] for name in (*LABEL_IDS, *CONTEXT_IDS)}


def _in_utc(moment: str) -> str:
    """A time in one way of writing, so that times compare; '' for none and for what is no time,
    which is no reason to refuse an answer. One without a zone is taken for UTC."""
    try:
        read = datetime.fromisoformat(moment.strip())
        aware = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return aware.isoformat(timespec="microseconds")


def _count(fresh: Sequence[Answer], done: Imported) -> None:
    done.added = len(fresh)
    done.annotators = len({answer.annotator for answer in fresh})
    done.labels = {
        name: dict.fromkeys(("yes", "no", "unknown"), 0) for name in (*LABEL_IDS, *CONTEXT_IDS)
    }
    for answer in fresh:
        for name, word in _answers(answer.annotation.post).items():
            done.labels[name][word] += 1


def _compare(session: Session, names: Pseudonyms, fresh: Sequence[Answer], done: Imported) -> None:
    """Note each label of an answer about which the reviews here agree on something else."""
    for answers in _batches(fresh):
        contents = sorted({answer.content_sha256 for answer in answers})
        voices = voices_of(session, names, contents)
        for answer in answers:
            for ruled in voices[answer.content_sha256].ruled:
                for label in LABEL_IDS:
                    said, here = answer.annotation.post.is_yes(label), ruled.is_yes(label)
                    if said is not None and here is not None and said != here:
                        done.note_conflict(Differing(answer.annotation.where, label, said, here))


def _add(
    session: Session,
    sealer: Sealer,
    fresh: Sequence[Answer],
    origin: str,
    actor: str,
    at: datetime,
) -> None:
    for answers in _batches(fresh):
        texts = {answer.content_sha256: answer.annotation.post.text for answer in answers}
        put_contents(session, sealer, texts, at)
        rows = [
            _values(answer) | {"origin": origin[:256], "imported_by": actor, "imported_at": at}
            for answer in answers
        ]
        repository.add_imports(session, rows)


def _values(answer: Answer) -> dict[str, Any]:
    post, answers = answer.annotation.post, _answers(answer.annotation.post)
    return {
        "source": answer.source,
        "content_sha256": answer.content_sha256,
        "labels": {label: answers[label] for label in LABEL_IDS},
        "contexts": {context: answers[context] for context in CONTEXT_IDS},
        "annotator": answer.annotator,
        "labelled_at": answer.labelled_at,
        "guideline": post.guideline,
        "is_gold": answer.annotation.is_gold,
        "platform": post.platform,
        "channel_id": post.channel,
    }


def _batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for begin in range(0, len(items), BATCH):
        yield items[begin : begin + BATCH]

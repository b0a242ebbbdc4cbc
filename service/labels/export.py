"""Reviews as labelled posts for training: each person's answers, and what they come to.

A text has one row for every standing review of it and for each annotator whose labels were
imported and, once a case of it is closed or it has imported labels, one row by ``consensus``. In
this order, the consensus is the answer of a gold item, a senior's settlement, what the reviews of
its closed cases agree on, what its project held for the truth, or what its annotators agree on;
where they differ about a label, it is unknown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sqlalchemy.orm import Session

from screening.labelled import LabelledPost, to_json
from screening.outputs import check_output, replaced, write_jsonl_stream
from screening.taxonomy import CONTEXT_IDS, LABEL_IDS
from service import audit
from service.cases.repository import sealed_texts
from service.cases.states import State
from service.db import Database
from service.labels import repository
from service.labels.pseudonyms import Pseudonyms
from service.sealing import Sealer
from service.tables import Case, GoldItem, ImportedLabel, Review

CONSENSUS = "consensus"
IMPORT = "import"
"""How an imported label came."""
PAGE = 200
SETTLEMENT = 3
"""The round of a senior's ruling."""

Reviewed = tuple[Review, Case]


@dataclass(slots=True)
class Exported:
    """Rows written, and reviews left out by reason."""

    reviews: int = 0
    imported: int = 0
    consensus: int = 0
    undone: int = 0
    of_accounts_and_channels: int = 0
    without_text: int = 0


def export_labels(
    database: Database, sealer: Sealer, names: Pseudonyms, path: Path, actor: str
) -> Exported:
    """Write the rows to ``path``, which an earlier file keeps until all is done and on record.

    Raises
    ------
    OutputError
        ``path`` is not a .jsonl file that can be written.
    Unavailable
        A text is encrypted with a key that is not configured.
    """
    check_output(path, (".jsonl",))
    done = Exported()
    with replaced(path) as scratch:
        with scratch.open("wb") as file:
            write_jsonl_stream(file, map(to_json, _rows(database, sealer, names, actor, done)))
        with scratch.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        with database.session() as session:
            done.undone = repository.undone_reviews(session)
            done.of_accounts_and_channels = repository.gathered_reviews(session)
            audit.append(
                session, actor, "labels.export", "labels", asdict(done) | {"sha256": sha256}
            )
    return done


def _rows(
    database: Database, sealer: Sealer, names: Pseudonyms, actor: str, done: Exported
) -> Iterator[LabelledPost]:
    """All rows, page by page; the reading of a page's texts is on record before they are given."""
    after = ""
    while True:
        with database.session() as session:
            contents = repository.page_of_contents(session, after, PAGE)
            rows = _page(session, sealer, names, contents, actor, done)
        yield from rows
        if len(contents) < PAGE:
            return
        after = contents[-1]


def _page(
    session: Session,
    sealer: Sealer,
    names: Pseudonyms,
    contents: Sequence[str],
    actor: str,
    done: Exported,
) -> list[LabelledPost]:
    voices = voices_of(session, names, contents)
    clusters = repository.cluster_by_content(session, contents)
    texts = _open_texts(session, sealer, contents)
    rows = []
    for sha256, voice in voices.items():
        if sha256 not in texts:
            done.without_text += len(voice.people) + len(voice.imported)
            continue
        family = f"cluster-{clusters[sha256]}" if sha256 in clusters else sha256
        found = [*voice.people, *voice.imported, *voice.consensus]
        done.reviews += len(voice.people)
        done.imported += len(voice.imported)
        done.consensus += len(voice.consensus)
        rows += [replace(row, text=texts[sha256], family=family) for row in found]
    if texts:
        audit.append(session, actor, "text.read", "labels", {"contents": sorted(texts)})
    return rows


@dataclass(frozen=True, slots=True)
class Voices:
    """What was said of one text, still without its words: rows by reviewers, by annotators
    elsewhere, and what each of the two come to (none or one)."""

    people: Sequence[LabelledPost]
    imported: Sequence[LabelledPost]
    ruled: Sequence[LabelledPost]
    summed: Sequence[LabelledPost]

    @property
    def consensus(self) -> Sequence[LabelledPost]:
        """A ruling here outranks what came from elsewhere."""
        return self.ruled or self.summed


def voices_of(session: Session, names: Pseudonyms, contents: Sequence[str]) -> dict[str, Voices]:
    """What was said of each content."""
    reviews = repository.reviews_by_content(session, contents)
    imports = repository.imports_by_content(session, contents)
    gold = repository.gold_by_content(session, contents)
    found = {}
    for sha256 in contents:
        people = [_row(pair, names) for pair in reviews[sha256]]
        imported = [_imported_row(label) for label in imports[sha256]]
        ruled = _consensus(sha256, reviews[sha256], people, gold.get(sha256))
        summed = _imported_consensus(sha256, imports[sha256], imported)
        found[sha256] = Voices(people, imported, ruled, summed)
    return found


def _open_texts(session: Session, sealer: Sealer, contents: Sequence[str]) -> dict[str, str]:
    """Texts by SHA-256; none of those that were purged or are blank."""
    sealed = sealed_texts(session, contents)
    opened = {sha256: sealer.open(raw) for sha256, raw in sealed.items() if raw is not None}
    return {sha256: text for sha256, text in opened.items() if text.strip()}


def _row(pair: Reviewed, names: Pseudonyms) -> LabelledPost:
    review, case = pair
    row = LabelledPost(
        id=f"review-{review.id}",
        text="",
        labels=frozenset(),
        platform=case.platform,
        channel=case.channel_id,
        labelled_by=names.of(review.reviewer),
        labelled_at=review.made_at.isoformat(timespec="seconds"),
        guideline=review.guideline,
        sampled_by=review.came_by,
        sampling_probability=review.sampling_probability,
    )
    return _answered(row, review.labels, review.context, review.reason)


def _imported_row(label: ImportedLabel) -> LabelledPost:
    answers = {**label.labels, **label.contexts}
    return LabelledPost(
        id=f"import-{label.id}",
        text="",
        labels=frozenset(name for name in LABEL_IDS if answers.get(name) == "yes"),
        contexts=frozenset(name for name in CONTEXT_IDS if answers.get(name) == "yes"),
        unknown=frozenset(
            name for name in (*LABEL_IDS, *CONTEXT_IDS) if answers.get(name, "unknown") == "unknown"
        ),
        platform=label.platform,
        channel=label.channel_id,
        labelled_by=label.annotator,
        labelled_at=label.labelled_at,
        guideline=label.guideline,
        sampled_by=IMPORT,
    )


def _answered(
    row: LabelledPost, labels: Mapping[str, str], context: str | None, reason: str | None
) -> LabelledPost:
    """``row`` with a ruling's answers. A ruling names one context at most: others are not known to
    be absent, unless it says that none makes the post lawful."""
    contexts = frozenset({context, reason} & set(CONTEXT_IDS))
    silent = set() if reason == "none" and not contexts else set(CONTEXT_IDS) - contexts
    unknown = {label for label in LABEL_IDS if labels.get(label, "unknown") == "unknown"}
    return replace(
        row,
        labels=frozenset(label for label, answer in labels.items() if answer == "yes"),
        contexts=frozenset(str(held) for held in contexts),
        unknown=frozenset(unknown | silent),
    )


def _consensus(
    sha256: str,
    reviewed: Sequence[Reviewed],
    people: Sequence[LabelledPost],
    gold: GoldItem | None,
) -> list[LabelledPost]:
    """The row by ``consensus``; empty while every case of the content is open."""
    if not people:
        return []
    first = next((row for row in people if row.sampled_by != "gold"), people[0])
    base = replace(first, id=f"content-{sha256}", labelled_by=CONSENSUS)
    if gold is not None:
        at = gold.made_at.isoformat(timespec="seconds")
        return [_answered(replace(base, labelled_at=at), gold.labels, gold.context, None)]
    pairs = zip(reviewed, people, strict=True)
    standing = [(pair, row) for pair, row in pairs if _counts(*pair)]
    settled = [(pair, row) for pair, row in standing if pair[0].round == SETTLEMENT]
    voices = [row for _, row in settled or standing]
    return [_agreed(base, voices)] if voices else []


def _imported_consensus(
    sha256: str, labels: Sequence[ImportedLabel], rows: Sequence[LabelledPost]
) -> list[LabelledPost]:
    """What the annotators agree on, or those of them whose answer is held for the truth."""
    pairs = zip(labels, rows, strict=True)
    voices = [row for label, row in pairs if label.is_gold] or list(rows)
    if not voices:
        return []
    base = replace(voices[0], id=f"content-{sha256}", labelled_by=CONSENSUS)
    return [_agreed(base, voices)]


def _agreed(base: LabelledPost, voices: Sequence[LabelledPost]) -> LabelledPost:
    answers = {name: _shared_answer(name, voices) for name in (*LABEL_IDS, *CONTEXT_IDS)}
    return replace(
        base,
        labels=frozenset(label for label in LABEL_IDS if answers[label]),
        contexts=frozenset(context for context in CONTEXT_IDS if answers[context]),
        unknown=frozenset(name for name, answer in answers.items() if answer is None),
        labelled_at=max(row.labelled_at for row in voices),
        guideline=voices[-1].guideline,
    )


def _counts(review: Review, case: Case) -> bool:
    """Whether a review is of the decision in force: not of a test, nor from before a reopening."""
    is_in_force = case.state == State.CLOSED and review.cycle == case.cycle
    return is_in_force and case.kind != "gold"


def _shared_answer(name: str, voices: Sequence[LabelledPost]) -> bool | None:
    given = {answer for row in voices if (answer := row.is_yes(name)) is not None}
    return given.pop() if len(given) == 1 else None

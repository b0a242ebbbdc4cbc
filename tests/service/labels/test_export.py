"""The label export: what people answered, as training reads it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.fernet import Fernet
from sqlalchemy import select

from screening.errors import OutputError
from screening.labelled import LabelledPost, read_labelled
from screening.taxonomy import CONTEXT_IDS, GUIDELINE_VERSION, LABEL_IDS
from service import audit
from service.auth import Principal, Role
from service.cases import service
from service.cases.opening import ACCOUNT_CASES, open_cases
from service.cases.service import Ruling
from service.cli import main
from service.db import Database
from service.errors import Unavailable
from service.labels import export
from service.labels.export import Exported, export_labels
from service.labels.pseudonyms import KEY_FILE, Pseudonyms
from service.sealing import Sealer
from service.settings import Settings
from service.tables import AuditEntry, Case, Content, Review
from tests.service.building import AT, LAWFUL, VIOLATING, person, store_post

ADA, BUDI, SENIOR = person(1), person(2), person(9, Role.SENIOR)
PLAIN = Ruling(dict.fromkeys(LABEL_IDS, "no"), "none")


def fill(database: Database, *texts: str, share: float = 0, **fields: object) -> None:
    with database.session() as session:
        for number, text in enumerate(texts):
            stored = store_post(session, number, text, **fields)
            open_cases(session, [stored], audit_share=share, draw=lambda: 0.0, at=AT)


def decide(
    database: Database,
    settings: Settings,
    who: Principal,
    ruling: Ruling,
    *,
    draw: float = 1.0,
    minutes: int = 0,
) -> int:
    """``who`` rules on the next case of the queue; its id."""
    at = AT + timedelta(minutes=minutes)
    with database.session() as session:
        case = service.claim(session, who, settings, draw=lambda: draw, at=at)
        assert case is not None
        service.decide(
            session, who, case.id, case.fence, ruling, settings, draw=lambda: draw, at=at
        )
        return case.id


def exported(database: Database, folder: Path) -> tuple[Exported, dict[str, LabelledPost]]:
    """Counts, and rows by id; consensus rows by their text."""
    path = folder / "labels.jsonl"
    done = export_labels(database, Sealer(), Pseudonyms(folder), path, "system:test")
    rows = list(read_labelled(path))
    assert len({row.id for row in rows}) == len(rows) == done.reviews + done.consensus
    return done, {row.text if row.labelled_by == "consensus" else row.id: row for row in rows}


def test_a_row_says_who_when_by_which_guideline_and_how_the_post_came(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    fill(database, "teks satu", channel_id="c7")
    decide(database, settings, ADA, LAWFUL)
    done, rows = exported(database, tmp_path)
    assert (done.reviews, done.consensus) == (1, 1)
    row = rows["review-1"]
    assert (row.text, row.labels, row.contexts) == ("teks satu", frozenset(), {"news"})
    assert row.unknown == set(CONTEXT_IDS) - {"news"}
    assert row.labelled_at == "2026-03-01T08:00:00+00:00"
    assert (row.guideline, row.platform, row.channel) == (GUIDELINE_VERSION, "telegram", "c7")
    assert (row.sampled_by, row.sampling_probability) == ("review_band", 1.0)
    assert row.family == "cluster-1"
    assert row.labelled_by == Pseudonyms(tmp_path).of(ADA.id)
    agreed = rows["teks satu"]
    assert (agreed.labels, agreed.contexts, agreed.unknown) == (
        row.labels, row.contexts, row.unknown,
    )  # fmt: skip


def test_a_random_sample_keeps_its_probability(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    fill(database, "teks biasa", share=0.25, band="clear", probability=0.01)
    decide(database, settings, ADA, PLAIN)
    _, rows = exported(database, tmp_path)
    for row in rows.values():
        assert (row.sampled_by, row.sampling_probability) == ("random_audit", 0.25)
        assert row.unknown == frozenset()


def test_a_settlement_outranks_the_two_reviews_that_differ(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    fill(database, "teks satu")
    case = decide(database, settings, ADA, VIOLATING)
    decide(database, settings, BUDI, LAWFUL)
    assert "teks satu" not in exported(database, tmp_path)[1]
    with database.session() as session:
        service.settle(session, SENIOR, case, LAWFUL, AT)
    _, rows = exported(database, tmp_path)
    assert rows["review-1"].is_yes("incitement") is True
    assert rows["review-2"].is_yes("incitement") is False
    assert len({row.labelled_by for row in rows.values()}) == 4
    assert rows["teks satu"].is_yes("incitement") is False


def test_where_reviews_differ_about_a_label_the_consensus_is_unknown(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    fill(database, "teks satu")
    decide(database, settings, ADA, VIOLATING)
    other = Ruling({"incitement": "yes", "threat": "no", "radicalism": "unknown"}, "incitement")
    decide(database, settings, BUDI, other)
    agreed = exported(database, tmp_path)[1]["teks satu"]
    answers = {label: agreed.is_yes(label) for label in ("incitement", "threat", "radicalism")}
    assert answers == {"incitement": True, "threat": False, "radicalism": False}
    assert agreed.is_yes("financing") is None
    with database.session() as session:
        (second,) = session.scalars(select(Review).where(Review.round == 2)).all()
        second.labels = {"incitement": "yes", "radicalism": "yes"}
    assert exported(database, tmp_path)[1]["teks satu"].is_yes("radicalism") is None


def test_a_reopened_case_counts_from_its_new_decision(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    fill(database, "teks satu")
    case = decide(database, settings, ADA, LAWFUL)
    with database.session() as session:
        service.reopen(session, SENIOR, case, "keluhan", is_appeal=True, at=AT)
    assert "teks satu" not in exported(database, tmp_path)[1]
    decide(database, settings, BUDI, PLAIN)
    _, rows = exported(database, tmp_path)
    assert rows["review-2"].sampled_by == "appeal"
    assert rows["teks satu"].contexts == frozenset()
    assert rows["teks satu"].unknown == frozenset()


def test_a_gold_item_outranks_and_the_test_of_a_reviewer_decides_nothing(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    fill(database, "teks satu")
    case = decide(database, settings, ADA, LAWFUL)
    with database.session() as session:
        service.make_gold(session, SENIOR, case, VIOLATING, AT)
    sure = settings.model_copy(update={"gold_share": 1.0})
    decide(database, sure, BUDI, PLAIN, draw=0.0)
    done, rows = exported(database, tmp_path)
    assert (done.reviews, done.consensus) == (2, 1)
    assert rows["review-2"].sampled_by == "gold"
    assert rows["review-2"].family == rows["review-1"].family
    assert rows["teks satu"].is_yes("incitement") is True
    assert rows["teks satu"].sampled_by == "review_band"


def test_near_duplicates_share_a_family(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    long = "mari kita berkumpul di lapangan besar pada hari minggu pagi untuk acara kecil"
    with database.session() as session:
        for number, text in enumerate(
            (long, long + " ya", "resep sambal terasi untuk makan siang")
        ):
            open_cases(session, [store_post(session, number, text, channel_id=f"c{number}")], at=AT)
    for _ in range(3):
        decide(database, settings, ADA, LAWFUL)
    _, rows = exported(database, tmp_path)
    families = {row.text: row.family for row in rows.values()}
    assert families[long] == families[long + " ya"]
    assert len(set(families.values())) == 2


def test_undone_gathered_and_purged_are_counted_and_left_out(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    count = ACCOUNT_CASES
    fill(database, *(f"teks ke-{number}" for number in range(count)), author_id="a")
    with database.reading() as session:
        account = session.scalars(select(Case.id).where(Case.kind == "account")).one()
    decided = {decide(database, settings, ADA, LAWFUL) for _ in range(count + 1)}
    assert account in decided
    with database.session() as session:
        undone, purged = session.scalars(
            select(Review).join(Case, Case.id == Review.case_id).where(Case.kind == "content")
        ).all()[:2]
        undone.undone_at = AT
        sha256 = session.get_one(Case, purged.case_id).content_sha256
        session.get_one(Content, sha256).sealed = None
    done, rows = exported(database, tmp_path)
    assert done.undone == done.without_text == done.of_accounts_and_channels == 1
    assert done.reviews == done.consensus == count - 2
    assert not rows.keys() & {f"review-{undone.id}", f"review-{purged.id}"}


def test_pages_lose_nothing_and_every_read_is_on_record(
    database: Database, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE", 2)
    texts = [f"teks nomor {number} dari lima" for number in range(4)]
    fill(database, *texts)
    with database.reading() as session:
        cases = session.scalars(select(Case)).all()
    for _ in cases:
        decide(database, settings, ADA, LAWFUL)
    done, rows = exported(database, tmp_path)
    assert done.reviews == done.consensus == len(cases)
    with database.reading() as session:
        read = session.scalars(select(AuditEntry).where(AuditEntry.action == "text.read")).all()
        last = session.scalars(select(AuditEntry).order_by(AuditEntry.sequence.desc())).first()
        assert audit.verify(session) is None
    contents = [sha256 for entry in read for sha256 in entry.detail["contents"]]
    assert sorted(contents) == sorted(case.content_sha256 or "" for case in cases)
    assert last is not None
    assert (last.action, last.actor) == ("labels.export", "system:test")
    assert last.detail["reviews"] == done.reviews
    assert not any(text in str(entry.detail) for entry in read for text in rows)


def test_a_text_that_cannot_be_opened_leaves_the_earlier_file(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    fill(database, "teks satu")
    decide(database, settings, ADA, LAWFUL)
    exported(database, tmp_path)
    before = (tmp_path / "labels.jsonl").read_bytes()
    with database.session() as session:
        content = session.scalars(select(Content)).one()
        content.sealed = Sealer([Fernet.generate_key().decode()]).seal("teks satu")
    with pytest.raises(Unavailable, match="PENAPISAN_TEXT_KEYS"):
        exported(database, tmp_path)
    assert {path.name for path in tmp_path.glob("*labels*")} == {"labels.jsonl"}
    assert (tmp_path / "labels.jsonl").read_bytes() == before


def test_a_pseudonym_lasts_for_one_key_and_needs_it(tmp_path: Path) -> None:
    first, again = Pseudonyms(tmp_path / "a"), Pseudonyms(tmp_path / "a")
    other = Pseudonyms(tmp_path / "b")
    assert first.of("person:1") == again.of("person:1") != other.of("person:1")
    assert first.of("person:1") != first.of("person:2")
    key = tmp_path / "a" / KEY_FILE
    assert key.stat().st_mode & 0o077 == 0
    key.write_bytes(b"short")
    with pytest.raises(Unavailable, match="no key of 32 bytes"):
        Pseudonyms(tmp_path / "a")
    with pytest.raises(OutputError, match="cannot be read or made"):
        Pseudonyms(key)


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def test_the_command_exports_and_its_group_still_shows_the_taxonomy(
    database: Database, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if settings.database_url:
        monkeypatch.setenv("PENAPISAN_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("PENAPISAN_DATA_DIR", str(settings.data_dir))
    fill(database, "teks satu")
    decide(database, settings, ADA, LAWFUL)
    result = run("labels", "export", tmp_path / "out.jsonl")
    assert result.stdout == ""
    assert "1 reviews, 0 imported labels and 1 consensus rows" in result.stderr
    assert "left out: 0 undone" in result.stderr
    assert len(list(read_labelled(tmp_path / "out.jsonl"))) == 2
    assert "suffix" in run("labels", "export", tmp_path / "out.csv", code=1).output
    assert "incitement" in run("labels").output
    assert "incitement" in run("labels", "--language", "en").output

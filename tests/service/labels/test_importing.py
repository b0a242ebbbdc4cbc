"""Labels from elsewhere: whole or not at all, once, under pseudonyms, beneath reviews."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from screening.labelled import LabelledPost, read_labelled, to_json
from service import audit
from service.auth import Role
from service.cases.opening import open_cases
from service.cli import main
from service.db import Database
from service.errors import Unavailable, Unprocessable
from service.labels import importing
from service.labels.export import export_labels
from service.labels.importing import Format, Imported, Source, import_labels
from service.labels.pseudonyms import Pseudonyms
from service.retention import purge
from service.sealing import Sealer
from service.settings import Settings
from service.tables import Content, ImportedLabel
from tests.service.building import AT, LAWFUL, VIOLATING, store_post
from tests.service.notices.drafting import ADA, BUDI, decide
from tests.service.serving import key_of, served

FOLDER = Path(__file__).parent.parent.parent / "data" / "label_studio"
PROJECT = (FOLDER / "project.json").read_bytes()
CALL = 'ayo serbu "pos" itu,\nmalam ini'


def bring(
    database: Database,
    folder: Path,
    content: bytes | str,
    shape: Format = "label_studio_json",
    *,
    dry_run: bool = False,
    at: Any = AT,
) -> Imported:
    raw = content.encode() if isinstance(content, str) else content
    source = Source("file", raw, shape)
    names = Pseudonyms(folder)
    return import_labels(database, Sealer(), names, source, "key:1", at, dry_run=dry_run)


def exported(database: Database, folder: Path) -> list[LabelledPost]:
    path = folder / "labels.jsonl"
    export_labels(database, Sealer(), Pseudonyms(folder), path, "system:test")
    return list(read_labelled(path))


def count(database: Database) -> tuple[int, int]:
    with database.reading() as session:
        labels = session.scalar(select(func.count()).select_from(ImportedLabel))
        contents = session.scalar(select(func.count()).select_from(Content))
    return labels or 0, contents or 0


def lines(*posts: LabelledPost) -> str:
    return "".join(json.dumps(to_json(post)) + "\n" for post in posts)


def post(text: str = "teks satu", who: str = "ext-1", **fields: Any) -> LabelledPost:
    labels = frozenset(fields.pop("labels", ()))
    return LabelledPost("x", text, labels, labelled_by=who, **fields)


def test_a_dry_run_counts_and_adds_nothing(database: Database, tmp_path: Path) -> None:
    done = bring(database, tmp_path, PROJECT, dry_run=True)
    assert (done.rows, done.added, done.known, done.annotators) == (7, 4, 0, 2)
    assert done.skipped == {"cancelled": 1, "empty": 1, "unlabelled": 1}
    assert done.labels["incitement"] == {"yes": 2, "no": 2, "unknown": 0}
    assert done.labels["news"] == {"yes": 1, "no": 3, "unknown": 0}
    assert count(database) == (0, 0)
    with database.reading() as session:
        (entry,) = audit.entries(session)
    assert (entry.action, entry.detail["dry_run"], entry.detail["added"]) == (
        "labels.import", True, 0,
    )  # fmt: skip


def test_an_import_is_exported_with_who_when_and_how(database: Database, tmp_path: Path) -> None:
    assert bring(database, tmp_path, PROJECT).added == 4
    rows = exported(database, tmp_path)
    names = Pseudonyms(tmp_path)
    ada, budi = names.of("external:1"), names.of("external:budi@example.org")
    assert "budi" not in (tmp_path / "labels.jsonl").read_text("utf-8")
    told = {(row.text, row.labelled_by): row for row in rows}
    assert len(told) == len(rows) == 4 + 3
    first = told[CALL, ada]
    assert (first.labels, first.unknown, first.sampled_by) == ({"incitement"}, set(), "import")
    assert first.labelled_at == "2026-02-01T09:30:00.123456+00:00"
    assert (first.platform, first.channel) == ("telegram", "1001")
    assert told[CALL, budi].labels == {"incitement", "threat"}
    agreed = told[CALL, "consensus"]
    assert (agreed.is_yes("incitement"), agreed.is_yes("threat")) == (True, None)
    assert told["polisi menangkap dua orang", "consensus"].contexts == {"news"}


@pytest.mark.parametrize("again", ["json", "csv"])
def test_what_was_imported_before_adds_nothing(
    database: Database, tmp_path: Path, again: str
) -> None:
    bring(database, tmp_path, PROJECT)
    before = exported(database, tmp_path)
    shape: Format = "label_studio_json" if again == "json" else "label_studio_csv"
    done = bring(database, tmp_path, (FOLDER / f"project.{again}").read_bytes(), shape)
    if again == "json":
        assert (done.added, done.known) == (0, 4)
    else:  # A CSV does not say which answers are held for the truth.
        assert (done.added, done.known) == (1, 3)
    assert exported(database, tmp_path) == before


def test_a_bad_row_is_named_and_nothing_is_added(database: Database, tmp_path: Path) -> None:
    good = [post(f"teks {n}") for n in range(3)]
    content = lines(*good) + '{"text": "x", "labels": {"threat": "mungkin"}, "labelled_by": "a"}\n'
    content += lines(post(who="")) + lines(post(platform="p" * 65)) + lines(post(channel="a\x00b"))
    with pytest.raises(Unprocessable, match="4 of 7 rows are bad") as caught:
        bring(database, tmp_path, content, "labelled_posts")
    told = [error["detail"] for error in caught.value.errors]
    for detail, words in zip(
        told,
        (
            "file:4: field 'labels.threat' must be one of",
            "file:5: field 'labelled_by' does not say who",
            "file:6: field 'platform' has 65 characters",
            "file:7: field 'channel' holds a NUL",
        ),
        strict=True,
    ):
        assert words in detail
    assert count(database) == (0, 0)
    done = bring(database, tmp_path, content, "labelled_posts", dry_run=True)
    assert (done.rows, done.added, done.fault_count, done.faults) == (7, 3, 4, told)


class FullAtTheThird(Sealer):
    """Fails once two texts are sealed, in the middle of an import."""

    sealed = 0

    def seal(self, text: str) -> bytes:
        self.sealed += 1
        if self.sealed > 2:
            raise Unavailable("no room")
        return super().seal(text)


def test_a_failure_midway_adds_nothing(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 1)
    source = Source(
        "file", lines(*[post(f"teks {n}") for n in range(4)]).encode(), "labelled_posts"
    )
    with pytest.raises(Unavailable, match="no room"):
        import_labels(database, FullAtTheThird(), Pseudonyms(tmp_path), source, "key:1", AT)
    assert count(database) == (0, 0)
    assert bring(database, tmp_path, source.content, "labelled_posts").added == 4


def test_reviews_here_outrank_and_differences_are_told(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    with database.session() as session:
        open_cases(session, [store_post(session, 1, CALL)], at=AT)
    decide(database, settings, ADA, VIOLATING)
    assert bring(database, tmp_path, PROJECT, dry_run=True).conflict_count == 0
    decide(database, settings, BUDI, VIOLATING)
    with database.session() as session:
        open_cases(session, [store_post(session, 2, "selamat pagi semua")], at=AT)
    decide(database, settings, ADA, VIOLATING)
    decide(database, settings, BUDI, VIOLATING)
    done = bring(database, tmp_path, PROJECT)
    assert [(c.where, c.label, c.imported, c.here) for c in done.conflicts] == [
        ("file: task 13, annotation 5", "incitement", False, True)
    ]
    rows = {(row.text, row.labelled_by): row for row in exported(database, tmp_path)}
    assert rows["selamat pagi semua", "consensus"].is_yes("incitement") is True
    assert rows["selamat pagi semua", "consensus"].sampled_by == "review_band"


def test_an_annotator_who_changed_their_mind_counts_as_they_are_now(
    database: Database, tmp_path: Path
) -> None:
    early, late = "2026-02-01T00:00:00Z", "2026-02-02T00:00:00+07:00"
    bring(database, tmp_path, lines(post(labels={"threat"}, labelled_at=late)), "labelled_posts")
    bring(database, tmp_path, lines(post(labelled_at=early)), "labelled_posts")
    rows = exported(database, tmp_path)
    assert [row.labels for row in rows] == [{"threat"}, {"threat"}]
    later = lines(post(labelled_at="2026-02-03"), post(labelled_at="kemarin", who="ext-2"))
    assert bring(database, tmp_path, later, "labelled_posts").added == 2
    assert [row.labels for row in exported(database, tmp_path)] == [set()] * 3


def test_answers_that_leave_labels_unknown_stay_so(database: Database, tmp_path: Path) -> None:
    row = '{"text": "teks", "labels": {"threat": "yes", "financing": "no"}, "labelled_by": "a", '
    row += '"guideline": "1.1"}\n'
    bring(database, tmp_path, row, "labelled_posts")
    told, agreed = exported(database, tmp_path)
    for found in (told, agreed):
        answers = [found.is_yes(name) for name in ("threat", "financing", "radicalism", "news")]
        assert answers == [True, False, None, None]
        assert found.guideline == "1.1"


def test_an_export_of_this_service_brought_back_adds_nothing(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    with database.session() as session:
        open_cases(session, [store_post(session, 1)], at=AT)
    decide(database, settings, ADA, LAWFUL)
    bring(database, tmp_path, PROJECT)
    before = exported(database, tmp_path)
    content = (tmp_path / "labels.jsonl").read_bytes()
    done = bring(database, tmp_path, content, "labelled_posts")
    assert (done.added, done.skipped) == (0, {"consensus": 4, "from_here": 5})
    assert exported(database, tmp_path) == before


def test_an_imported_text_is_kept_as_long_as_a_cases(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    bring(database, tmp_path, PROJECT)
    after = AT + timedelta(settings.clear_text_days + 1)
    assert purge(database, settings, "system", after).texts == 0
    assert (
        purge(database, settings, "system", AT + timedelta(settings.case_text_days + 1)).texts == 3
    )
    assert exported(database, tmp_path) == []


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with served(settings) as client:
        yield client


def test_over_http_a_dry_run_then_the_import(client: TestClient, database: Database) -> None:
    senior = key_of(database, Role.SENIOR)
    path = "/v1/labels/imports"
    tried = client.post(f"{path}?dry_run=true", headers=senior, content=PROJECT)
    assert (tried.status_code, tried.json()["added"]) == (200, 4)
    done = client.post(path, headers=senior, content=PROJECT)
    assert (done.status_code, done.json()["added"]) == (200, 4)
    table = (FOLDER / "project.csv").read_bytes()
    again = client.post(f"{path}?format=label_studio_csv", headers=senior, content=table)
    assert again.json()["known"] == 3
    bad = client.post(f"{path}?format=labelled_posts", headers=senior, content="{\n")
    assert bad.status_code == 422
    assert "body:1: not valid JSON" in bad.json()["errors"][0]["detail"]
    assert client.post(path, headers=senior, content=b"").status_code == 422
    assert client.post(path, headers=senior, content=b"{").status_code == 422
    assert client.post(f"{path}?format=xml", headers=senior, content=PROJECT).status_code == 422
    assert count(database) == (5, 3)


@pytest.mark.parametrize("role", list(Role))
def test_seniors_alone_import(client: TestClient, database: Database, role: Role) -> None:
    answer = client.post("/v1/labels/imports", headers=key_of(database, role), content=PROJECT)
    assert answer.status_code == (200 if role == Role.SENIOR else 403)
    assert client.post("/v1/labels/imports", content=PROJECT).status_code == 401


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def test_the_command_tries_imports_and_names_bad_rows(
    database: Database, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if settings.database_url:
        monkeypatch.setenv("PENAPISAN_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("PENAPISAN_DATA_DIR", str(settings.data_dir))
    tried = run("labels", "import", FOLDER / "project.json", "--dry-run")
    assert "7 rows: 4 would be added, of 2 annotators; 0 known before" in tried.stderr
    assert "1 cancelled, 1 empty, 1 unlabelled left out" in tried.stderr
    assert "incitement\t2\t2\t0" in tried.stdout
    assert count(database) == (0, 0)
    assert "4 added" in run("labels", "import", FOLDER / "project.json").stderr
    assert (
        "0 added, of 0 annotators; 4 known"
        in run("labels", "import", FOLDER / "project.json").stderr
    )
    bad = tmp_path / "bad.jsonl"
    bad.write_text(lines(post()) + '{"text": "x", "labels": [], "labelled_by": ""}\n')
    for option in ((), ("--dry-run",)):
        told = run("labels", "import", bad, *option, code=1).output
        assert "bad.jsonl:2: field 'labelled_by' does not say who labelled" in told
    assert "unknown suffix" in run("labels", "import", tmp_path / "x.txt", code=1).output
    assert "cannot be read" in run("labels", "import", tmp_path / "x.csv", code=1).output
    assert count(database)[0] == 4

"""A back-up restored is the same database, on either kind; a broken one restores nothing."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet
from sqlalchemy import select

from service import audit
from service.auth import Role, create_key, create_person
from service.backup import restore_backup, write_backup
from service.cases import service
from service.cases.opening import open_cases
from service.cli import main
from service.db import Base, Database
from service.errors import Conflict, Unprocessable
from service.labels.pseudonyms import KEY_BYTES, KEY_FILE, Pseudonyms
from service.notices.service import withdraw
from service.sealing import Sealer
from service.settings import Settings
from service.tables import Case, Content, Person
from tests.service.building import AT, LAWFUL, VIOLATING, person, store_post
from tests.service.notices.drafting import (
    FLAGGER,
    SENIOR,
    WATI,
    approved,
    closed,
    decide,
    drafted,
)

KEY = Fernet.generate_key().decode()


@pytest.fixture
def filled(database: Database, settings: Settings) -> Database:
    named = settings.model_copy(update=FLAGGER)
    notice = drafted(database, named, closed(database, named, number=50, channel_id="50"))
    approved(database, notice.notice.id)
    with database.session() as session:
        withdraw(session, WATI, notice.notice.id, "keliru", AT)
        reviewed = session.scalars(select(Case).where(Case.channel_id == "50")).one()
        # Someone who approved may review the case once it is reopened: the back-up holds both.
        service.reopen(session, SENIOR, reviewed.id, "keberatan", is_appeal=True, at=AT)
    decide(database, named, WATI, LAWFUL)
    with database.session() as session:
        create_person(session, "system", "Ada", Role.REVIEWER, "a long password")
        create_key(session, "system", "platform", Role.SUBMITTER, days=30)
        open_cases(session, [store_post(session, n, author_id="a") for n in range(6)], at=AT)
        stored = store_post(session, 99, text="rahasia")
        session.get_one(Content, stored.post.content_sha256).sealed = Sealer([KEY]).seal("rahasia")
        case = service.claim(session, person(1), settings, draw=lambda: 1.0, at=AT)
        assert case is not None
        service.decide(session, person(1), case.id, case.fence, VIOLATING, settings, at=AT)
    return database


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("second_postgres_url")
    database = Database(Settings(data_dir=tmp_path / "restored", database_url=url))
    database.upgrade()
    yield database
    database.close()


def dump(database: Database) -> dict[str, list[Any]]:
    with database.reading() as session:
        return {
            table.name: [tuple(row) for row in session.execute(select(table).order_by(*key))]
            for table in Base.metadata.sorted_tables
            if (key := list(table.primary_key))
        }


def test_a_restored_database_is_the_same_and_goes_on(
    filled: Database, empty: Database, tmp_path: Path
) -> None:
    rows = write_backup(filled, tmp_path / "b.zip", tmp_path)
    assert restore_backup(empty, tmp_path / "b.zip", tmp_path / "restored") == rows
    assert dump(empty) == dump(filled)
    with empty.session() as session:
        sealed = session.scalars(select(Content.sealed).where(Content.characters == 7)).one()
        assert sealed is not None
        assert Sealer([KEY]).open(sealed) == "rahasia"
        create_person(session, "system", "Budi", Role.SENIOR)
        assert audit.verify(session) is None


def test_a_restored_service_gives_reviewers_the_pseudonyms_of_earlier_exports(
    filled: Database, empty: Database, tmp_path: Path
) -> None:
    before = Pseudonyms(tmp_path).of("person:1")
    write_backup(filled, tmp_path / "b.zip", tmp_path)
    assert (tmp_path / "b.zip").stat().st_mode & 0o077 == 0
    restore_backup(empty, tmp_path / "b.zip", tmp_path / "restored")
    assert Pseudonyms(tmp_path / "restored").of("person:1") == before
    assert (tmp_path / "restored" / KEY_FILE).stat().st_mode & 0o077 == 0


def test_a_key_of_pseudonyms_in_use_is_not_replaced(
    filled: Database, empty: Database, tmp_path: Path
) -> None:
    Pseudonyms(tmp_path)
    mine = Pseudonyms(tmp_path / "restored").of("person:1")
    write_backup(filled, tmp_path / "b.zip", tmp_path)
    with pytest.raises(Conflict, match="is not the back-up's"):
        restore_backup(empty, tmp_path / "b.zip", tmp_path / "restored")
    assert Pseudonyms(tmp_path / "restored").of("person:1") == mine
    with empty.reading() as session:
        assert session.scalars(select(Person)).first() is None


def test_a_database_that_is_not_empty_is_left_alone(filled: Database, tmp_path: Path) -> None:
    write_backup(filled, tmp_path / "b.zip", tmp_path)
    before = dump(filled)
    with pytest.raises(Conflict, match="not empty"):
        restore_backup(filled, tmp_path / "b.zip", tmp_path)
    assert dump(filled) == before


def test_a_changed_or_cut_back_up_restores_nothing(
    filled: Database, empty: Database, tmp_path: Path
) -> None:
    names = ("b.zip", "changed.zip", "key.zip", "cut.zip")
    whole, changed, other_key, cut = (tmp_path / name for name in names)
    Pseudonyms(tmp_path)
    write_backup(filled, whole, tmp_path)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"person:1", b"person:2"))
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(other_key, "w") as target:
        for name in source.namelist():
            target.writestr(name, bytes(KEY_BYTES) if name == KEY_FILE else source.read(name))
    cut.write_bytes(whole.read_bytes()[:-100])
    for path in (changed, other_key, cut, tmp_path / "none.zip"):
        with pytest.raises(Unprocessable):
            restore_backup(empty, path, tmp_path / "restored")
    assert not (tmp_path / "restored" / KEY_FILE).exists()
    with empty.reading() as session:
        assert session.scalars(select(Person)).first() is None


def test_a_back_up_that_fails_leaves_no_file(filled: Database, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        write_backup(filled, tmp_path / "none" / "b.zip", tmp_path)
    assert not (tmp_path / "none").exists()


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_the_commands_back_up_restore_verify_and_note_a_head(
    filled: Database, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if settings.database_url:
        monkeypatch.setenv("PENAPISAN_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("PENAPISAN_DATA_DIR", str(settings.data_dir))
    run("audit", "head", tmp_path / "head.json")
    run("backup", tmp_path / "b.zip")
    assert "unbroken" in run("audit", "verify", "--head", tmp_path / "head.json")
    assert "purged" in run("maintain")
    monkeypatch.delenv("PENAPISAN_DATABASE_URL", raising=False)
    monkeypatch.setenv("PENAPISAN_DATA_DIR", str(tmp_path / "other"))
    assert "there is no database" in run("audit", "verify", code=1)
    assert "unbroken" in run("restore", tmp_path / "b.zip")
    assert "unbroken" in run("audit", "verify", "--head", tmp_path / "head.json")
    assert "not empty" in run("restore", tmp_path / "b.zip", code=1)

"""The whole database in one file, and back: the same file for SQLite and PostgreSQL.

A zip of one JSONL file a table, in an order that foreign keys allow, and ``manifest.json`` with
the schema's revision, and rows and SHA-256 of every table. With them goes the key of the reviewers'
pseudonyms, so that later exports name them as earlier ones did: keep the file as secret as the
database. Post text stays as sealed as it is in the database; uploaded exports and their results
are files of ``data_dir`` and are not in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zipfile
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any

from alembic.migration import MigrationContext
from sqlalchemy import Connection, LargeBinary, Table, func, select, text
from sqlalchemy.orm import Session

import service.tables  # noqa: F401  every table registers itself
from service import audit
from service.db import Base, Database, UtcDateTime
from service.errors import Conflict, Unprocessable
from service.labels.pseudonyms import KEY_FILE, keep_key, read_key

FORMAT = 1
BATCH = 500
MANIFEST = "manifest.json"


def write_backup(database: Database, path: Path, folder: Path) -> dict[str, int]:
    """Write the back-up beside ``path``, then move it there; rows by table.

    ``folder`` is the service's ``data_dir``.
    """
    partial = path.with_name(f"{path.name}.partial")
    options: dict[str, Any] = {"sqlite_begin": "DEFERRED"}
    if not database.is_sqlite:
        options = {"isolation_level": "REPEATABLE READ"}
    try:
        with database.engine.connect().execution_options(**options) as connection:
            tables = _write(connection, partial, read_key(folder))
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)
    return tables


def restore_backup(database: Database, path: Path, folder: Path) -> dict[str, int]:
    """Fill an empty database, in one transaction; rows by table.

    The pseudonyms' key goes to ``folder``, the service's ``data_dir``.

    Raises
    ------
    Unprocessable
        The file is not a whole back-up of this revision, or its audit chain does not hold.
    Conflict
        The database is not empty, or ``folder`` holds another key of pseudonyms.
    """
    with _opened(path) as archive:
        manifest = _checked_manifest(archive)
        with database.session() as session:
            connection = session.connection()
            _check_target(connection, manifest)
            rows = {
                table.name: _restore_table(connection, archive, table)
                for table in Base.metadata.sorted_tables
            }
            if (fault := audit.verify(session)) is not None:
                raise Unprocessable(f"audit entry {fault.sequence} {fault.what}")
            _restart_counters(session)
            if "key_sha256" in manifest:
                keep_key(folder, archive.read(KEY_FILE))
    return rows


def _write(connection: Connection, path: Path, key: bytes | None) -> dict[str, int]:
    manifest: dict[str, Any] = {"format": FORMAT, "revision": _revision(connection), "tables": {}}
    with _private(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for table in Base.metadata.sorted_tables:
            digest, rows = hashlib.sha256(), 0
            with archive.open(f"{table.name}.jsonl", "w", force_zip64=True) as out:
                query = select(table).order_by(*table.primary_key)
                for row in connection.execution_options(yield_per=BATCH).execute(query):
                    line = json.dumps(_to_json(table, row._mapping)).encode() + b"\n"
                    out.write(line)
                    digest.update(line)
                    rows += 1
            manifest["tables"][table.name] = {"rows": rows, "sha256": digest.hexdigest()}
        if key is not None:
            archive.writestr(KEY_FILE, key)
            manifest["key_sha256"] = hashlib.sha256(key).hexdigest()
        archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
    return {name: entry["rows"] for name, entry in manifest["tables"].items()}


def _private(path: Path) -> IO[bytes]:
    """A new file that its owner alone may read."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise Unprocessable(f"{path.name}: is not a back-up that can be read ({error})") from error


def _checked_manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    """The manifest, once every table is what it says."""
    try:
        manifest: dict[str, Any] = json.loads(archive.read(MANIFEST))
        for name, entry in manifest["tables"].items():
            digest = hashlib.sha256()
            with archive.open(f"{name}.jsonl") as lines:
                while chunk := lines.read(2**20):
                    digest.update(chunk)
            if digest.hexdigest() != entry["sha256"]:
                raise Unprocessable(f"table '{name}' of the back-up was changed")
        noted = manifest.get("key_sha256")
        if noted is not None and hashlib.sha256(archive.read(KEY_FILE)).hexdigest() != noted:
            raise Unprocessable(f"'{KEY_FILE}' of the back-up was changed")
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise Unprocessable(f"the back-up is not whole ({error})") from error
    if manifest.get("format") != FORMAT:
        raise Unprocessable(f"the back-up has format {manifest.get('format')}, not {FORMAT}")
    return manifest


def _check_target(connection: Connection, manifest: dict[str, Any]) -> None:
    revision = _revision(connection)
    if manifest["revision"] != revision:
        raise Unprocessable(
            f"the back-up is of revision {manifest['revision']}, the database of {revision}; "
            "restore with the version that wrote it, then upgrade"
        )
    for table in Base.metadata.sorted_tables:
        if connection.execute(select(table).limit(1)).first() is not None:
            raise Conflict(f"table '{table.name}' is not empty; restore into a new database")


def _restore_table(connection: Connection, archive: zipfile.ZipFile, table: Table) -> int:
    count = 0
    if f"{table.name}.jsonl" not in archive.namelist():
        return 0
    with archive.open(f"{table.name}.jsonl") as lines:
        rows = (_from_json(table, json.loads(line)) for line in lines)
        while batch := list(islice(rows, BATCH)):
            connection.execute(table.insert(), batch)
            count += len(batch)
    return count


def _to_json(table: Table, row: Any) -> dict[str, Any]:
    values = {column.name: row[column.name] for column in table.columns}
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(bytes(value)).decode("ascii")
    return value.isoformat() if isinstance(value, datetime) else value


def _from_json(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    def typed(name: str, value: Any) -> Any:
        kind = table.columns[name].type
        if value is None:
            return None
        if isinstance(kind, LargeBinary):
            return base64.b64decode(value)
        return datetime.fromisoformat(value) if isinstance(kind, UtcDateTime) else value

    return {name: typed(name, value) for name, value in row.items()}


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _restart_counters(session: Session) -> None:
    """PostgreSQL counts new rows from its sequences, which the restored rows did not move."""
    if session.get_bind().dialect.name != "postgresql":
        return
    for table in Base.metadata.sorted_tables:
        name = (
            session.scalar(
                text("SELECT pg_get_serial_sequence(:table, 'id')"), {"table": table.name}
            )
            if "id" in table.columns
            else None
        )
        last = session.scalar(select(func.max(table.columns["id"]))) if name else None
        if last is not None:
            session.execute(text("SELECT setval(:name, :last)"), {"name": name, "last": last})

"""Commands for whoever runs the service: audit, back-up, restore, maintain.

The database is imported inside the commands, so that scoring a file does not wait for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from service.db import Database
    from service.settings import Settings

OPERATOR = "system:command-line"
FILE = click.Path(path_type=Path, dir_okay=False)


def add_commands(main: click.Group) -> None:
    for command in (audit_group, backup, restore, maintain):
        main.add_command(command)


@click.group("audit")
def audit_group() -> None:
    """The log of who read and changed what."""


@audit_group.command()
@click.option("--head", type=FILE, help="A head noted before: betrays a chain cut off or redone.")
@click.option("--roots", type=FILE, help="PEM of the time-stamping authority: checks HEAD.tsr too.")
def verify(head: Path | None, roots: Path | None) -> None:
    """Check every link of the chain; name the first entry that is changed, missing or moved."""
    from service import audit
    from service.timestamps import read_head

    if roots and not head:
        raise click.UsageError("--roots checks the time-stamp of a --head")
    database, _ = _open_database()
    with database.reading() as session:
        fault = audit.verify(session, head=read_head(head) if head else None)
        sequence, sha256 = audit.chain_head(session)
    if fault is not None:
        raise click.ClickException(f"entry {fault.sequence} {fault.what}")
    click.echo(f"{sequence} entries, unbroken; head {sha256}")
    if head and roots:
        click.echo(f"the noted head was time-stamped at {_stamped_at(head, roots)}")


@audit_group.command()
@click.argument("output", type=FILE)
@click.option("--timestamp", "url", help="RFC 3161 authority; its reply goes to OUTPUT.tsr.")
def head(output: Path, url: str | None) -> None:
    """Note the chain's head in OUTPUT; keep it where nobody who runs the database can write."""
    from service import audit
    from service.db import now
    from service.timestamps import head_document, request_stamp

    database, _ = _open_database()
    with database.reading() as session:
        sequence, sha256 = audit.chain_head(session)
    document = head_document(sequence, sha256, now())
    reply = request_stamp(document, url) if url else None
    output.write_bytes(document)
    if reply is not None:
        _stamp_path(output).write_bytes(reply)
    click.echo(f"entry {sequence}: {sha256}")


@click.command()
@click.argument("output", type=FILE)
def backup(output: Path) -> None:
    """Write the whole database to OUTPUT (.zip), while the service runs."""
    from service import audit
    from service.backup import write_backup

    database, _ = _open_database()
    rows = write_backup(database, output)
    with database.session() as session:
        audit.append(session, OPERATOR, "backup.write", "database", {"rows": sum(rows.values())})
    click.echo(f"{sum(rows.values())} rows of {len(rows)} tables")


@click.command()
@click.argument("source", type=FILE)
def restore(source: Path) -> None:
    """Fill an empty database from a back-up; SQLite and PostgreSQL read each other's."""
    from service import audit
    from service.backup import restore_backup

    database, _ = _open_database(create=True)
    rows = restore_backup(database, source)
    with database.session() as session:
        audit.append(session, OPERATOR, "backup.restore", "database", {"rows": sum(rows.values())})
    click.echo(f"{sum(rows.values())} rows of {len(rows)} tables; the audit chain is unbroken")


@click.command()
def maintain() -> None:
    """Purge what is past its retention period and rank waiting cases anew; run it daily."""
    from service.cases.service import rerank
    from service.db import now
    from service.retention import purge

    database, settings = _open_database()
    at = now()
    done = purge(database, settings, OPERATOR, at)
    with database.session() as session:
        ranked = rerank(session, OPERATOR, at)
    click.echo(f"{done.texts} texts purged, {ranked} cases ranked anew")


def _open_database(*, create: bool = False) -> tuple[Database, Settings]:
    from service.db import Database
    from service.settings import Settings

    settings = Settings()
    path = settings.data_dir / "penapisan.db"
    if not create and settings.database_url is None and not path.exists():
        raise click.ClickException(f"{path}: there is no database; set PENAPISAN_DATA_DIR")
    database = Database(settings)
    click.get_current_context().call_on_close(database.close)
    database.upgrade()
    return database, settings


def _stamp_path(head_file: Path) -> Path:
    return head_file.with_name(f"{head_file.name}.tsr")


def _stamped_at(head_file: Path, roots: Path) -> str:
    from cryptography import x509

    from service.timestamps import check_stamp

    certificates = x509.load_pem_x509_certificates(roots.read_bytes())
    reply = _stamp_path(head_file).read_bytes()
    return check_stamp(head_file.read_bytes(), reply, certificates).isoformat()

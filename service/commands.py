"""Commands for whoever runs the service: audit, back-up, restore, maintain, keys.

The database is imported inside the commands, so that scoring a file does not wait for it.
"""

from __future__ import annotations

import logging
import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from service.db import Database
    from service.labels.importing import Imported
    from service.settings import Settings

OPERATOR = "system:command-line"
FILE = click.Path(path_type=Path, dir_okay=False)
STOP_SECONDS = 30
"""How long requests may take to end once the server was asked to stop; a job stops at once."""

ROLES = ("submitter", "reviewer", "senior", "approver", "auditor", "administrator")
"""``service.auth.Role``, which would load the database with the command line."""
PERMISSIONS = ("score", "review", "settle", "read_all", "audit", "approve", "administer")
"""``service.auth.Permission``."""
url_option = click.option(
    "--url", help="Where the service is reached; default: PENAPISAN_PUBLIC_URL, else this machine."
)


def add_commands(main: click.Group) -> None:
    for command in (serve, audit_group, backup, restore, maintain, notices, keys, people):
        main.add_command(command)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
def serve(host: str, port: int) -> None:
    """Run the service: SQLite in ./penapisan-data unless PENAPISAN_* variables say otherwise.

    Until an administrator has signed in, a one-time link for one is shown at each start.
    """
    import uvicorn

    from service.app import create_app
    from service.maintenance import Daily
    from service.settings import Settings

    settings = Settings()
    base = settings.public_url or f"http://{f'[{host}]' if ':' in host else host}:{port}"
    link = _first_link(settings, base)
    click.echo(f"{base}/docs describes every endpoint; stop with Ctrl-C", err=True)
    if link:
        click.echo(f"works once, for {settings.link_minutes} minutes: {link}", err=True)
        click.echo("there the administrator sets a password", err=True)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    daily = Daily(settings, f"server:{os.getpid()}") if settings.maintain else nullcontext()
    with daily:
        uvicorn.run(
            create_app(settings),
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=STOP_SECONDS,
        )


def _first_link(settings: Settings, base: str) -> str | None:
    """A link for the administrator, where none has signed in and none has a key."""
    from service.access.service import first_link, link_url
    from service.db import Database

    database = Database(settings)
    database.upgrade()
    with database.session() as session:
        link = first_link(session, OPERATOR, settings)
    database.close()
    return None if link is None else link_url(base, link)


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

    database, settings = _open_database()
    rows = write_backup(database, output, settings.data_dir)
    with database.session() as session:
        audit.append(session, OPERATOR, "backup.write", "database", {"rows": sum(rows.values())})
    click.echo(f"{sum(rows.values())} rows of {len(rows)} tables")


@click.command()
@click.argument("source", type=FILE)
def restore(source: Path) -> None:
    """Fill an empty database from a back-up; SQLite and PostgreSQL read each other's."""
    from service import audit
    from service.backup import restore_backup

    database, settings = _open_database(create=True)
    rows = restore_backup(database, source, settings.data_dir)
    with database.session() as session:
        audit.append(session, OPERATOR, "backup.restore", "database", {"rows": sum(rows.values())})
    click.echo(f"{sum(rows.values())} rows of {len(rows)} tables; the audit chain is unbroken")


@click.command()
def maintain() -> None:
    """Purge what is past its retention period and rank waiting cases anew.

    `penapisan serve` does so once a day, unless PENAPISAN_MAINTAIN is false.
    """
    from service.db import now
    from service.maintenance import maintain as maintain_now

    database, settings = _open_database()
    done = maintain_now(database, settings, OPERATOR, now())
    click.echo(
        f"{done.purged.texts} texts and the results of {done.purged.results} exports purged, "
        f"{done.ranked} cases ranked anew"
    )


@click.command("export")
@click.argument("output", type=FILE)
def export_labels(output: Path) -> None:
    """Write every review and imported label to OUTPUT (.jsonl), as `penapisan-train retrain
    --labels` reads it.

    One row a review, the reviewer under a pseudonym, and one a text whose case is closed, labelled
    by `consensus`. Every text read is on record.
    """
    from service.labels.export import export_labels as export
    from service.labels.pseudonyms import Pseudonyms
    from service.sealing import Sealer
    from service.settings import split_keys

    database, settings = _open_database()
    sealer = Sealer(split_keys(settings.text_keys))
    done = export(database, sealer, Pseudonyms(settings.data_dir), output, OPERATOR)
    click.echo(
        f"{done.reviews} reviews, {done.imported} imported labels and {done.consensus} consensus "
        "rows",
        err=True,
    )
    click.echo(
        f"left out: {done.undone} undone, {done.without_text} whose text was purged, "
        f"{done.of_accounts_and_channels} of accounts and channels",
        err=True,
    )


@click.command("import")
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Say what would be added, and add nothing.")
@click.option(
    "--text", default="text", show_default=True, help="Label Studio's field that holds the text."
)
@click.option(
    "--choices", multiple=True, help="Label Studio's control that holds choices; default: all."
)
def import_labels(source: Path, dry_run: bool, text: str, choices: tuple[str, ...]) -> None:
    """Add the labels of FILE, whole or not at all: a Label Studio export (.json or .csv) or
    labelled posts (.jsonl). The same file twice adds nothing.

    Annotators are kept under a pseudonym. Reviews here outrank what is imported; where they differ,
    that is told.
    """
    from screening.errors import ReadError
    from screening.text import display_text
    from service.db import now
    from service.errors import Unprocessable
    from service.labels import importing
    from service.labels.pseudonyms import Pseudonyms
    from service.sealing import Sealer
    from service.settings import split_keys

    shape = importing.FORMATS.get(source.suffix.lower())
    if shape is None:
        raise ReadError(f"{source.name}: unknown suffix; use {', '.join(importing.FORMATS)}")
    try:
        content = source.read_bytes()
    except OSError as error:
        raise ReadError(f"{source}: cannot be read ({error.strerror})") from error
    database, settings = _open_database(create=True)
    try:
        done = importing.import_labels(
            database,
            Sealer(split_keys(settings.text_keys)),
            Pseudonyms(settings.data_dir),
            importing.Source(source.name, content, shape, text, choices),
            OPERATOR,
            now(),
            dry_run=dry_run,
        )
    except Unprocessable as error:
        for fault in error.errors:
            click.echo(display_text(fault["detail"]), err=True)
        raise
    _print_import(done)
    if done.fault_count:
        raise click.ClickException(f"{done.fault_count} bad rows; an import would add nothing")


def _print_import(done: Imported) -> None:
    from screening.text import display_text

    for fault in done.faults:
        click.echo(display_text(fault), err=True)
    words = {True: "yes", False: "no"}
    for conflict in done.conflicts:
        click.echo(
            f"{display_text(conflict.where)}: {conflict.label} is {words[conflict.imported]}, "
            f"reviews here say {words[conflict.here]}",
            err=True,
        )
    click.echo("label\tyes\tno\tunknown")
    for label, counts in done.labels.items():
        click.echo(f"{label}\t{counts['yes']}\t{counts['no']}\t{counts['unknown']}")
    skipped = ", ".join(f"{count} {reason}" for reason, count in sorted(done.skipped.items()))
    click.echo(
        f"{done.rows} rows: {done.added} {'would be ' if done.dry_run else ''}added, of "
        f"{done.annotators} annotators; {done.known} known before; {skipped or 'none'} left out; "
        f"{done.conflict_count} labels differ from the reviews here",
        err=True,
    )


@click.group()
def notices() -> None:
    """Reports to platforms, each approved by a second person."""


@notices.command("export")
@click.argument("notice_id", metavar="ID", type=click.IntRange(1, 2**53))
@click.option(
    "-o", "--output", type=FILE, required=True, help="File to write: .json, .csv or .html."
)
def export_notice(notice_id: int, output: Path) -> None:
    """Write the report of notice ID, once it is approved; that it was taken goes on record."""
    from screening.outputs import check_output, replaced
    from service.errors import NotFound
    from service.notices import repository
    from service.notices.report import RENDERERS
    from service.notices.service import hand_out

    check_output(output, tuple(f".{shape}" for shape in RENDERERS))
    shape = output.suffix.lower().removeprefix(".")
    database, _ = _open_database()
    with database.session() as session:
        whole = repository.get_notice(session, notice_id)
        if whole is None:
            raise NotFound(f"there is no notice {notice_id}")
        content = hand_out(session, OPERATOR, whole, shape)
    with replaced(output) as scratch:
        scratch.write_bytes(RENDERERS[shape](content))
    click.echo(f"{content['reference']}, due {content['due_at']}: {output}", err=True)


@click.group()
def keys() -> None:
    """API keys of programs, and the key that encrypts post text."""


def _name(ctx: click.Context, parameter: click.Parameter, name: str) -> str:
    if not 1 <= len(name) <= 128 or not name.isprintable() or name != name.strip():
        raise click.BadParameter("a name has 1 to 128 printable characters, no space at its ends")
    return name


@keys.command()
@click.argument("name", callback=_name)
@click.option("--role", type=click.Choice(ROLES), required=True, help="What its holder may do.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(PERMISSIONS),
    multiple=True,
    help="One of the role's permissions; may be repeated. Default: all of them.",
)
@click.option("--days", type=click.IntRange(1, 3650), help="How long it works; default: for good.")
@click.option(
    "--per-minute",
    type=click.IntRange(1, 10**6),
    help="Requests a minute; default: PENAPISAN_KEY_PER_MINUTE, else no limit.",
)
def new(
    name: str, role: str, scopes: tuple[str, ...], days: int | None, per_minute: int | None
) -> None:
    """Make a key; its secret goes to stdout this once and is not kept."""
    from service.auth import Permission, Role, create_key

    database, _ = _open_database(create=True)
    with database.session() as session:
        key, secret = create_key(
            session,
            OPERATOR,
            name,
            Role(role),
            days=days,
            per_minute=per_minute,
            scopes=[Permission(scope) for scope in scopes] or None,
        )
    click.echo(f"key {key.id}; its secret is shown this once:", err=True)
    click.echo(secret)


@keys.command("list")
def list_keys() -> None:
    """Show every key without its secret, one a line, tab-separated."""
    from sqlalchemy import select

    from service.access.schemas import state_of
    from service.tables import ApiKey

    database, _ = _open_database()
    click.echo("id\tname\trole\tscopes\tper_minute\tcreated\texpires\tstate")
    with database.reading() as session:
        for key in session.scalars(select(ApiKey).order_by(ApiKey.id)):
            expires = key.expires_at.date().isoformat() if key.expires_at else "never"
            limit, created = key.per_minute or "none", key.created_at.date()
            scopes = ",".join(key.scopes) if key.scopes else "all"
            cells = (key.id, key.name, key.role, scopes, limit, created, expires, state_of(key))
            click.echo("\t".join(map(str, cells)))


@keys.command()
@click.argument("key_id", metavar="ID", type=click.IntRange(1, 2**53))
def revoke(key_id: int) -> None:
    """Let a key work no longer, from now on."""
    from service.access.service import revoke as revoke_key

    database, _ = _open_database()
    with database.session() as session:
        revoke_key(session, OPERATOR, key_id)
    click.echo(f"key {key_id} is revoked")


@keys.command("new-text-key")
def new_text_key() -> None:
    """Make a key for PENAPISAN_TEXT_KEYS; put it first there, before those in use."""
    from cryptography.fernet import Fernet

    click.echo(Fernet.generate_key().decode())


@click.group()
def people() -> None:
    """People who sign in."""


@people.command("new")
@click.argument("name", callback=_name)
@click.option("--role", type=click.Choice(ROLES), required=True, help="What they may do.")
@url_option
def new_person(name: str, role: str, url: str | None) -> None:
    """Invite somebody; a one-time link to set a password goes to stdout."""
    from service.access.service import invite, link_url
    from service.auth import Role

    database, settings = _open_database(create=True)
    with database.session() as session:
        _, link = invite(session, OPERATOR, name, Role(role), settings)
    click.echo(link_url(_base(settings, url), link))


@people.command("new-link")
@click.argument("name")
@url_option
def new_link(name: str, url: str | None) -> None:
    """Print a one-time link for a lost password; earlier links work no longer."""
    from service.access import repository
    from service.access.service import link_url
    from service.access.service import new_link as make_link
    from service.errors import NotFound

    database, settings = _open_database()
    with database.session() as session:
        person = repository.person_named(session, name)
        if person is None:
            raise NotFound("nobody has this name; `penapisan people list` shows all")
        link = make_link(session, OPERATOR, person, settings)
    click.echo(link_url(_base(settings, url), link))


@people.command("list")
def list_people() -> None:
    """Show everybody, one a line, tab-separated."""
    from sqlalchemy import select

    from service.access.schemas import person_of
    from service.tables import Person

    database, _ = _open_database()
    click.echo("id\tname\trole\tcreated\tstate")
    with database.reading() as session:
        for row in session.scalars(select(Person).order_by(Person.id)):
            person = person_of(row)
            created = person.created_at.date()
            click.echo(f"{person.id}\t{person.name}\t{person.role}\t{created}\t{person.state}")


def _base(settings: Settings, url: str | None) -> str:
    return (url or settings.public_url or "http://127.0.0.1:8000").rstrip("/")


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

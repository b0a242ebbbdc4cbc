"""A PostgreSQL server for tests, from Debian's binaries, as a user that is not root."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER_USER = "postgres"


def find_binaries() -> Path | None:
    """The folder of ``initdb`` and ``pg_ctl``, newest version first."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


@contextmanager
def running_server(binaries: Path) -> Iterator[str]:
    """The server's SQLAlchemy URL, without a database name."""
    # Not pytest's folder: the server's user could not enter it.
    folder = Path(tempfile.mkdtemp(prefix="penapisan-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, SERVER_USER)
    data, port = folder / "data", free_port()
    try:
        _run(binaries / "initdb", "-D", data, "-U", "penapisan", "-A", "trust", "-E", "UTF8")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c max_connections=200"
        options += " -c fsync=off"  # the machine does not fail during a test
        _run(binaries / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start")
        try:
            yield f"postgresql+psycopg://penapisan@127.0.0.1:{port}"
        finally:
            _run(binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(*command: object) -> None:
    prefix = ["runuser", "-u", SERVER_USER, "--"] if os.geteuid() == 0 else []
    subprocess.run(
        [*prefix, *map(str, command)], check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=120
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])

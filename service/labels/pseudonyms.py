"""Names that tell reviewers apart and do not tell who they are."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from screening.errors import OutputError
from service.errors import Conflict, Unavailable

KEY_FILE = "pseudonyms.key"
KEY_BYTES = 32


class Pseudonyms:
    """Keyed hashes: ids such as ``person:7`` are few, and a plain hash of them is soon guessed.

    The key is a file of ``data_dir``, made at the first export: a reviewer keeps one name in all
    exports, and whoever has an export and not the key cannot find them. Removing it cuts the tie;
    it is in every back-up.
    """

    def __init__(self, folder: Path) -> None:
        self._key = _key_of(folder / KEY_FILE)

    def of(self, reviewer: str) -> str:
        return "r-" + hmac.new(self._key, reviewer.encode(), hashlib.sha256).hexdigest()[:16]


def read_key(folder: Path) -> bytes | None:
    """The key of a ``data_dir``, for a back-up; ``None`` before the first export."""
    path = folder / KEY_FILE
    return _checked(path) if path.exists() else None


def keep_key(folder: Path, key: bytes) -> None:
    """Put back a key from a back-up.

    Raises
    ------
    Conflict
        The folder has another key, under which labels may have been exported.
    """
    if _made(folder / KEY_FILE, key) != key:
        raise Conflict(
            f"{folder / KEY_FILE} is not the back-up's; move it away, or restore into another "
            "PENAPISAN_DATA_DIR"
        )


def _key_of(path: Path) -> bytes:
    return _made(path, secrets.token_bytes(KEY_BYTES))


def _made(path: Path, key: bytes) -> bytes:
    """The key that the file holds, which is ``key`` where there was no file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _checked(path)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
    except OSError as error:
        raise OutputError(f"{path}: cannot be read or made ({error.strerror})") from error
    return key


def _checked(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise Unavailable(f"{path} is no key of {KEY_BYTES} bytes; restore it or remove it")
    return key

"""Names that tell reviewers apart and do not tell who they are."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from screening.errors import OutputError
from service.errors import Unavailable

KEY_FILE = "pseudonyms.key"
KEY_BYTES = 32


class Pseudonyms:
    """Keyed hashes: ids such as ``person:7`` are few, and a plain hash of them is soon guessed.

    The key is a file of ``data_dir``, made at the first export: a reviewer keeps one name in all
    exports, and whoever has an export and not the key cannot find them. Removing it cuts the tie.
    """

    def __init__(self, folder: Path) -> None:
        self._key = _key_of(folder / KEY_FILE)

    def of(self, reviewer: str) -> str:
        return "r-" + hmac.new(self._key, reviewer.encode(), hashlib.sha256).hexdigest()[:16]


def _key_of(path: Path) -> bytes:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            key = path.read_bytes()
        else:
            key = secrets.token_bytes(KEY_BYTES)
            with os.fdopen(descriptor, "wb") as file:
                file.write(key)
    except OSError as error:
        raise OutputError(f"{path}: cannot be read or made ({error.strerror})") from error
    if len(key) != KEY_BYTES:
        raise Unavailable(f"{path} is no key of {KEY_BYTES} bytes; restore it or remove it")
    return key

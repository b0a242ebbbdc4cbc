"""Post text at rest: bytes, encrypted where keys are configured."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from service.errors import Unavailable

_PLAIN, _SEALED = b"\x00", b"\x01"


class Sealer:
    """Text to stored bytes and back. The first byte says whether they are encrypted, so that text
    stored before the first key was set stays readable. The first key encrypts, all decrypt."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._keys = MultiFernet([Fernet(key) for key in keys]) if keys else None

    def seal(self, text: str) -> bytes:
        raw = text.encode("utf-8")
        return _PLAIN + raw if self._keys is None else _SEALED + self._keys.encrypt(raw)

    def open(self, stored: bytes) -> str:
        """The text again.

        Raises
        ------
        Unavailable
            It was encrypted with a key that is not configured.
        """
        kind, raw = stored[:1], stored[1:]
        if kind == _PLAIN:
            return raw.decode("utf-8")
        try:
            if self._keys is None:
                raise InvalidToken
            return self._keys.decrypt(raw).decode("utf-8")
        except InvalidToken as error:
            raise Unavailable(
                "a post's text is encrypted with a key that PENAPISAN_TEXT_KEYS does not hold"
            ) from error

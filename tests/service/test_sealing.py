"""Post text at rest."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet

from service.errors import Unavailable
from service.sealing import Sealer

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
TEXT = "selamat pagi \U0001f600"


def test_sealed_text_hides_the_text_and_comes_back() -> None:
    stored = Sealer([OLD]).seal(TEXT)
    assert b"selamat" not in stored
    assert Sealer([OLD]).open(stored) == TEXT


def test_text_stored_before_the_first_key_stays_readable() -> None:
    assert Sealer([NEW]).open(Sealer().seal(TEXT)) == TEXT


def test_a_new_key_seals_and_the_old_one_still_opens() -> None:
    both = Sealer([NEW, OLD])
    assert both.open(Sealer([OLD]).seal(TEXT)) == TEXT
    assert Sealer([NEW]).open(both.seal(TEXT)) == TEXT


@pytest.mark.parametrize("keys", [[], [NEW]])
def test_a_missing_key_is_said_and_never_garbled(keys: list[str]) -> None:
    with pytest.raises(Unavailable, match="PENAPISAN_TEXT_KEYS"):
        Sealer(keys).open(Sealer([OLD]).seal(TEXT))

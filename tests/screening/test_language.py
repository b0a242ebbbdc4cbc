from __future__ import annotations

import pytest

from screening.language import language_hint


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("yang penting kita tidak terlambat", "id"),
        ("gw udah bilang, ga usah dateng", "id"),
        ("aku ora ngerti kowe arep ngapa", "jv"),
        ("kuring mah teu nyaho nu kitu", "su"),
        ("awak nak pergi ke mana", "ms"),
        ("the meeting is on monday", "en"),
        ("السلام عليكم ورحمة الله", "ar"),
        ("🔥🔥 12345", None),
        ("", None),
    ],
)
def test_the_hint_names_the_language_of_script_and_common_words(
    text: str, code: str | None
) -> None:
    assert language_hint(text) == code

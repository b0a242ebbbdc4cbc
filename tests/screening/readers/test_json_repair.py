from __future__ import annotations

import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from screening.errors import LimitError
from screening.readers import json_repair
from screening.readers.json_repair import RepairedJson
from screening.types import ReadReport


def repaired(data: bytes, chunk: int = 65536) -> tuple[bytes, ReadReport]:
    report = ReadReport()

    class Dribble(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(chunk)

    stream = RepairedJson(Dribble(data), name="result.json", report=report)
    out = b""
    while part := stream.read(65536):
        out += part
    return out, report


@pytest.mark.parametrize(
    ("broken", "mended", "counted"),
    [
        (rb'{"a": "x\x01y"}', {"a": "x\x01y"}, {"control_byte": 1}),
        (rb'{"a": "\x1B[0m\x0c"}', {"a": "\x1b[0m\x0c"}, {"control_byte": 2}),
        (rb'{"a": "not one: \\x01"}', {"a": r"not one: \x01"}, {}),
        (b'{"a": "raw \x02 byte"}', {"a": "raw \x02 byte"}, {"control_byte": 1}),
        (
            b'{"id": video_files/sticker (2).webm\n}',
            {"id": "video_files/sticker (2).webm"},
            {"unquoted_value": 1},
        ),
        (
            b'{"id": a/b "c".webm,\r\n "n": 1}',
            {"id": 'a/b "c".webm', "n": 1},
            {"unquoted_value": 1},
        ),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}, {"byte_order_mark": 1}),
    ],
)
@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 65536])
def test_a_certain_repair_is_made_and_counted(
    broken: bytes, mended: object, counted: dict[str, int], chunk: int
) -> None:
    out, report = repaired(broken, chunk)
    assert json.loads(out) == mended
    assert report.repaired == counted


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.booleans(), st.sampled_from([None, 1]), st.integers(1, 50))
def test_clean_json_passes_unchanged_however_it_is_cut(
    value: object, ascii_only: bool, indent: int | None, chunk: int
) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "replace")
    out, report = repaired(data, chunk)
    assert out == data
    assert not report.repaired


def test_a_200_mb_message_is_refused_in_bounded_memory() -> None:
    class Endless(io.RawIOBase):
        left = 200 * 2**20

        def read(self, size: int = -1) -> bytes:
            if self.left == 200 * 2**20:
                self.left -= 1
                return b'{"text": "'
            self.left -= 2**18
            return b"a" * 2**18 if self.left > 0 else b""

    stream = RepairedJson(Endless(), name="result.json", report=ReadReport())  # type: ignore[arg-type]
    tracemalloc.start()
    with pytest.raises(LimitError, match="a string at byte 9 is longer than 16 MiB"):
        stream.read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * 2**20


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_a_million_deep_nesting_is_refused(opening: bytes) -> None:
    with pytest.raises(LimitError, match="nests deeper than 256 at byte"):
        repaired(opening * 10**6)


def test_a_line_without_end_that_is_no_value_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_repair, "MAX_BARE_BYTES", 100)
    with pytest.raises(LimitError, match="no JSON value at byte 6"):
        repaired(b'{"a": ' + b"x" * 1000)

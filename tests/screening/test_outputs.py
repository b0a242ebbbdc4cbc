from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from screening.errors import OutputError
from screening.outputs import RESULT_SUFFIXES, check_output, write_rows
from screening.rows import Row, score_of_row, to_row
from screening.types import Span
from tests.builders import POLICY, make_post, make_score

FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+cmd",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "＝1",
    "\n@x",
    "|calc",
    "%x",
]


def rows() -> list[Row]:
    span = (Span(0, 3, "terrorism", 1.5),)
    hit = make_score(0.95, spans=span)
    return [
        to_row(make_post(1, "bom <b>", source={"a": 1, "b": None}), hit, POLICY),
        to_row(make_post(2, "pagi", posted_at=None, author_name=None), make_score(0.1), POLICY),
    ]


def test_a_row_names_band_threshold_release_and_words() -> None:
    row = rows()[0]
    chosen = ("key", "score", "band", "decided_by", "threshold", "release", "policy", "spans")
    assert {name: row[name] for name in chosen} == {
        "key": "telegram:1001:1",
        "score": 0.95,
        "band": "urgent",
        "decided_by": "terrorism",
        "threshold": 0.9,
        "release": "fake-1",
        "policy": "fake-1",
        "spans": [{"begin": 0, "end": 3, "text": "bom", "label": "terrorism", "weight": 1.5}],
    }
    assert row["posted_at"] == "2026-01-02T12:00:00Z"


def test_a_score_survives_the_way_through_a_row() -> None:
    score = make_score(0.95, 0.2, spans=(Span(0, 3, "terrorism", 1.5),), windows=3, truncated=True)
    row = to_row(make_post(1, "bom"), score, POLICY)
    assert score_of_row(json.loads(json.dumps(row))) == score


def test_jsonl_round_trips(tmp_path: Path) -> None:
    write_rows(tmp_path / "out.jsonl", rows())
    lines = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == rows()


def test_csv_has_a_column_per_label_and_the_words(tmp_path: Path) -> None:
    write_rows(tmp_path / "out.csv", rows())
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["p_incitement"], first["p_terrorism"], first["words"]) == ("0.95", "0.95", "bom")
    assert first["source"] == '{"a":1,"b":null}'
    assert second["posted_at"] == ""


@pytest.mark.parametrize("hostile", FORMULAS)
@pytest.mark.parametrize("field", ["text", "author_name", "channel_name", "forwarded_from"])
def test_no_csv_cell_starts_a_formula(tmp_path: Path, hostile: str, field: str) -> None:
    post = make_post(1, **{field: hostile})
    write_rows(tmp_path / "out.csv", [to_row(post, make_score(), POLICY)])
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        _, cells = csv.reader(file)
    for cell in cells:
        assert cell.lstrip()[:1] not in {*"=+-@|%＝＋－＠", "\t", "\r"}


def test_parquet_keeps_types_and_nulls(tmp_path: Path) -> None:
    write_rows(tmp_path / "out.parquet", rows())
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [line["score"] for line in table] == [0.95, 0.1]
    assert [line["truncated"] for line in table] == [False, False]
    assert table[1]["author_name"] is None


def test_an_unknown_suffix_is_refused_naming_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"'\.xlsx'; use \.jsonl, \.csv, \.parquet"):
        check_output(tmp_path / "out.xlsx", RESULT_SUFFIXES)


def test_a_missing_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the folder does not exist"):
        check_output(tmp_path / "no" / "out.csv", RESULT_SUFFIXES)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text("old")

    def broken() -> object:
        yield rows()[0]
        raise RuntimeError("reader failed")

    with pytest.raises(RuntimeError):
        write_rows(target, broken())  # type: ignore[arg-type]
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]

"""Public sets, read through ``datasets`` by declarative mappings."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from screening.taxonomy import LABEL_IDS
from training.errors import TrainingError
from training.mapping import MAPPINGS, load_mapped, read_mapping, unescaped

ROWS = [{"text": "baris satu", "HS": 1}, {"text": r"dua \xf0\x9f\x98\x82", "HS": 0}]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def write(folder: Path, suffix: str) -> Path:
    path = folder / f"set{suffix}"
    if suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["text", "HS"])
            writer.writeheader()
            writer.writerows(ROWS)
    elif suffix == ".parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(ROWS), path)
    else:
        path.write_text("\n".join(map(json.dumps, ROWS)), "utf-8")
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_set_is_read_from_every_format_with_unknown_labels(tmp_path: Path, suffix: str) -> None:
    mapping = read_mapping("ibrohim_budi_2019")
    hateful, lawful = load_mapped(mapping, [write(tmp_path, suffix)])
    assert hateful.is_yes("hate_speech") is True
    assert hateful.is_yes("incitement") is None
    assert lawful.text == "dua 😂"
    assert [lawful.is_yes(label) for label in ("hate_speech", *LABEL_IDS)] == [False] * 8
    assert lawful.is_yes("news") is None
    assert lawful.licence == "CC-BY-NC-SA-4.0"
    assert not mapping.trainable


def test_every_shipped_mapping_is_read_and_names_its_licence() -> None:
    mappings = {path.stem: read_mapping(path.stem) for path in MAPPINGS.glob("*.toml")}
    assert len(mappings) >= 7
    assert {name for name, mapping in mappings.items() if mapping.trainable} == {
        "bssn_harmful_content", "indonlu_smsa", "indonlu_emot", "label_studio",
    }  # fmt: skip


def test_label_studio_choices_answer_every_label(tmp_path: Path) -> None:
    def task(*choices: str) -> dict[str, object]:
        skipped = {"result": [{"value": {"choices": ["threat"]}}], "was_cancelled": True}
        given = {"result": [{"value": {"choices": list(choices)}}], "was_cancelled": False}
        return {"data": {"text": "teks"}, "annotations": [skipped, given]}

    path = tmp_path / "export.json"
    path.write_text(json.dumps([task("threat", "radicalism"), task("none"), task("news")]))
    hit, none, news = load_mapped(read_mapping("label_studio"), [path])
    assert hit.labels == {"threat", "radicalism"}
    assert hit.is_yes("financing") is False
    assert not none.labels
    assert not none.unknown
    assert news.contexts == {"news"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "missing or empty"),
        (b'{"isi": "x", "HS": 1}', "column 'text' is missing; found split, isi, HS"),
        (b'{"text": "\xe9\xff", "HS": 1}', "cannot be read as rows"),
        (b'{"text": "x", "HS"', "cannot be read as rows"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "set.jsonl"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=message) as caught:
        load_mapped(read_mapping("ibrohim_budi_2019"), [path])
    assert "set.jsonl" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 'x'", "field 'licence' is missing"),
        ("name =", "not a TOML file"),
        (
            "name='x'\nlicence='MIT'\ntext=['t']\n[[rules]]\ncolumn='a'\nvalues=[1]\nyes=['teror']",
            "rule on 'a' has unknown id 'teror'",
        ),
        ("name='x'\nlicence='MIT'\ntext=['t']\n[[rules]]\nyes=['threat']", "needs 'column'"),
    ],
)
def test_a_bad_mapping_is_named_with_its_fault(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=message):
        read_mapping(str(path))


def test_an_unknown_mapping_lists_ours() -> None:
    with pytest.raises(TrainingError, match=r"no mapping 'nihil'.*ibrohim_budi_2019"):
        read_mapping("nihil")


def test_a_set_without_hub_id_asks_for_a_file() -> None:
    with pytest.raises(TrainingError, match="names no hub id; give --file"):
        load_mapped(read_mapping("alfina_2017"))


def test_escapes_published_as_text_are_undone() -> None:
    assert unescaped(r"a\nb \xf0\x9f\x98\x82 c\/d") == "a\nb 😂 c/d"

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from models.release import OUTPUTS
from screening.errors import ReadError
from screening.labelled import LabelledPost, read_labelled, to_json
from training.augment import TRICKS, augment
from training.data import (
    fingerprint,
    in_split,
    read_corpus,
    read_lawful,
    split_of,
    targets,
)
from training.errors import TrainingError


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return path


def test_a_labelled_post_is_read_with_every_field(tmp_path: Path) -> None:
    row = {
        "id": "a1", "text": "x", "labels": ["threat"], "contexts": ["news"], "family": "f",
        "unknown": ["radicalism"], "register": "chat", "note": "mengapa",
    }  # fmt: skip
    (post,) = read_labelled(write(tmp_path / "c.jsonl", row))
    assert post == LabelledPost(
        "a1", "x", frozenset({"threat"}), frozenset({"news"}), frozenset({"radicalism"}),
        "f", "chat", "mengapa",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "c.jsonl:2: not valid JSON"),
        ('{"text": ""}', "c.jsonl:2: field 'text'"),
        ('{"text": 5}', "c.jsonl:2: field 'text'"),
        ("[]", "c.jsonl:2: field 'text'"),
        ('{"text": "x", "labels": "threat"}', "c.jsonl:2: field 'labels' must be a list"),
        ('{"text": "x", "labels": ["teror"]}', "c.jsonl:2: field 'labels' has unknown id 'teror'"),
        ('{"text": "x"}', "c.jsonl:2: field 'labels' is missing"),
        ('{"text": "x", "labels": {"teror": "yes"}}', "field 'labels' has unknown id 'teror'"),
        ('{"text": "x", "labels": {"threat": true}}', "field 'labels.threat' must be one of yes"),
        ('{"text": "x", "labels": [], "confidence": 7}', "'confidence' must be a number from 0"),
    ],
)
def test_a_bad_row_is_named_by_line_and_field(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"text": "baik", "labels": []}\n' + line)
    with pytest.raises(ReadError, match=message):
        list(read_labelled(path))


def test_a_reviewer_s_answers_are_yes_no_and_unknown(tmp_path: Path) -> None:
    row = {"text": "x", "labels": {"threat": "yes", "radicalism": "no", "financing": "unknown"}}
    (post,) = read_labelled(write(tmp_path / "c.jsonl", row))
    assert [post.is_yes(label) for label in ("threat", "radicalism", "financing", "news")] == [
        True, False, None, None,
    ]  # fmt: skip


def test_bad_rows_are_handed_over_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"text": "baik", "labels": []}\n{\n\n{"text": "lagi", "labels": []}\n')
    errors: list[ReadError] = []
    posts = list(read_labelled(path, on_error=errors.append))
    assert [post.text for post in posts] == ["baik", "lagi"]
    assert [str(error).split(":")[1] for error in errors] == ["2"]


def test_a_labelled_post_survives_writing_and_reading(tmp_path: Path) -> None:
    for post in read_corpus()[:50]:
        (again,) = read_labelled(write(tmp_path / "c.jsonl", to_json(post)))
        assert again == post


def test_targets_are_yes_no_and_unknown() -> None:
    post = LabelledPost("a", "x", frozenset({"threat"}), unknown=frozenset({"radicalism", "news"}))
    row = dict(zip(OUTPUTS, targets([post])[0], strict=True))
    assert row["threat"] == row["terrorism"] == 1.0
    assert row["incitement"] == row["religious"] == 0.0
    assert np.isnan(row["radicalism"])
    assert np.isnan(row["news"])


def test_the_group_is_unknown_where_a_label_of_it_is_and_none_holds() -> None:
    row = targets([LabelledPost("a", "x", frozenset(), unknown=frozenset({"financing"}))])[0]
    assert np.isnan(row[OUTPUTS.index("terrorism")])


def test_no_family_straddles_the_splits_of_the_corpus() -> None:
    posts = read_corpus()
    seen: dict[str, str] = {}
    for split in ("train", "validation", "test"):
        part = in_split(posts, split)
        assert len(part) > 100
        for post in part:
            assert seen.setdefault(post.family, split) == split


def test_no_text_of_the_corpus_is_in_two_families() -> None:
    families: dict[str, str] = {}
    for post in read_corpus():
        flat = " ".join(post.text.lower().split())
        assert families.setdefault(flat, post.family) == post.family, post.id


def test_a_family_never_moves() -> None:
    # The first eight bytes of SHA-256, as a share: fixed for ever.
    assert [split_of(f) for f in ("inc-001", "inc-002", "inc-003")] == [
        split_of(f) for f in ("inc-001", "inc-002", "inc-003")
    ]
    shares = [split_of(f"x-{n}") for n in range(5000)]
    assert abs(shares.count("test") / 5000 - 0.20) < 0.03
    assert abs(shares.count("train") / 5000 - 0.60) < 0.03


def test_the_corpus_is_large_varied_and_half_minimal_pairs() -> None:
    posts = read_corpus()
    assert len(posts) >= 2500
    answers: dict[str, set[bool]] = {}
    for post in posts:
        assert post.note, post.id
        assert post.register, post.id
        answers.setdefault(post.family, set()).add(bool(post.labels))
    paired = sum(len(answers[post.family]) == 2 for post in posts)
    assert paired >= len(posts) / 2


def test_an_empty_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no labelled posts found"):
        read_corpus(tmp_path)


def test_the_fingerprint_follows_text_and_answer() -> None:
    post = LabelledPost("a", "x", frozenset())
    other = LabelledPost("a", "x", frozenset({"threat"}))
    assert fingerprint([post]) == fingerprint([post]) != fingerprint([other])


def test_lawful_parts_do_not_overlap_and_later_news_is_held_out(tmp_path: Path) -> None:
    path = tmp_path / "news_headlines_narasipal.jsonl.gz"
    rows = [{"text": f"judul {n}", "date": f"2024-{n % 12 + 1:02d}-01"} for n in range(60)]
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("\n".join(map(json.dumps, rows)))
    parts = {
        part: {p.id for p in read_lawful(tmp_path, part)["news_headlines_narasipal"]}
        for part in ("train", "threshold", "evaluation")
    }
    assert [len(parts[part]) for part in ("train", "threshold", "evaluation")] == [15, 15, 30]
    assert len(set.union(*parts.values())) == 60


@pytest.mark.parametrize("trick", sorted(TRICKS))
def test_a_trick_changes_some_text_and_is_repeatable(trick: str) -> None:
    import random

    text = "Selamat pagi semuanya, semoga keluarga yang jauh sehat selalu dan lancar rezekinya"
    changed = TRICKS[trick](text, random.Random(1))
    assert changed != text
    assert changed == TRICKS[trick](text, random.Random(1))


def test_rate_zero_changes_nothing() -> None:
    import random

    assert augment("Selamat pagi", random.Random(0), 0.0) == "Selamat pagi"

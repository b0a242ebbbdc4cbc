"""The training command, whole, on a tiny base in a local folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from models.release import load_release
from models.scorer import load_scorer
from screening.labelled import LabelledPost
from screening.policy import SCREENED
from screening.taxonomy import CONTEXT_IDS, LABEL_IDS
from tests.training.tiny import tiny_encoder, tiny_tokenizer
from training import recipe, vocabulary
from training.base import load_base, save_base
from training.cli import main


def corpus() -> list[LabelledPost]:
    """Every label with its own word, and lawful twins of every context."""
    posts = []
    for n in range(780):
        label, context = LABEL_IDS[n // 2 % 7], CONTEXT_IDS[n // 2 % 6]
        is_hit = n % 2 == 0
        text = f"{label if is_hit else context} nomor {n} {'serang' if is_hit else 'makan nasi'}"
        labels, contexts = ({label}, ()) if is_hit else ((), {context})
        posts.append(
            LabelledPost(f"p{n}", text, frozenset(labels), frozenset(contexts), family=f"f{n // 2}")
        )
    return posts


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(recipe, "read_corpus", corpus)
    monkeypatch.setattr(vocabulary, "WORDFREQ_WORDS", 200)
    save_base(tmp_path / "base", tiny_encoder(), tiny_tokenizer())
    return tmp_path / "base"


def make(base: Path, out: Path, tokens: int = 64) -> object:
    arguments = ["release", str(out), "--base", str(base), "--pieces", "60", "--epochs", "1"]
    arguments += ["--max-tokens", str(tokens)]
    return CliRunner().invoke(main, arguments)


def test_one_command_makes_a_release_that_scores(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine-1"
    result = make(base, out)
    assert result.exit_code == 0, result.output  # type: ignore[attr-defined]
    release = load_release(out)
    assert release.id == "mine-1"
    assert sorted(file.name for file in out.iterdir()) == [
        "CARD.md", "model.onnx", "release.json", "tokenizer.json",
    ]  # fmt: skip
    (score,) = load_scorer(out).score(["serang"])
    assert score.release == "mine-1"
    record = release.record
    assert record["training"]["epochs"] == 1
    assert record["data"]["test"]["posts"] == record["metrics"]["transformer"]["terrorism"]["posts"]
    assert "| terrorism |" in (out / "CARD.md").read_text("utf-8")
    again = CliRunner().invoke(main, ["calibrate", str(out), str(tmp_path / "mine-2")])
    assert again.exit_code == 0, again.output
    assert load_release(tmp_path / "mine-2").calibration == release.calibration
    assert load_release(tmp_path / "mine-2").policy.thresholds == release.policy.thresholds
    card = CliRunner().invoke(main, ["card", str(out), "-o", str(tmp_path / "card.md")])
    assert card.exit_code == 0, card.output
    assert (tmp_path / "card.md").read_text("utf-8") == (out / "CARD.md").read_text("utf-8")
    beside = ["--beside", str(tmp_path / "mine-2"), "--why", "Small."]
    card = CliRunner().invoke(main, ["card", str(out), "-o", str(tmp_path / "card.md"), *beside])
    assert card.exit_code == 0, card.output
    section = (tmp_path / "card.md").read_text("utf-8").split("## Why this size")[1]
    lines = section.split("## Thresholds")[0].strip().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:-2]]
    assert [(row[0], row[1]) for row in rows] == [
        ("mine-1", "2"), ("mine-2", "2"), ("TF-IDF + logistic", "none"),
    ]  # fmt: skip
    quality = record["metrics"]["transformer"]
    assert [float(cell) for cell in rows[0][2:4]] == [
        quality[label]["pr_auc"] for label in SCREENED
    ]
    assert lines[-1].endswith("Small.")


def test_more_tokens_than_positions_are_refused(base: Path, tmp_path: Path) -> None:
    result = make(base, tmp_path / "out", tokens=512)
    assert result.exit_code == 1  # type: ignore[attr-defined]
    assert "more than the encoder's 64 positions" in result.output  # type: ignore[attr-defined]


def test_a_base_adapted_to_an_export_is_a_base_again(base: Path, tmp_path: Path) -> None:
    export = tmp_path / "posts.jsonl"
    export.write_text("".join(json.dumps({"text": post.text}) + "\n" for post in corpus()), "utf-8")
    arguments = ["adapt", str(tmp_path / "adapted"), str(export), "--base", str(base)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert f"{len({post.text for post in corpus()})} posts" in result.output
    before, _ = load_base(str(base))
    after, _ = load_base(str(tmp_path / "adapted"))
    assert after.config.hidden_size == before.config.hidden_size
    changed = [
        name
        for name, value in after.state_dict().items()
        if not value.equal(before.state_dict()[name])
    ]
    assert changed, "adapting left every weight as it was"


def test_a_label_nobody_answered_is_named(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = [post for post in corpus() if "financing" not in post.labels]
    monkeypatch.setattr(recipe, "read_corpus", lambda: without)
    result = make(base, tmp_path / "out")
    assert result.exit_code == 1  # type: ignore[attr-defined]
    assert "no 'financing' post" in result.output  # type: ignore[attr-defined]


def test_a_release_is_never_overwritten(base: Path, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "release.json").write_text("{}")
    result = make(base, tmp_path / "old")
    assert result.exit_code == 1  # type: ignore[attr-defined]
    assert "holds a release already" in result.output  # type: ignore[attr-defined]


def test_a_missing_base_is_one_sentence(base: Path, tmp_path: Path) -> None:
    result = make(tmp_path / "nowhere", tmp_path / "out")
    assert result.exit_code == 1  # type: ignore[attr-defined]
    assert "neither a local folder" in result.output  # type: ignore[attr-defined]


def test_corpus_check_counts_every_split() -> None:
    result = CliRunner().invoke(main, ["corpus", "check"])
    assert result.exit_code == 0, result.output
    assert [line.split(":")[0] for line in result.output.splitlines()] == [
        "train", "validation", "test", "all",
    ]  # fmt: skip


def test_a_base_is_trimmed_to_a_folder_that_is_a_base(base: Path, tmp_path: Path) -> None:
    arguments = ["base", str(tmp_path / "small"), "--base", str(base), "--pieces", "60"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    _, tokenizer = load_base(str(tmp_path / "small"))
    assert f"{tokenizer.get_vocab_size()} of" in result.output
    assert tokenizer.get_vocab_size() <= 60

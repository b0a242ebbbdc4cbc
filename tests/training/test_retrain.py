"""From reviewers' labels to a verdict, whole, on a tiny base in a local folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from models.errors import ReleaseError
from models.release import load_release
from models.scorer import load_scorer
from screening.errors import ReadError
from tests.training.test_recipe import corpus, make
from tests.training.tiny import tiny_encoder, tiny_tokenizer
from training import recipe, retrain, vocabulary
from training.base import save_base
from training.cli import main
from training.compare import Comparison, Difference
from training.merge import merged


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "read_corpus", corpus)
        patch.setattr(vocabulary, "WORDFREQ_WORDS", 200)
        save_base(folder / "base", tiny_encoder(), tiny_tokenizer())
        result = make(folder / "base", folder / "serving")
        assert result.exit_code == 0, result.output  # type: ignore[attr-defined]
    return folder / "serving"


@pytest.fixture(autouse=True)
def small_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "read_corpus", corpus)


def reviews(folder: Path, *extra: str) -> Path:
    rows = [
        {
            "text": f"ayo serang kantor ke {n}" if n % 2 else f"ayo makan nasi ke {n}",
            "labels": {"incitement": "yes" if n % 2 else "no", "radicalism": "unknown"},
            "labelled_by": "r1",
            "guideline": "1.0",
        }
        for n in range(40)
    ]
    path = folder / "reviews.jsonl"
    path.write_text("\n".join([*map(json.dumps, rows), *extra]) + "\n", "utf-8")
    return path


def run(labels: Path, parent: Path, out: Path) -> Result:
    arguments = ["retrain", "--labels", labels, "--release", parent, "-o", out, "--epochs", 1]
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_one_command_retrains_compares_and_says_which_is_better(
    parent: Path, tmp_path: Path
) -> None:
    labels = reviews(tmp_path, "{", '{"text": "x", "labels": {"threat": "mungkin"}}')
    result = run(labels, parent, tmp_path / "new")
    assert result.exit_code == 0, result.output
    assert "left out: reviews.jsonl:41: not valid JSON" in result.output
    assert "left out: reviews.jsonl:42: field 'labels.threat' must be one of" in result.output
    assert "40 rows read, 2 left out" in result.output
    assert "review recall" in result.output
    record = load_release(tmp_path / "new", allow_refused=True).record
    assert record["base"]["parent"] == "serving"
    assert record["data"]["reviews"] == 40
    assert record["comparison"]["old"] == "serving"
    assert record["refused"] is (record["comparison"]["verdict"] == "worse")


def test_a_worse_release_is_written_and_refused(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = Difference("terrorism PR-AUC", 0.9, 0.5, (-0.5, -0.3), True)
    worse = Comparison("serving", "new", 100, 50, (drop,))
    monkeypatch.setattr(retrain, "compare", lambda *_: worse)
    result = run(reviews(tmp_path), parent, tmp_path / "new")
    assert result.exit_code == 0, result.output
    assert "marked refused" in result.output
    with pytest.raises(ReleaseError, match="refused, for it is worse than 'serving'"):
        load_scorer(tmp_path / "new")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("{\n", "no usable row"),
        ('{"text": "x", "labels": {"threat": "unknown"}}\n', "only unknown answers"),
    ],
)
def test_labels_that_teach_nothing_are_refused(
    parent: Path, tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "reviews.jsonl"
    path.write_text(content)
    result = run(path, parent, tmp_path / "new")
    assert result.exit_code == 1
    assert message in result.output
    assert not (tmp_path / "new").exists()


def test_the_sample_of_reviews_is_read_whole_and_holds_conflicts() -> None:
    def fail(error: ReadError) -> None:
        raise error

    path = Path(__file__).parent.parent / "data" / "reviews.jsonl"
    posts = retrain.read_reviews([path], fail)
    assert len(posts) >= 100
    assert {post.labelled_by for post in posts} == {"r1", "r2", "r3"}
    joined = merged([], posts)
    assert len(joined) < len(posts)
    assert any(post.is_yes("radicalism") is None for post in joined)

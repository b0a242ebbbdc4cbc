"""The shipped release on the engines a user has."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from models.errors import EngineError
from models.release import load_release
from models.scorer import ReleaseScorer, load_scorer
from models.tokens import MAX_WINDOWS, TextEncoder
from screening.scorer import BATCH_TOLERANCE
from screening.types import Score
from training.data import in_split, read_corpus

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scorer() -> ReleaseScorer:
    return load_scorer()


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [post.text for post in in_split(read_corpus(), "test")][:160]


def values(scores: Sequence[Score]) -> np.ndarray:
    return np.array([[*s.labels.values(), s.terrorism, *s.contexts.values()] for s in scores])


def test_scores_do_not_depend_on_company_or_order(scorer: ReleaseScorer, texts: list[str]) -> None:
    together = values(scorer.score(texts))
    alone = values([scorer.score([text])[0] for text in texts])
    assert np.abs(together - alone).max() <= BATCH_TOLERANCE
    order = list(range(len(texts)))
    random.Random(0).shuffle(order)
    shuffled = values(scorer.score([texts[n] for n in order]))
    assert np.abs(shuffled - together[order]).max() <= BATCH_TOLERANCE


def test_the_same_texts_give_the_same_scores_to_the_last_bit(
    scorer: ReleaseScorer, texts: list[str]
) -> None:
    assert scorer.score(texts) == scorer.score(texts)


def test_chunks_give_what_one_call_gives(scorer: ReleaseScorer, texts: list[str]) -> None:
    chunks = [texts[:64], [], texts[64:]]
    got = list(scorer.score_chunks(chunks))
    assert [len(chunk) for chunk in got] == [64, 0, len(texts) - 64]
    together = values(scorer.score(texts))
    assert np.abs(values([s for c in got for s in c]) - together).max() <= BATCH_TOLERANCE


def test_engines_agree_on_every_band_but_few(scorer: ReleaseScorer, texts: list[str]) -> None:
    other = load_scorer(engine="onnxruntime")
    ours, theirs = scorer.score(texts), other.score(texts)
    bands = [
        scorer.policy.decide(a).band == other.policy.decide(b).band
        for a, b in zip(ours, theirs, strict=True)
    ]
    # Rounding can move a post that stands on a threshold, no other.
    assert np.mean(bands) >= 0.95
    assert np.abs(values(ours) - values(theirs)).mean() < 0.01


def test_no_texts_give_no_scores(scorer: ReleaseScorer) -> None:
    assert scorer.score([]) == []


@pytest.mark.parametrize("text", ["", " ", "\x00", "\ud800", "🔥", "a", "\u200b" * 50])
def test_any_text_can_be_scored(scorer: ReleaseScorer, text: str) -> None:
    (score,) = scorer.score([text])
    assert all(0 <= p <= 1 for p in values([score])[0])


def test_equal_texts_are_run_once() -> None:
    release = load_release()
    encoder = TextEncoder(release.tokenizer_path, max_tokens=256, batch_tokens=1024)
    prepared = encoder.prepare(["selamat pagi", "apa kabar", "selamat pagi", "selamat  pagi"])
    assert prepared.n_windows == 2
    assert prepared.texts == [0, 1, 0, 0]


def test_a_long_text_is_scored_to_its_end(scorer: ReleaseScorer, texts: list[str]) -> None:
    release = load_release()
    hits = [t for t, s in zip(texts, scorer.score(texts), strict=True) if s.terrorism > 0.9]
    hit = max(hits, key=len) if hits else texts[0]
    filler = "Harga cabai di pasar induk naik lagi pekan ini karena hujan. " * 150
    long, plain = scorer.score([f"{filler} {hit}", filler])
    assert long.windows > release.max_tokens // 64
    assert not long.truncated
    assert long.terrorism >= plain.terrorism


def test_a_text_past_the_last_window_is_reported_truncated(scorer: ReleaseScorer) -> None:
    words = " ".join(f"kata{n}" for n in range(20_000))
    (score,) = scorer.score([words])
    assert score.windows == MAX_WINDOWS
    assert score.truncated


def test_windows_cover_every_token_and_overlap() -> None:
    encoder = TextEncoder(load_release().tokenizer_path, max_tokens=32, batch_tokens=512)
    prepared = encoder.prepare([" ".join(f"kata{n}" for n in range(100))])
    (windows,) = prepared.windows
    rows = {}
    for batch in prepared.batches:
        for row, window in enumerate(batch.rows.tolist()):
            rows[window] = batch.input_ids[row, 1 : batch.attention_mask[row].sum() - 1].tolist()
    joined: list[int] = []
    for window in windows:
        begin = (window - windows.start) * prepared.stride
        assert joined[begin:] == rows[window][: len(joined) - begin]
        joined[begin:] = rows[window]
    assert len(joined) == len(prepared.offsets[0])


def test_batches_hold_no_more_tokens_than_asked(texts: list[str]) -> None:
    encoder = TextEncoder(load_release().tokenizer_path, max_tokens=256, batch_tokens=512)
    for batch in encoder.prepare(texts).batches:
        assert batch.input_ids.size <= 512
        assert batch.attention_mask.sum(axis=1).max() == batch.input_ids.shape[1]


def test_few_texts_of_one_length_are_spread_over_all_that_runs_at_once() -> None:
    path = load_release().tokenizer_path
    encoder = TextEncoder(path, max_tokens=32, batch_tokens=1024, parallel=2)
    texts = [f"selamat pagi {number}" for number in range(10, 19)]
    assert [batch.rows.size for batch in encoder.prepare(texts).batches] == [3, 3, 3]


def test_a_post_above_clear_names_its_words(scorer: ReleaseScorer, texts: list[str]) -> None:
    explained = 0
    for text, score in zip(texts, scorer.score(texts), strict=True):
        if scorer.policy.decide(score).band == "clear":
            assert score.spans == ()
            continue
        explained += 1
        assert score.spans
        ends = [0, *(span.end for span in score.spans)]
        for span, previous in zip(score.spans, ends, strict=False):
            assert previous <= span.begin < span.end <= len(text)
            assert text[span.begin : span.end].strip()
        assert len(score.spans) == 1 or all(span.weight > 0 for span in score.spans)
    assert explained


def test_naming_words_that_matter_beats_naming_any(scorer: ReleaseScorer, texts: list[str]) -> None:
    """Deletion test: without its named words a post's score falls further than without others."""
    scores = scorer.score(texts)
    rng = random.Random(0)
    named, anyhow, before = [], [], []
    for text, score in zip(texts, scores, strict=True):
        words = text.split()
        decision = scorer.policy.decide(score)
        if decision.band == "clear" or decision.label != "terrorism" or len(words) < 6:
            continue
        strongest = sorted(score.spans, key=lambda span: -span.weight)[:2]
        chosen = {text[span.begin : span.end] for span in strongest}
        kept = [word for word in words if word not in chosen]
        dropped = set(rng.sample(range(len(words)), len(words) - len(kept)))
        named.append(" ".join(kept))
        anyhow.append(" ".join(w for n, w in enumerate(words) if n not in dropped))
        before.append(score.terrorism)
    assert len(before) >= 5
    falls = [
        np.mean(np.array(before) - [s.terrorism for s in scorer.score(left)])
        for left in (named, anyhow)
    ]
    assert falls[0] > falls[1]


def test_an_engine_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.engines.find_spec", lambda name: None)
    with pytest.raises(EngineError, match="needs the package 'openvino'; pip install openvino"):
        load_scorer(engine="openvino")


def test_nobody_is_told_that_the_engine_is_used(tmp_path: Path) -> None:
    program = "import sys; from models.scorer import load_scorer; load_scorer()"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; print(sys.modules['openvino_telemetry'])"],
        env={"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "None\n"
    assert list(tmp_path.iterdir()) == []

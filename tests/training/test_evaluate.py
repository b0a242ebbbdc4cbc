"""Figures of a release, two releases compared, and the whole retraining path on a tiny model."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from screening.labelled import LabelledPost
from screening.policy import Policy, Threshold
from screening.taxonomy import CONTEXT_IDS, LABEL_IDS
from screening.types import Score
from training.augment import TRICKS
from training.compare import compare
from training.data import read_corpus
from training.domains import DOMAINS, domain_sets, identity_groups
from training.evaluate import evaluate, proportion
from training.evaluation_report import write_evaluation
from training.functional import read_suite


class WordScorer:
    """Says 0.9 where a text holds one of its words, else 0.1; a scorer by rule, for arithmetic."""

    engine = "rule"

    def __init__(self, release: str, *words: str) -> None:
        self.release, self._words = release, words
        one = Threshold(0.5, 0.8)
        self.policy = Policy({"terrorism": one, "radicalism": one}, release)

    def score(self, texts: Sequence[str]) -> list[Score]:
        return [self._score(0.9 if any(w in t for w in self._words) else 0.1) for t in texts]

    def _score(self, value: float) -> Score:
        labels = dict.fromkeys(LABEL_IDS, value)
        return Score(labels, value, dict.fromkeys(CONTEXT_IDS, 0.1), self.release, 1, False)


def posts(count: int = 60) -> list[LabelledPost]:
    """A third are threats and radical, half of these by the word 'bunuh', half by 'bakar'."""
    made = []
    for n in range(count):
        word = ["bunuh", "makan", "tidur", "bakar", "mandi", "pergi"][n % 6]
        labels = frozenset(LABEL_IDS if n % 3 == 0 else ())
        text = f"kami {word} mereka nomor {n}"
        made.append(LabelledPost(str(n), text, labels, family=str(n), register="chat+leet"))
    return made


def test_figures_of_a_rule_are_as_counted_by_hand() -> None:
    figures = evaluate(WordScorer("half", "bunuh"), posts())  # type: ignore[arg-type]
    # 10 of 20 positives found, no other: the rest rank in one tie of 10 among 50.
    row = figures["transformer"]["terrorism"]
    assert row["positives"] == 20
    assert row["pr_auc"] == pytest.approx(0.5 * 1 + 0.5 * 20 / 60, abs=1e-4)
    assert row["recall_at_precision_95"] == 0.5
    assert figures["bands"]["review"]["recall"]["rate"] == 0.5
    assert figures["bands"]["urgent"]["precision"]["rate"] == 1.0
    assert figures["slices"]["trick"]["leet"]["posts"] == 60
    assert set(figures["obfuscation"]["tricks"]) == set(TRICKS)
    assert figures["obfuscation"]["tricks"]["lower"]["kept"] == 1.0
    assert figures["obfuscation"]["tricks"]["upper"]["kept"] == 0.0


def test_the_report_holds_every_section_and_the_figures_are_json(tmp_path: Path) -> None:
    figures = evaluate(WordScorer("half", "bunuh"), posts())  # type: ignore[arg-type]
    write_evaluation(tmp_path / "out", figures)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text("utf-8")) == figures
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert page.count("<svg") == 2
    assert all(f"<td>{f.id}" in page for f in read_suite())


def test_a_share_of_nothing_is_no_share() -> None:
    assert proportion(np.array([], bool)) == {"of": 0, "rate": None, "interval": None}


def test_a_release_that_finds_more_is_better_and_the_other_way_round_worse() -> None:
    half, whole = WordScorer("half", "bunuh"), WordScorer("whole", "bunuh", "bakar")
    up = compare(half, whole, posts())  # type: ignore[arg-type]
    assert (up.verdict, compare(whole, half, posts()).verdict) == ("better", "worse")  # type: ignore[arg-type]
    recall = next(d for d in up.differences if d.figure == "review recall")
    assert (recall.old, recall.new) == (0.5, 1.0)
    assert "whole is BETTER than half on 60" in up.sentences()[0]


def test_more_false_positives_are_worse() -> None:
    clean, noisy = WordScorer("clean", "bunuh"), WordScorer("noisy", "bunuh", "makan")
    found = compare(clean, noisy, posts())  # type: ignore[arg-type]
    false = next(d for d in found.differences if d.figure == "review false positives")
    assert false.verdict == found.verdict == "worse"


def test_a_release_equals_itself() -> None:
    same = compare(WordScorer("a", "bunuh"), WordScorer("b", "bunuh"), posts())  # type: ignore[arg-type]
    assert same.verdict == "equal"
    assert "cannot be told apart" in same.sentences()[0]


def test_the_suite_is_large_balanced_and_never_trained_on() -> None:
    suite = read_suite()
    assert len(suite) >= 35
    assert {f.expects_hit for f in suite} == {True, False}
    assert min(len(f.cases) for f in suite) >= 6
    known = {" ".join(post.text.lower().split()) for post in read_corpus()}
    cases = [" ".join(case.lower().split()) for f in suite for case in f.cases]
    assert len(cases) == len(set(cases))
    assert not known & set(cases)


def test_groups_are_named_by_whole_words() -> None:
    assert set(identity_groups("Orang Kristen dan muslimah di Papua")) == {
        "Christian", "Islam", "Papuan",
    }  # fmt: skip
    assert not list(identity_groups("sikatolikan jawaban"))


def test_held_out_lawful_posts_are_by_domain_and_hate_speech_is_left_out(tmp_path: Path) -> None:
    def write(name: str, rows: list[dict[str, object]]) -> None:
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.write("\n".join(map(json.dumps, rows)))

    write(
        "hate_speech_alfina_2017", [{"text": "a", "label": "HS"}, {"text": "b", "label": "Non_HS"}]
    )
    write("scripture_tafsir_id", [{"surah": 1, "text": "tafsir"}])
    found = domain_sets(tmp_path)
    assert {d: {n: [p.text for p in s] for n, s in sets.items()} for d, sets in found.items()} == {
        "scripture": {"scripture_tafsir_id": ["tafsir"]},
        "political criticism": {"hate_speech_alfina_2017": ["b"]},
    }
    assert set(found) <= set(DOMAINS)

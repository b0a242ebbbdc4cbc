from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from screening.labelled import LabelledPost
from training.agreement import SecondPass, agreement, read_second_pass, suspects
from training.cli import main
from training.errors import TrainingError


def make_post(number: int, *labels: str, text: str = "") -> LabelledPost:
    return LabelledPost(f"p{number}", text, frozenset(labels), family=f"f{number}")


def test_alpha_is_as_computed_by_hand() -> None:
    first = [make_post(n, *(["threat"] if n < 2 else [])) for n in range(4)]
    second = {"p0": frozenset({"threat"}), "p1": frozenset(), "p2": frozenset(), "p3": frozenset()}
    rows = {row.label: row for row in agreement(first, SecondPass(second, {}))}
    # 8 answers, 3 yes and 5 no; 1 of 4 posts differs: observed 1/4, expected 2*3*5/(8*7);
    # alpha = 1 - (1/4) / (30/56).
    assert rows["threat"].alpha == round(1 - (1 / 4) / (30 / 56), 3)
    assert rows["threat"].disagreements == ("p1",)
    assert rows["any"].alpha == rows["threat"].alpha
    assert rows["financing"].alpha == 1.0


def test_passes_over_different_posts_are_refused() -> None:
    with pytest.raises(TrainingError, match="answers no post"):
        agreement([make_post(1)], SecondPass({"other": frozenset()}, {}))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: expected an object"),
        ('{"id": "a"}', "line 2: expected an object"),
        ('{"id": "a", "labels": ["rude"]}', "line 2: unknown label 'rude'"),
    ],
)
def test_a_bad_line_of_the_second_pass_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "second.jsonl"
    path.write_text(json.dumps({"id": "x", "labels": []}) + f"\n{line}\n")
    with pytest.raises(TrainingError, match=message):
        read_second_pass(path)


def test_the_one_wrong_label_is_the_most_suspect() -> None:
    made = []
    for n in range(40):
        is_threat = n % 2 == 0
        text = "kami bakar rumahmu malam ini" if is_threat else "kami masak nasi pagi ini"
        made.append(make_post(n, *(["threat"] if is_threat else []), text=f"{text} {n}"))
    made[7] = make_post(7, "threat", text="kami masak nasi pagi ini 7")
    ((identifier, quality),) = suspects(made, "threat", 1)
    assert identifier == "p7"
    assert quality < 0.5


def test_the_corpus_and_its_second_pass_agree_on_every_label() -> None:
    result = CliRunner().invoke(main, ["corpus", "agreement"])
    assert result.exit_code == 0, result.output
    alphas = [float(line.split()[2]) for line in result.output.splitlines()]
    # 0.8 is what Krippendorff asks of data that conclusions rest on.
    assert len(alphas) == 8
    assert min(alphas) >= 0.8

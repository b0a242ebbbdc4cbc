"""Prove the training code on a public set: one label, a stratified test, the baseline beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split

from models.network import Network
from screening.labelled import LabelledPost
from training.base import load_base, trim
from training.errors import TrainingError
from training.finetune import Hyperparameters, finetune, predict
from training.linear import linear_probabilities
from training.vocabulary import WeightedText, wordfreq_texts

SETTINGS = Hyperparameters(epochs=4, augment_rate=0.0, surround_rate=0.0, max_tokens=96)
PIECES = 34_000
TEST_SHARE, VALIDATION_SHARE = 0.10, 0.08
TEXT_WEIGHT = 3.0


def prove(
    posts: Sequence[LabelledPost],
    label: str,
    out: Path,
    *,
    base: str,
    settings: Hyperparameters = SETTINGS,
    runs: int = 1,
    pieces: int = PIECES,
) -> dict[str, Any]:
    """Fine-tune on ``label`` and return macro-F1 on the test, per run and as mean and deviation.

    The test is 10 % of the posts that answer ``label``, stratified, drawn with seed 0 whatever
    the run's seed. Epoch and threshold are chosen on 8 % of the rest. Writes ``metrics.json``.

    Raises
    ------
    TrainingError
        Too few posts answer the label, or all give the same answer.
    """
    known = [post for post in posts if post.is_yes(label) is not None]
    answers = [bool(post.is_yes(label)) for post in known]
    if min(answers.count(True), answers.count(False)) < 1 / TEST_SHARE:
        raise TrainingError(
            f"label '{label}' has {answers.count(True)} yes and {answers.count(False)} no; "
            "each needs at least 10"
        )
    rest, test = _halves(known, answers, TEST_SHARE)
    train, validation = _halves(rest, [bool(post.is_yes(label)) for post in rest], VALIDATION_SHARE)
    linear = linear_probabilities(rest, test, outputs=(label,))[:, 0]
    truth = np.array([post.is_yes(label) for post in test])
    scores = []
    out.mkdir(parents=True, exist_ok=True)
    for seed in range(settings.seed, settings.seed + runs):
        torch.manual_seed(seed)
        encoder, tokenizer = load_base(base)
        texts = [*wordfreq_texts(), *(WeightedText(post.text, TEXT_WEIGHT) for post in rest)]
        encoder, tokenizer = trim(encoder, tokenizer, texts, pieces)
        network = Network(encoder, 1, dropout=settings.dropout)
        run = replace(settings, seed=seed)
        finetune(
            network,
            tokenizer,
            train,
            validation,
            run,
            outputs=(label,),
            watched=(label,),
            checkpoint=out / f"checkpoint-{seed}.pt",
        )
        threshold = _best_threshold(
            np.array([post.is_yes(label) for post in validation]),
            predict(network, tokenizer, validation, run)[:, 0],
        )
        found = predict(network, tokenizer, test, run)[:, 0] >= threshold
        scores.append(round(float(f1_score(truth, found, average="macro")), 4))
    figures = {
        "label": label,
        "posts": {"train": len(train), "validation": len(validation), "test": len(test)},
        "macro_f1": scores,
        "mean": round(float(np.mean(scores)), 4),
        "deviation": round(float(np.std(scores, ddof=1)), 4) if runs > 1 else None,
        "linear_macro_f1": round(float(f1_score(truth, linear >= 0.5, average="macro")), 4),
        "settings": asdict(settings),
    }
    (out / "metrics.json").write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    return figures


def _halves(
    posts: Sequence[LabelledPost], answers: Sequence[bool], share: float
) -> tuple[list[LabelledPost], list[LabelledPost]]:
    big, small = train_test_split(
        range(len(posts)), test_size=share, stratify=answers, random_state=0
    )
    return [posts[n] for n in big], [posts[n] for n in small]


def _best_threshold(truth: np.ndarray, logits: np.ndarray) -> float:
    """The logit with the best macro-F1."""
    candidates = np.unique(logits)
    scores = [f1_score(truth, logits >= value, average="macro") for value in candidates]
    return float(candidates[int(np.argmax(scores))])

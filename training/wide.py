"""The wide part of a network: a linear model over tokens and pairs of neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer

from models.network import Network, Wide
from models.release import OUTPUTS
from screening.labelled import LabelledPost
from training.data import targets
from training.errors import TrainingError
from training.finetune import Hyperparameters, encode, mean_average_precision, predict

PAIR_BUCKETS = 2**17
PENALTY = 30.0
"""``C`` of scikit-learn: the inverse of the L2 penalty."""

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""How much of the wide part may be added to the encoder's logits; the best one is taken."""


def fit_wide(
    tokenizer: Tokenizer,
    posts: Sequence[LabelledPost],
    *,
    outputs: Sequence[str] = OUTPUTS,
    max_tokens: int = 256,
) -> Wide:
    """A logistic regression an output, over the tokens and hashed token pairs of ``posts``.

    Raises
    ------
    TrainingError
        The vocabulary is too large for the hash of pairs.
    """
    n_words = tokenizer.get_vocab_size()
    if n_words > Wide.MAX_WORDS:
        raise TrainingError(
            f"the wide part takes at most {Wide.MAX_WORDS} pieces, this vocabulary has {n_words}; "
            "give --pieces"
        )
    features = _features(tokenizer, posts, n_words, max_tokens)
    answers = targets(posts, outputs)
    weights = np.zeros((features.shape[1], len(outputs)), np.float32)
    bias = np.zeros(len(outputs), np.float32)
    for column in range(len(outputs)):
        known = ~np.isnan(answers[:, column])
        if len(np.unique(answers[known, column])) < 2:
            continue  # nothing to tell apart; calibration names the label
        model = LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=1000)
        model.fit(features[known], answers[known, column])
        weights[:, column], bias[column] = model.coef_[0], model.intercept_[0]
    return Wide(*map(torch.from_numpy, (weights[:n_words], weights[n_words:], bias)))


def widen(
    network: Network,
    wide: Wide,
    tokenizer: Tokenizer,
    validation: Sequence[LabelledPost],
    watched: Sequence[str],
    settings: Hyperparameters,
) -> float:
    """Put ``wide`` beside the encoder, weighted as is best on ``validation``; the weight.

    Best is the highest mean PR-AUC of the ``watched`` outputs.
    """
    network.wide = None
    deep = predict(network, tokenizer, validation, settings)
    network.wide = wide
    beside = predict(network, tokenizer, validation, settings) - deep
    expected = targets(validation, OUTPUTS)
    columns = [OUTPUTS.index(label) for label in watched]
    scores = [mean_average_precision(expected, deep + w * beside, columns) for w in WEIGHTS]
    weight = WEIGHTS[int(np.argmax(scores))]
    network.wide = wide.scaled(weight) if weight else None
    return weight


def _features(
    tokenizer: Tokenizer, posts: Sequence[LabelledPost], n_words: int, max_tokens: int
) -> csr_matrix:
    """Counts of tokens and token pairs, each row divided by the root of its total."""
    rows: list[npt.NDArray[Any]] = []
    columns: list[npt.NDArray[Any]] = []
    values: list[npt.NDArray[Any]] = []
    for number, post in enumerate(posts):
        ids = encode(tokenizer, [post.text], max_tokens, torch.device("cpu"))[0]
        pairs = Wide.pair_buckets(ids, PAIR_BUCKETS)[0].numpy() + n_words
        found = np.concatenate([ids[0].numpy(), pairs])
        rows.append(np.full(len(found), number))
        columns.append(found)
        values.append(np.full(len(found), len(found) ** -0.5))
    shape = (len(posts), n_words + PAIR_BUCKETS)
    where = (np.concatenate(rows), np.concatenate(columns))
    return csr_matrix((np.concatenate(values), where), shape=shape)

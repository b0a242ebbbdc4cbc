"""Where fine-tuning starts: standardised states, and a head that already reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer

from models.network import Network
from models.release import OUTPUTS
from screening.labelled import LabelledPost
from training.data import targets
from training.finetune import Hyperparameters, pool

HEAD_PENALTY = 0.01
"""``C`` of scikit-learn for the first head: the inverse of the L2 penalty."""


def start_head(
    network: Network,
    tokenizer: Tokenizer,
    posts: Sequence[LabelledPost],
    settings: Hyperparameters,
    *,
    outputs: Sequence[str] = OUTPUTS,
) -> None:
    """Make mean token states vary around 0 by 1, and fit the head on them, in place.

    States of a contrastive encoder share one large direction, so posts differ in a small part of
    them and a head learns slowly. Shift and scale go into the encoder's last norm: the network
    keeps its shape. A head fitted first spares the encoder the gradients of a random one (Kumar
    et al. 2022, "Fine-tuning can distort pretrained features").
    """
    pooled = pool(network, tokenizer, posts, settings)
    norm = _last_norm(network)
    mean = torch.from_numpy(pooled.mean(axis=0))
    deviation = torch.from_numpy(pooled.std(axis=0)).clamp(min=1e-6)
    with torch.no_grad():
        bias = torch.zeros_like(norm.weight) if norm.bias is None else norm.bias
        norm.weight.copy_(norm.weight / deviation)
        norm.bias = torch.nn.Parameter((bias - mean) / deviation)
    features = (pooled - mean.numpy()) / deviation.numpy()
    answers = targets(posts, outputs)
    for column in range(len(outputs)):
        known = ~np.isnan(answers[:, column])
        if len(np.unique(answers[known, column])) < 2:
            continue  # nothing to tell apart yet
        model = LogisticRegression(C=HEAD_PENALTY, class_weight="balanced", max_iter=300)
        model.fit(features[known], answers[known, column])
        with torch.no_grad():
            network.head.weight[column] = torch.from_numpy(model.coef_[0]).float()
            network.head.bias[column] = float(model.intercept_[0])


def _last_norm(network: Network) -> torch.nn.LayerNorm:
    return [m for m in network.encoder.modules() if isinstance(m, torch.nn.LayerNorm)][-1]

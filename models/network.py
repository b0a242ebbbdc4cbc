"""The network: an encoder, its mean over tokens, and one logit per output."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from transformers import BertConfig, BertModel, PreTrainedModel

HEAD_SIZE = 32
"""Channels per attention head of the encoders we ship (MiniLM and e5-small)."""


class Network(torch.nn.Module):
    """Encoder, mean pooling, linear head; logits of shape (n_posts, n_outputs)."""

    def __init__(self, encoder: PreTrainedModel, n_outputs: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(encoder.config.hidden_size, n_outputs)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states = self._states(input_ids, attention_mask)
        return cast(torch.Tensor, self.head(self.dropout(_mean(states, attention_mask))))

    def explained(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits, and each token's evidence of shape (n_posts, length, n_outputs): the logits are
        its mean over the tokens plus the head's constant."""
        states = self._states(input_ids, attention_mask)
        evidence = states @ self.head.weight.T
        return _mean(evidence, attention_mask) + self.head.bias, evidence

    def _states(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        answer = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        return cast(torch.Tensor, answer.last_hidden_state)


def shortened(network: Network, layers: int) -> Network:
    """A copy with ``layers`` of the encoder's layers, evenly spaced, the last one kept: where a
    student starts from (Sanh et al. 2019, "DistilBERT")."""
    student = copy.deepcopy(network)
    blocks = student.encoder.encoder.layer
    chosen = np.linspace(0, len(blocks) - 1, layers).round().astype(int)
    student.encoder.encoder.layer = torch.nn.ModuleList(blocks[int(n)] for n in chosen)
    student.encoder.config.num_hidden_layers = layers
    return student


def _mean(values: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """Mean over tokens, padding left out."""
    mask = attention_mask.unsqueeze(-1).to(values.dtype)
    return (values * mask).sum(1) / mask.sum(1)


def masked_loss(
    logits: torch.Tensor, targets: torch.Tensor, positive_weight: torch.Tensor
) -> torch.Tensor:
    """Binary cross-entropy over known answers; ``NaN`` in ``targets`` marks an unknown one."""
    known = ~targets.isnan()
    losses = torch.nn.functional.binary_cross_entropy_with_logits(
        logits.float(), targets.nan_to_num(0.0), pos_weight=positive_weight, reduction="none"
    )
    return (losses * known).sum() / known.sum().clamp(min=1)


def read_weights(model_path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The network's weights by name, out of a release's ONNX file (int8 weights multiplied out)."""
    import onnx
    from onnx import numpy_helper

    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(model_path).graph.initializer}
    weights = {name: array for name, array in stored.items() if array.dtype == np.float32}
    for name, codes in stored.items():
        if name.endswith(".int8"):
            base = name.removesuffix(".int8")
            scale = weights.pop(f"{base}.scale")
            is_rows = base.endswith("word_embeddings.weight")
            values = codes * (scale[:, None] if is_rows else scale)
            weights[base] = values if is_rows else values.T
    return weights


def read_network(model_path: Path, *, dropout: float = 0.1) -> Network:
    """The network a release's ONNX file was exported from, with its shipped (int8) weights."""
    weights = read_weights(model_path)
    hidden = weights["encoder.embeddings.LayerNorm.weight"].shape[0]
    positions = weights.pop("positions")
    head = weights.pop("head.weight.T")
    layers = {name.split(".")[3] for name in weights if ".layer." in name}
    config = BertConfig(
        vocab_size=weights["encoder.embeddings.word_embeddings.weight"].shape[0],
        hidden_size=hidden,
        num_hidden_layers=len(layers),
        num_attention_heads=hidden // HEAD_SIZE,
        intermediate_size=weights["encoder.encoder.layer.0.intermediate.dense.bias"].shape[0],
        max_position_embeddings=positions.shape[0],
        type_vocab_size=1,
    )
    network = Network(BertModel(config, add_pooling_layer=False), head.shape[1], dropout=dropout)
    state = {
        name: torch.from_numpy(array.copy())
        for name, array in weights.items()
        if name.startswith(("encoder.", "head."))
    }
    state["head.weight"] = torch.from_numpy(head.T.copy())
    state["encoder.embeddings.position_embeddings.weight"] = torch.from_numpy(positions.copy())
    state["encoder.embeddings.token_type_embeddings.weight"] = torch.zeros(1, hidden)
    network.load_state_dict(state)
    return network

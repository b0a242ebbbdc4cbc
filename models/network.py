"""The network: an encoder's mean over tokens, a linear model beside it, one logit per output."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from transformers import BertConfig, BertModel, PreTrainedModel

from models.errors import ReleaseError


class Wide(torch.nn.Module):
    """A linear model over tokens and hashed pairs of neighbours (Cheng et al. 2016, "Wide & deep
    learning"): it remembers phrases that an encoder of this size blurs.

    ``words`` has a row per piece of the vocabulary, ``pairs`` a row per bucket (a power of two).
    """

    MAX_WORDS = 2**16
    FACTORS = (12_289, 16_381)
    """Odd, and so small that two pieces hash below 2**31: OpenVINO counts in int32."""

    words: torch.Tensor
    pairs: torch.Tensor
    bias: torch.Tensor

    def __init__(self, words: torch.Tensor, pairs: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("words", words)
        self.register_buffer("pairs", pairs)
        self.register_buffer("bias", bias)

    @classmethod
    def pair_buckets(cls, input_ids: torch.Tensor, n_buckets: int) -> torch.Tensor:
        """The bucket of each token and the next: shape (n_posts, length - 1)."""
        first, second = cls.FACTORS
        return (input_ids[:, :-1] * first + input_ids[:, 1:] * second) & (n_buckets - 1)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Each token's evidence, its own and half of both its pairs': the mean over tokens is the
        linear model's logit without ``bias``. Counts are divided by the root of their total."""
        mask = attention_mask.unsqueeze(-1).to(self.words.dtype)
        pairs = self.pairs[self.pair_buckets(input_ids, len(self.pairs))] * mask[:, 1:] / 2
        before = torch.nn.functional.pad(pairs, (0, 0, 1, 0))
        after = torch.nn.functional.pad(pairs, (0, 0, 0, 1))
        count = mask.sum(1, keepdim=True)
        return (self.words[input_ids] + before + after) * count * (2 * count - 1).rsqrt()

    def scaled(self, weight: float) -> Wide:
        """The same, counting ``weight`` times as much."""
        return Wide(self.words * weight, self.pairs * weight, self.bias * weight)


class Network(torch.nn.Module):
    """Encoder, mean pooling, linear head, with or without a wide part beside it; logits of shape
    (n_posts, n_outputs)."""

    wide: Wide | None

    def __init__(self, encoder: PreTrainedModel, n_outputs: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.wide = None
        self.encoder = encoder
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(encoder.config.hidden_size, n_outputs)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        pooled = self.dropout(self.pooled(input_ids, attention_mask))
        # Posts differ by little of a mean's size: bfloat16 would round much of it away.
        with torch.autocast(pooled.device.type, enabled=False):
            logits = cast(torch.Tensor, self.head(pooled))
        if self.wide is None:
            return logits
        return logits + _mean(self.wide(input_ids, attention_mask), attention_mask) + self.wide.bias

    def pooled(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Mean of the token states in float32: shape (n_posts, hidden)."""
        return _mean(self._states(input_ids, attention_mask), attention_mask)

    def explained(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits, and each token's evidence of shape (n_posts, length, n_outputs): the logits are
        its mean over the tokens plus the head's constant."""
        states = self._states(input_ids, attention_mask)
        evidence = states @ self.head.weight.T
        constant: torch.Tensor = self.head.bias
        if self.wide is not None:
            evidence = evidence + self.wide(input_ids, attention_mask)
            constant = constant + self.wide.bias
        return _mean(evidence, attention_mask) + constant, evidence

    def blocks(self) -> torch.nn.ModuleList:
        """The encoder's layers, lowest first."""
        encoder = getattr(self.encoder, "encoder", self.encoder)
        return cast(torch.nn.ModuleList, getattr(encoder, "layer", None) or encoder.layers)

    def _states(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        answer = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        return cast(torch.Tensor, answer.last_hidden_state).float()


def shortened(network: Network, layers: int) -> Network:
    """A copy with ``layers`` of the encoder's layers, evenly spaced, the last one kept: where a
    student starts from (Sanh et al. 2019, "DistilBERT")."""
    student = copy.deepcopy(network)
    blocks = student.blocks()
    chosen = np.linspace(0, len(blocks) - 1, layers).round().astype(int)
    kept = [blocks[int(n)] for n in chosen]
    del blocks[:]
    blocks.extend(kept)
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
            is_rows = base.endswith("word_embeddings.weight") or base.startswith("wide.")
            values = codes * (scale[:, None] if is_rows else scale)
            weights[base] = values if is_rows else values.T
    return weights


def read_heads(model_path: Path) -> int:
    """Attention heads per layer of a release's ONNX file."""
    import onnx
    from onnx import numpy_helper

    stored = onnx.load(model_path).graph.initializer
    return int(next(numpy_helper.to_array(t)[2] for t in stored if t.name == "split"))


def read_network(model_path: Path, *, dropout: float = 0.1) -> Network:
    """The network a release's ONNX file was exported from, with its shipped (int8) weights.

    Raises
    ------
    ReleaseError
        The encoder is not of the BERT family, so that its file was traced, not written out.
    """
    weights = read_weights(model_path)
    if "positions" not in weights:
        raise ReleaseError(
            f"{model_path}: torch reads releases of BERT-like encoders only; "
            "use the openvino or onnxruntime engine, and train anew from the base"
        )
    hidden = weights["encoder.embeddings.LayerNorm.weight"].shape[0]
    positions = weights.pop("positions")
    head = weights.pop("head.weight.T")
    layers = {name.split(".")[3] for name in weights if ".layer." in name}
    config = BertConfig(
        vocab_size=weights["encoder.embeddings.word_embeddings.weight"].shape[0],
        hidden_size=hidden,
        num_hidden_layers=len(layers),
        num_attention_heads=read_heads(model_path),
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
    if "wide.words" in weights:
        tables = (weights[f"wide.{part}"].copy() for part in ("words", "pairs", "bias"))
        network.wide = Wide(*map(torch.from_numpy, tables))
    return network

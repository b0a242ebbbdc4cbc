"""torch on the release's weights: bfloat16 on CUDA, float32 on a CPU. Needs the ``train`` extra."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from models.engines import Answer
from models.network import read_network
from models.tokens import TokenBatch


class TorchEngine:
    """The same network, rebuilt from the ONNX file's own weights."""

    name = "torch"
    parallel = 1

    def __init__(self, model_path: Path) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = torch.bfloat16 if self._device.type == "cuda" else torch.float32
        self.precision = "bf16" if self._dtype == torch.bfloat16 else "f32"
        self.batch_tokens = 32_768 if self._device.type == "cuda" else 512
        self._network = read_network(model_path).to(self._device, self._dtype).eval()

    @torch.inference_mode()
    def run(self, batches: Sequence[TokenBatch]) -> Iterator[tuple[TokenBatch, Answer]]:
        """Batch after batch."""
        for batch in batches:
            ids = torch.from_numpy(batch.input_ids).to(self._device)
            mask = torch.from_numpy(batch.attention_mask).to(self._device)
            logits, evidence = self._network.explained(ids, mask)
            yield batch, Answer(logits.float().cpu().numpy(), evidence.float().cpu().numpy())

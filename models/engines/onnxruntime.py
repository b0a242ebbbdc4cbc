"""ONNX Runtime on the release's ONNX file: the fallback where OpenVINO is not installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import onnxruntime

from models.engines import Answer, cpu_count
from models.errors import EngineError
from models.tokens import TokenBatch


class OnnxRuntimeEngine:
    """float32, one batch after the other on all cores."""

    name = "onnxruntime"
    precision = "f32"
    batch_tokens = 512
    parallel = 1

    def __init__(self, model_path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cpu_count()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(model_path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors share no public base class
            raise EngineError(f"{model_path}: ONNX Runtime cannot run it ({error})") from error

    def run(self, batches: Sequence[TokenBatch]) -> Iterator[tuple[TokenBatch, Answer]]:
        """Batch after batch."""
        for batch in batches:
            feeds = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
            yield batch, Answer(*self._session.run(["logits", "evidence"], feeds))

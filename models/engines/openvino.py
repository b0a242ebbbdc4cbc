"""OpenVINO on the release's ONNX file: the default, and the fastest on a CPU."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

# OpenVINO tells its maker's statistics of every import, unless this package of it is not there.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402

from models.engines import Answer, cpu_count  # noqa: E402
from models.errors import EngineError  # noqa: E402
from models.tokens import TokenBatch  # noqa: E402

QUANTISATION_GROUP = 128
"""Activations share one int8 scale per token and 128 channels, so a text's scores do not depend
on the texts beside it."""


Precision = Literal["bf16", "int8"]


class OpenVINOEngine:
    """One stream per core, so that small operators never wait for the other cores.

    bfloat16 where the CPU multiplies tiles (AMX); otherwise int8 with activations quantised on
    the fly where it has VNNI, else float32. OpenVINO falls back by itself within a setting.
    """

    name = "openvino"

    def __init__(self, model_path: Path, *, precision: Precision | None = None) -> None:
        self.precision: str = precision or ("bf16" if has_amx() else "int8")
        self.parallel = cpu_count()
        self.batch_tokens = 2048 if self.precision == "bf16" else 1024
        core = openvino.Core()
        try:
            model = core.read_model(model_path)
            if self.precision == "bf16":
                fold_weights(model)
            self._queue = openvino.AsyncInferQueue(
                core.compile_model(model, "CPU", self._settings())
            )
        except RuntimeError as error:
            raise EngineError(f"{model_path}: OpenVINO cannot run it ({error})") from error

    def _settings(self) -> dict[str, Any]:
        threads = cpu_count()
        settings: dict[str, Any] = {"NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads}
        if self.precision == "bf16":
            return {**settings, "INFERENCE_PRECISION_HINT": "bf16"}
        return {
            **settings,
            "INFERENCE_PRECISION_HINT": "f32",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": QUANTISATION_GROUP,
        }

    def run(self, batches: Sequence[TokenBatch]) -> Iterator[tuple[TokenBatch, Answer]]:
        """All batches, on all streams at once."""
        answers: list[Answer | None] = [None] * len(batches)

        def keep(request: openvino.InferRequest, number: int) -> None:
            logits, evidence = (request.get_output_tensor(index).data.copy() for index in (0, 1))
            answers[number] = Answer(logits, evidence)

        self._queue.set_callback(keep)
        for number, batch in enumerate(batches):
            self._queue.start_async(
                {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}, number
            )
        self._queue.wait_all()
        for batch, answer in zip(batches, answers, strict=True):
            if answer is None:
                raise EngineError("OpenVINO returned no answer for a batch; run the command again")
            yield batch, answer


def has_amx() -> bool:
    """Whether the CPU multiplies bfloat16 tiles; ``False`` where the system does not say."""
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def fold_weights(model: openvino.Model) -> None:
    """Replace int8 weights by their float32 values: bfloat16 kernels want plain constants."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Multiply":
            continue
        convert, scale = (node.input_value(index).get_node() for index in (0, 1))
        if convert.get_type_name() != "Convert" or scale.get_type_name() != "Reshape":
            continue
        codes, scales = (part.input_value(0).get_node() for part in (convert, scale))
        if codes.get_type_name() == scales.get_type_name() == "Constant":
            shape = list(scale.get_output_shape(0))
            values = codes.get_data().astype(np.float32) * scales.get_data().reshape(shape)
            node.output(0).replace(openvino.opset13.constant(values).output(0))

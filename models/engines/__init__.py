"""Engines: the same ONNX file run by OpenVINO, ONNX Runtime or torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from models.errors import EngineError
from models.tokens import TokenBatch

# OpenVINO tells its maker's statistics of every import, unless this package of it is not there.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

EngineName = Literal["auto", "openvino", "onnxruntime", "torch"]


@dataclass(frozen=True, slots=True)
class Answer:
    """``logits`` (n, n_outputs); ``evidence`` (n, length, n_outputs), each token's share."""

    logits: npt.NDArray[np.float32]
    evidence: npt.NDArray[np.float32]


class Engine(Protocol):
    """Token batches to logits."""

    name: str
    batch_tokens: int
    """Tokens a batch should hold, padding included, for this engine's best throughput."""

    parallel: int
    """Batches computed at once."""

    precision: str
    """``bf16``, ``int8`` or ``f32``."""

    def run(self, batches: Sequence[TokenBatch]) -> Iterator[tuple[TokenBatch, Answer]]:
        """Each batch, in any order, with its answer."""


def cpu_count() -> int:
    """CPUs this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def load_engine(model_path: Path, name: EngineName = "auto") -> Engine:
    """The engine asked for; ``auto`` takes OpenVINO, or ONNX Runtime where it is not installed.

    Raises
    ------
    EngineError
        The engine's package is not installed.
    """
    if name == "auto":
        name = "openvino" if find_spec("openvino") else "onnxruntime"
    package = {"openvino": "openvino", "onnxruntime": "onnxruntime", "torch": "torch"}[name]
    if find_spec(package) is None:
        raise EngineError(f"engine '{name}' needs the package '{package}'; pip install {package}")
    if name == "openvino":
        from models.engines.openvino import OpenVINOEngine

        return OpenVINOEngine(model_path)
    if name == "onnxruntime":
        from models.engines.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(model_path)
    from models.engines.torch import TorchEngine

    return TorchEngine(model_path)

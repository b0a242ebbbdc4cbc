"""Write a trained network as ONNX: standard operators only, weights int8 per output channel.

The graph is written out by hand so that every engine sees the shapes it fuses best, and so that
the file is a quarter of float32: each weight matrix is stored as int8 with one scale per output
channel behind ``DequantizeLinear`` (ONNX opset 20).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.network import Network
from training.errors import TrainingError

OPSET = 20
Array = npt.NDArray[np.float32]


def export_onnx(network: Network, path: Path) -> None:
    """Inputs ``input_ids`` and ``attention_mask`` (n, length) int64; outputs ``logits``
    (n, outputs) and ``evidence`` (n, length, outputs), each token's part of them.

    Raises
    ------
    TrainingError
        The encoder is not of the BERT family (post-norm, learned positions, GELU).
    """
    config = network.encoder.config
    if config.model_type != "bert" or config.hidden_act != "gelu":
        raise TrainingError(
            f"cannot export a '{config.model_type}' encoder; BERT encoders with GELU are supported"
        )
    graph = _Graph(
        {name: value.detach().float().cpu().numpy() for name, value in network.state_dict().items()}
    )
    logits = _network(
        graph, config.num_hidden_layers, config.num_attention_heads, config.layer_norm_eps
    )
    onnx.save(graph.model(logits, len(network.head.bias)), path)


class _Graph:
    """Collects nodes and constants; every method returns the name of a value."""

    def __init__(self, state: dict[str, Array]) -> None:
        self.state = state
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        if name not in self.constants:
            array = np.ascontiguousarray(np.asarray(value, dtype))
            self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def node(self, operator: str, inputs: list[str], name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def weight(self, name: str, *, axis: int) -> str:
        """An int8 matrix with one float32 scale per index of ``axis``."""
        values = self.state[name] if axis == 0 else self.state[name].T
        scale = np.abs(values).max(axis=1 - axis) / 127.0 + 1e-12
        codes = np.round(values / (scale[:, None] if axis == 0 else scale))
        self.constant(f"{name}.int8", codes, np.int8)
        self.constant(f"{name}.scale", scale)
        return self.node("DequantizeLinear", [f"{name}.int8", f"{name}.scale"], name, axis=axis)

    def linear(self, value: str, name: str) -> str:
        product = self.node(
            "MatMul", [value, self.weight(f"{name}.weight", axis=1)], f"{name}.product"
        )
        bias = self.constant(f"{name}.bias", self.state[f"{name}.bias"])
        return self.node("Add", [product, bias], f"{name}.out")

    def layer_norm(self, value: str, name: str, epsilon: float) -> str:
        scale = self.constant(f"{name}.weight", self.state[f"{name}.weight"])
        bias = self.constant(f"{name}.bias", self.state[f"{name}.bias"])
        return self.node(
            "LayerNormalization", [value, scale, bias], f"{name}.out", axis=-1, epsilon=epsilon
        )

    def model(self, output: str, n_outputs: int) -> onnx.ModelProto:
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "length"])
            for name in ("input_ids", "attention_mask")
        ]
        outputs = [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", n_outputs]),
            helper.make_tensor_value_info(
                "evidence", TensorProto.FLOAT, ["n", "length", n_outputs]
            ),
        ]
        graph = helper.make_graph(
            self.nodes, "penapisan", inputs, outputs, list(self.constants.values())
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 9
        onnx.checker.check_model(model)
        return model


def _network(graph: _Graph, layers: int, heads: int, epsilon: float) -> str:
    mask = graph.node("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
    bias = _attention_bias(graph, mask)
    states = _embeddings(graph, epsilon)
    for layer in range(layers):
        states = _layer(graph, f"encoder.encoder.layer.{layer}", states, bias, heads, epsilon)
    return _head(graph, states, mask)


def _embeddings(graph: _Graph, epsilon: float) -> str:
    name = "encoder.embeddings"
    words = graph.node(
        "Gather", [graph.weight(f"{name}.word_embeddings.weight", axis=0), "input_ids"], "words"
    )
    # Every token is of type 0, so its type embedding is part of the position's.
    types = graph.state[f"{name}.token_type_embeddings.weight"][0]
    graph.constant("positions", graph.state[f"{name}.position_embeddings.weight"] + types)
    length = graph.node("Shape", ["input_ids"], "length", start=1, end=2)
    zero = graph.constant("zero", [0], np.int64)
    used = graph.node("Slice", ["positions", zero, length, zero], "positions.used")
    return graph.layer_norm(
        graph.node("Add", [words, used], "embedded"), f"{name}.LayerNorm", epsilon
    )


def _attention_bias(graph: _Graph, mask: str) -> str:
    """0 where a token is, a large negative number where padding is: shape (n, 1, 1, length)."""
    graph.constant("one", 1.0)
    padding = graph.node("Sub", ["one", mask], "padding")
    bias = graph.node("Mul", [padding, graph.constant("minus_infinity", -1e4)], "bias.flat")
    return graph.node("Unsqueeze", [bias, graph.constant("axes12", [1, 2], np.int64)], "bias")


def _layer(graph: _Graph, name: str, states: str, bias: str, heads: int, epsilon: float) -> str:
    mixed = graph.linear(
        _attention(graph, f"{name}.attention.self", states, bias, heads),
        f"{name}.attention.output.dense",
    )
    residual = graph.node("Add", [mixed, states], f"{name}.attention.residual")
    states = graph.layer_norm(residual, f"{name}.attention.output.LayerNorm", epsilon)
    wide = graph.linear(states, f"{name}.intermediate.dense")
    narrow = graph.linear(graph.node("Gelu", [wide], f"{name}.gelu"), f"{name}.output.dense")
    residual = graph.node("Add", [narrow, states], f"{name}.residual")
    return graph.layer_norm(residual, f"{name}.output.LayerNorm", epsilon)


def _attention(graph: _Graph, name: str, states: str, bias: str, heads: int) -> str:
    hidden = graph.state[f"{name}.query.bias"].shape[0]
    split = graph.constant("split", [0, 0, heads, hidden // heads], np.int64)

    def part(kind: str, order: list[int]) -> str:
        projected = graph.linear(states, f"{name}.{kind}")
        return graph.node(
            "Transpose",
            [graph.node("Reshape", [projected, split], f"{name}.{kind}.split")],
            f"{name}.{kind}.heads",
            perm=order,
        )

    query, key, value = (
        part("query", [0, 2, 1, 3]),
        part("key", [0, 2, 3, 1]),
        part("value", [0, 2, 1, 3]),
    )
    graph.constant("root", (hidden // heads) ** -0.5)
    product = graph.node("MatMul", [query, key], f"{name}.scores")
    scaled = graph.node("Mul", [product, "root"], f"{name}.scaled")
    masked = graph.node("Add", [scaled, bias], f"{name}.masked")
    weights = graph.node("Softmax", [masked], f"{name}.weights", axis=-1)
    mixed = graph.node("MatMul", [weights, value], f"{name}.mixed")
    ordered = graph.node("Transpose", [mixed], f"{name}.ordered", perm=[0, 2, 1, 3])
    merge = graph.constant("merge", [0, 0, hidden], np.int64)
    return graph.node("Reshape", [ordered, merge], f"{name}.merged")


def _head(graph: _Graph, states: str, mask: str) -> str:
    """Each token's evidence is its part of every logit; a logit is its mean, plus a constant."""
    weight = graph.constant("head.weight.T", graph.state["head.weight"].T)
    evidence = graph.node("MatMul", [states, weight], "evidence")
    axis1 = graph.constant("axis1", [1], np.int64)
    tall = graph.node("Unsqueeze", [mask, graph.constant("axis2", [2], np.int64)], "mask.tall")
    kept = graph.node("Mul", [evidence, tall], "evidence.kept")
    total = graph.node("ReduceSum", [kept, axis1], "total", keepdims=0)
    count = graph.node("ReduceSum", [mask, axis1], "count", keepdims=1)
    mean = graph.node("Div", [total, count], "mean")
    return graph.node(
        "Add", [mean, graph.constant("head.bias", graph.state["head.bias"])], "logits"
    )

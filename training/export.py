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
import torch
from onnx import TensorProto, helper, numpy_helper

from models.network import Network, Wide

OPSET = 20

POSITION_OFFSETS = {"bert": 0, "roberta": 2, "xlm-roberta": 2}
"""Rows of the position table before the first token's: RoBERTa keeps two for padding."""

Array = npt.NDArray[np.float32]


def export_onnx(network: Network, path: Path) -> None:
    """Inputs ``input_ids`` and ``attention_mask`` (n, length) int64; outputs ``logits``
    (n, outputs) and ``evidence`` (n, length, outputs), each token's part of them.

    Encoders of the BERT family (post-norm, learned positions, GELU: BERT, RoBERTa, XLM-R) are
    written out as above; any other, such as ModernBERT, is traced by torch and stays float32.
    """
    config = network.encoder.config
    if config.model_type not in POSITION_OFFSETS or config.hidden_act != "gelu":
        _trace(network, path)
        return
    graph = _Graph(
        {name: value.detach().float().cpu().numpy() for name, value in network.state_dict().items()}
    )
    _positions(graph, POSITION_OFFSETS[config.model_type])
    logits = _network(
        graph, config.num_hidden_layers, config.num_attention_heads, config.layer_norm_eps
    )
    onnx.save(graph.model(logits, len(network.head.bias)), path)


def _trace(network: Network, path: Path) -> None:
    class Explained(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network.cpu().float()

        def forward(
            self, input_ids: torch.Tensor, attention_mask: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            return self.network.explained(input_ids, attention_mask)

    ids = torch.ones((2, 8), dtype=torch.int64)
    named = {0: torch.export.Dim("n"), 1: torch.export.Dim("length")}
    same = {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}
    torch.onnx.export(
        Explained().eval(),
        (ids, ids.clone()),
        path,
        input_names=["input_ids", "attention_mask"],
        output_names=["logits", "evidence"],
        dynamic_shapes=(named, same),
        opset_version=OPSET,
        external_data=False,
        dynamo=True,
        verbose=False,
    )


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
    length = graph.node("Shape", ["input_ids"], "length", start=1, end=2)
    zero = graph.constant("zero", [0], np.int64)
    used = graph.node("Slice", ["positions", zero, length, zero], "positions.used")
    return graph.layer_norm(
        graph.node("Add", [words, used], "embedded"), f"{name}.LayerNorm", epsilon
    )


def _positions(graph: _Graph, offset: int) -> None:
    """Every token is of type 0, so its type embedding is part of the position's."""
    name = "encoder.embeddings"
    types = graph.state[f"{name}.token_type_embeddings.weight"][0]
    learned = graph.state[f"{name}.position_embeddings.weight"][offset:]
    graph.constant("positions", learned + types)


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
    axis1 = graph.constant("axis1", [1], np.int64)
    tall = graph.node("Unsqueeze", [mask, graph.constant("axis2", [2], np.int64)], "mask.tall")
    count = graph.node("ReduceSum", [mask, axis1], "count", keepdims=1)
    constant = graph.constant("head.bias", graph.state["head.bias"])
    if "wide.words" in graph.state:
        deep = graph.node("MatMul", [states, weight], "evidence.deep")
        evidence = graph.node("Add", [deep, _wide(graph, tall, count)], "evidence")
        bias = graph.constant("wide.bias", graph.state["wide.bias"])
        constant = graph.node("Add", [constant, bias], "constant")
    else:
        evidence = graph.node("MatMul", [states, weight], "evidence")
    kept = graph.node("Mul", [evidence, tall], "evidence.kept")
    total = graph.node("ReduceSum", [kept, axis1], "total", keepdims=0)
    mean = graph.node("Div", [total, count], "mean")
    return graph.node("Add", [mean, constant], "logits")


def _wide(graph: _Graph, mask: str, count: str) -> str:
    """``models.network.Wide`` as operators: shape (n, length, outputs)."""
    zero, one, two = (graph.constant(f"at.{n}", [n], np.int64) for n in (0, 1, 2))
    last, end = (
        graph.constant("at.-1", [-1], np.int64),
        graph.constant("end", [2**31 - 1], np.int64),
    )
    hashes = []
    for name, begin, stop, factor in zip(
        ("first", "second"), (zero, one), (last, end), Wide.FACTORS, strict=True
    ):
        ids = graph.node("Slice", ["input_ids", begin, stop, one], f"pair.{name}")
        times = graph.constant(f"pair.{name}.factor", factor, np.int64)
        hashes.append(graph.node("Mul", [ids, times], f"pair.{name}.hash"))
    whole = graph.node("Add", hashes, "pair.hash")
    low = graph.constant("pair.low_bits", len(graph.state["wide.pairs"]) - 1, np.int64)
    buckets = graph.node("BitwiseAnd", [whole, low], "pair.buckets")
    pairs = graph.node("Gather", [graph.weight("wide.pairs", axis=0), buckets], "pairs.whole")
    seen = graph.node("Slice", [mask, one, end, one], "pairs.mask")
    half = graph.node("Mul", [seen, graph.constant("half", 0.5)], "pairs.mask.half")
    pairs = graph.node("Mul", [pairs, half], "pairs")
    evidence = graph.node("Gather", [graph.weight("wide.words", axis=0), "input_ids"], "wide.own")
    for name, sides in (("before", [0, 1, 0, 0, 0, 0]), ("after", [0, 0, 0, 0, 1, 0])):
        pads = graph.constant(f"pads.{name}", sides, np.int64)
        moved = graph.node("Pad", [pairs, pads], f"pairs.{name}")
        evidence = graph.node("Add", [evidence, moved], f"wide.{name}")
    doubled = graph.node("Mul", [count, graph.constant("twice", 2.0)], "count.doubled")
    total = graph.node("Sub", [doubled, "one"], "features")
    scale = graph.node("Div", [count, graph.node("Sqrt", [total], "features.root")], "wide.scale")
    tall = graph.node("Unsqueeze", [scale, two], "wide.scale.tall")
    return graph.node("Mul", [evidence, tall], "wide.evidence")

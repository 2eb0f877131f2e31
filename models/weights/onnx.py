"""Our networks as ONNX graphs, for other programs."""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minitensor import nn
from minitensor.backend import to_numpy

from ..networks.build import Network
from ..networks.layers import Shape

OPSET = 13          # read by runtimes since 2020; nothing here needs a newer one
IR_VERSION = 8


def write_onnx(path: Path, network: Network, header: dict[str, Any]) -> None:
    """The network in evaluation mode: image (N, 3, H, W) -> logits (N, K), any N; the header's entries as the file's metadata."""
    import onnx
    from onnx import TensorProto, helper
    size, classes = network.config["image_size"], network.config["num_classes"]
    graph = _Graph()
    output = graph.network(network, "image", (3, size, size))
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, size, size])]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", classes])]
    model = helper.make_model(helper.make_graph(graph.nodes, network.name, inputs, outputs, graph.constants), producer_name="minitensor",
                              opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    helper.set_model_props(model, {key: json.dumps(header[key]) for key in ("network", "config", "classes", "preprocessing")})
    onnx.checker.check_model(model)
    onnx.save(model, path)


class _Graph:
    """Nodes and constants, added one by one; every method that adds a layer returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def network(self, network: Network, x: str, shape: Shape) -> str:
        layers = [(name, layer) for name, layer in network.named_children() if not isinstance(layer, nn.Dropout)]
        for name, layer in layers:
            add = next(add for kind, add in self.LAYERS.items() if isinstance(layer, kind))
            x, shape = add(self, x, shape, name, layer)
            if getattr(layer, "activation", None):
                x = self.node(ACTIVATIONS[layer.activation], [x], f"{name}.{layer.activation}")      # type: ignore[attr-defined]
        return self.node("Identity", [x], "logits")

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, array: Any) -> str:
        from onnx import numpy_helper
        self.constants.append(numpy_helper.from_array(_dense(np.asarray(array, np.float32)), name))
        return name

    # ---- layers: (input's name, its shape (C, H, W), name, layer) -> (output's name, shape) ------------------------------------------

    def conv(self, x: str, shape: Shape, name: str, layer: Any) -> tuple[str, Shape]:
        w, b = (self.constant(f"{name}.{kind}", to_numpy(p.data)) for kind, p in (("weight", layer.weight), ("bias", layer.bias)))
        F, _, KH, KW = layer.weight.shape
        sides = [(side + 2 * p - k) // s + 1 for side, k, s, p in zip(shape[1:], (KH, KW), layer.stride, layer.padding)]
        y = self.node("Conv", [x, w, b], name, kernel_shape=[KH, KW], strides=layer.stride, pads=[*layer.padding] * 2, group=layer.groups)
        return y, (F, *sides)

    def full(self, x: str, shape: Shape, name: str, layer: Any) -> tuple[str, Shape]:
        w, b = (self.constant(f"{name}.{kind}", to_numpy(p.data)) for kind, p in (("weight", layer.weight), ("bias", layer.bias)))
        return self.node("Gemm", [x, w, b], name, transB=1), (layer.weight.shape[0],)

    def pool(self, x: str, shape: Shape, name: str, layer: Any) -> tuple[str, Shape]:
        """What hangs over the edge is written as padding, which every runtime reads alike; averages leave it out."""
        k, s = layer.kernel_size, layer.stride
        sides = [(side - k + (s - 1) * layer.ceil_mode) // s + 1 for side in shape[1:]]
        over = [max(0, (out - 1) * s + k - side) for out, side in zip(sides, shape[1:])]
        operator = "MaxPool" if isinstance(layer, nn.MaxPool2d) else "AveragePool"
        return self.node(operator, [x], name, kernel_shape=[k, k], strides=[s, s], pads=[0, 0, *over]), (shape[0], *sides)

    def average_to(self, x: str, shape: Shape, name: str, layer: Any) -> tuple[str, Shape]:
        """Means of rows, then of columns, each a product with a matrix; nothing to do where the size is right."""
        side = layer.output_size
        if shape[1:] == (side, side):
            return x, shape
        rows, columns = (self.constant(f"{name}.{axis}", _means(length, side)) for axis, length in zip(("rows", "columns"), shape[1:]))
        transposed = self.node("Transpose", [columns], f"{name}.columns.transposed", perm=[1, 0])
        means = self.node("MatMul", [rows, x], f"{name}.of_rows")
        return self.node("MatMul", [means, transposed], name), (shape[0], side, side)

    def norm(self, x: str, shape: Shape, name: str, layer: Any) -> tuple[str, Shape]:
        """ONNX normalises across channels; within a channel the squares are averaged by a pool that counts its padding as zeros."""
        if layer.norm_region == "across_channels":
            return self.node("LRN", [x], name, size=layer.size, alpha=layer.alpha, beta=layer.beta, bias=layer.k), shape
        before, after = layer.size // 2, (layer.size - 1) // 2
        squares = self.node("Mul", [x, x], f"{name}.squares")
        means = self.node("AveragePool", [squares], f"{name}.means", kernel_shape=[layer.size] * 2, strides=[1, 1],
                          pads=[before, before, after, after], count_include_pad=1)
        scaled = self.node("Mul", [means, self.constant(f"{name}.alpha", layer.alpha)], f"{name}.scaled")
        above = self.node("Add", [scaled, self.constant(f"{name}.k", layer.k)], f"{name}.above")
        power = self.node("Pow", [above, self.constant(f"{name}.beta", layer.beta)], f"{name}.power")
        return self.node("Div", [x, power], name), shape

    def flatten(self, x: str, shape: Shape, name: str, layer: Any) -> tuple[str, Shape]:
        return self.node("Flatten", [x], name), (int(np.prod(shape)),)

    LAYERS: dict[Any, Any] = {nn.Conv2d: conv, nn.Linear: full, (nn.MaxPool2d, nn.AvgPool2d): pool, nn.AdaptiveAvgPool2d: average_to,
                              nn.LocalResponseNorm: norm, nn.Flatten: flatten}


ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh"}


def _means(length: int, windows: int) -> np.ndarray:
    """(windows, length): each row the mean over one of the nearly equal windows of AdaptiveAvgPool2d."""
    matrix = np.zeros((windows, length), np.float32)
    for row, (start, stop) in enumerate(_bounds(length, windows)):
        matrix[row, start:stop] = 1 / (stop - start)
    return matrix


def _bounds(length: int, windows: int) -> Iterator[tuple[int, int]]:
    return ((i * length // windows, -(-(i + 1) * length // windows)) for i in range(windows))


def _dense(array: Any) -> np.ndarray:
    return np.asarray(to_numpy(array), order="C")

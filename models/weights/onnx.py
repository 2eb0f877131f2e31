"""Our networks as ONNX graphs, for other programs."""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minitensor import nn
from minitensor.backend import to_numpy
from minitensor.kernels.geometry import adaptive_bounds, reach

from ..networks.build import Network
from ..networks.heads import AuxiliaryHead
from ..networks.layers import Shape, Table, ZeroChannels
from ..networks.tables import Place

OPSET = 13          # read by runtimes since 2020; nothing here needs a newer one
IR_VERSION = 8
IMAGE, LOGITS = "image", "logits"       # the graph's input and output


def write_onnx(path: Path, network: Network, metadata: dict[str, Any]) -> None:
    """The network in evaluation mode: image (N, 3, H, W) -> logits (N, K), any N.

    The metadata's entries become the file's. Raises ValueError for what ONNX cannot say.
    """
    import onnx
    from onnx import TensorProto, helper
    graph = Graph()
    y = graph.chain(network.table, network, IMAGE, network.input_shape)
    graph.nodes.append(helper.make_node("Identity", [y], [LOGITS], name=LOGITS))
    N, classes = "N", network.config["num_classes"]
    inputs = [helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, [N, *network.input_shape])]
    outputs = [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [N, classes])]
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [N, *shape])
              for name, shape in graph.shapes.items()]
    model = helper.make_model(
        helper.make_graph(graph.nodes, network.name, inputs, outputs, graph.constants,
                          value_info=shapes),
        producer_name="minitensor", opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION)
    keys = ("network", "config", "classes", "preprocessing")
    helper.set_model_props(model, {key: json.dumps(metadata[key]) for key in keys})
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ValueError(f"it is no valid ONNX: {str(error).splitlines()[0]}") from error
    onnx.save(model, path)


class Graph:
    """Nodes and constants, added one by one; what adds something returns its output's name.

    shapes: what the layers give for one image, by the names of their outputs.
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.shapes: dict[str, Shape] = {}

    def chain(self, table: Table, module: nn.Module, x: str, shape: Shape,
              prefix: str = "") -> str:
        """A table's layers one after the other; module holds theirs, shape is that of x."""
        children = dict(module.named_children())
        for name, layer in table.items():
            place = Place(prefix + name, layer, shape, layer.output(shape))
            child, shape = children[name], place.output
            x = self._layer(x, place, child)
        return x

    def _layer(self, x: str, place: Place, module: nn.Module) -> str:
        write = next((write for kind, write in WRITERS.items() if isinstance(module, kind)), None)
        if write is None:
            raise ValueError(f"{place.name} is a {type(module).__name__}, "
                             "for which there is no ONNX here")
        outputs = [write(self, x, place, module)]
        if activation := getattr(module, "activation", None):
            outputs.append(self.node(ACTIVATIONS[activation], outputs,
                                     f"{place.name}.{activation}"))
        self.shapes |= {y: place.output for y in outputs if y != IMAGE}
        return outputs[-1]

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper
        if output in (IMAGE, LOGITS):           # a layer called as the graph's own
            output += ".output"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, array: Any) -> str:
        from onnx import numpy_helper
        dense = np.asarray(array, np.float32, order="C")
        self.constants.append(numpy_helper.from_array(dense, name))
        return name

    def parameters(self, place: Place, module: nn.Module) -> list[str]:
        """Weight, and bias if there is one."""
        return [self.constant(f"{place.name}.{name}", to_numpy(p.data))
                for name, p in module.named_parameters()]


# ---- layers, without their activation: (graph, input's name, place, module) -> output's name -----

def _conv(graph: Graph, x: str, place: Place, module: Any) -> str:
    return graph.node("Conv", [x, *graph.parameters(place, module)], place.name,
                      kernel_shape=module.weight.shape[2:], strides=module.stride,
                      pads=[*module.padding] * 2, dilations=module.dilation, group=module.groups)


def _batch_norm(graph: Graph, x: str, place: Place, module: Any) -> str:
    statistics = [graph.constant(f"{place.name}.{name}", to_numpy(getattr(module, name).data))
                  for name in ("running_mean", "running_var")]
    return graph.node("BatchNormalization", [x, *graph.parameters(place, module), *statistics],
                      place.name, epsilon=module.eps)


def _linear(graph: Graph, x: str, place: Place, module: Any) -> str:
    return graph.node("Gemm", [x, *graph.parameters(place, module)], place.name, transB=1)


def _pool(graph: Graph, x: str, place: Place, module: Any) -> str:
    """What hangs over the edge is written as padding, which every runtime reads alike.

    Averages leave it out; their own padding counts.
    """
    k, s, p = module.kernel_size, module.stride, module.padding
    hanging = [max(0, reach(out, k, s) - side - p)
               for out, side in zip(place.output[1:], place.input[1:])]
    pads = [p, p, *(max(p, more) for more in hanging)]
    shape = {"kernel_shape": [k, k], "strides": [s, s], "pads": pads}
    if isinstance(module, nn.MaxPool2d):
        return graph.node("MaxPool", [x], place.name, **shape)
    if p and pads[2:] != [p, p]:
        raise ValueError(f"{place.name} is an average whose padding counts and whose last window "
                         "hangs over it, for which there is no ONNX here")
    return graph.node("AveragePool", [x], place.name, **shape, count_include_pad=int(p > 0))


def _adaptive_average(graph: Graph, x: str, place: Place, module: Any) -> str:
    """Means of rows, then of columns, each a product with a matrix; less where less will do."""
    if place.input == place.output:
        return x
    if place.output[1:] == (1, 1):
        return graph.node("GlobalAveragePool", [x], place.name)
    rows, columns = (graph.constant(f"{place.name}.{axis}", _means(side, out))
                     for axis, side, out in zip(("rows", "columns"), place.input[1:],
                                                place.output[1:]))
    transposed = graph.node("Transpose", [columns], f"{place.name}.columns.transposed",
                            perm=[1, 0])
    means = graph.node("MatMul", [rows, x], f"{place.name}.of_rows")
    return graph.node("MatMul", [means, transposed], place.name)


def _means(side: int, out: int) -> np.ndarray:
    """(out, side): each row the mean over one of the windows of AdaptiveAvgPool2d."""
    matrix = np.zeros((out, side), np.float32)
    for row, window in enumerate(adaptive_bounds(side, out)):
        matrix[row, window] = 1 / (window.stop - window.start)
    return matrix


def _lrn(graph: Graph, x: str, place: Place, module: Any) -> str:
    """ONNX normalises across channels.

    Within a channel the squares are averaged by a pool that counts its padding as zeros.
    """
    size, name = module.size, place.name
    if module.norm_region == "across_channels":
        return graph.node("LRN", [x], name, size=size, alpha=module.alpha, beta=module.beta,
                          bias=module.k)
    before, after = size // 2, (size - 1) // 2
    squares = graph.node("Mul", [x, x], f"{name}.squares")
    means = graph.node("AveragePool", [squares], f"{name}.means", kernel_shape=[size] * 2,
                       strides=[1, 1], pads=[before, before, after, after], count_include_pad=1)
    alpha, k, beta = (graph.constant(f"{name}.{constant}", getattr(module, constant))
                      for constant in ("alpha", "k", "beta"))
    above = graph.node("Add", [graph.node("Mul", [means, alpha], f"{name}.scaled"), k],
                       f"{name}.above")
    return graph.node("Div", [x, graph.node("Pow", [above, beta], f"{name}.power")], name)


def _zero_channels(graph: Graph, x: str, place: Place, module: Any) -> str:
    from onnx import numpy_helper
    pads = np.array([0, 0, 0, 0, 0, module.count, 0, 0])        # before, then after, of N, C, H, W
    graph.constants.append(numpy_helper.from_array(pads, f"{place.name}.pads"))
    return graph.node("Pad", [x, f"{place.name}.pads"], place.name)


def _flatten(graph: Graph, x: str, place: Place, module: Any) -> str:
    return graph.node("Flatten", [x], place.name)


def _nothing(graph: Graph, x: str, place: Place, module: Any) -> str:
    return x


def _branches(graph: Graph, x: str, place: Place, module: nn.Module) -> dict[str, str]:
    """The outputs of the tables inside a layer, by branch."""
    return {branch: graph.chain(table, module.get_submodule(branch), x, place.input,
                                f"{place.name}." + (branch and f"{branch}."))
            for branch, table in place.layer.branches().items()}


def _residual(graph: Graph, x: str, place: Place, module: Any) -> str:
    outputs = _branches(graph, x, place, module)
    return graph.node("Add", [outputs[""], outputs.get("shortcut", x)], place.name)


def _concat(graph: Graph, x: str, place: Place, module: Any) -> str:
    outputs = _branches(graph, x, place, module)
    return graph.node("Concat", list(outputs.values()), place.name, axis=1)


ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}
WRITERS: dict[Any, Callable[[Graph, str, Place, Any], str]] = {
    nn.Conv2d: _conv, nn.BatchNorm2d: _batch_norm, nn.Linear: _linear,
    (nn.MaxPool2d, nn.AvgPool2d): _pool, nn.AdaptiveAvgPool2d: _adaptive_average,
    nn.LocalResponseNorm: _lrn, nn.Flatten: _flatten, (nn.Dropout, AuxiliaryHead): _nothing,
    ZeroChannels: _zero_channels, nn.Residual: _residual, nn.Concat: _concat}

"""Evaluates a graph of ONNX with the engine's public ops, as far as they can express it."""
import inspect

import numpy as np
import onnx
from onnx import numpy_helper

from minitensor import Tensor
from onnx_operators import DTYPES, OPERATORS
from suite import NotExpressed

ROUNDED = ("test_averagepool_2d_ceil_last_window_starts_on_pad",)    # expected to four digits


def check(case):
    """One node test: what its model gives for each set of inputs."""
    tolerance = case.rtol if case.name.removesuffix("_expanded") in ROUNDED else 1e-5
    with np.errstate(all="ignore"):
        for inputs, outputs in case.data_sets:
            for actual, expected in zip(evaluate(case.model, inputs), outputs, strict=True):
                assert_same(actual, tensor(expected).numpy(), tolerance)


def evaluate(model, inputs):
    """The outputs of a model, arrays, for its inputs. Raises NotExpressed with the reason."""
    graph = model.graph
    values = {"": None}
    values.update({t.name: tensor(t) for t in graph.initializer})
    values.update({i.name: tensor(value) for i, value in zip(graph.input, inputs)})
    for node in graph.node:
        outputs = run(node, [values[name] for name in node.input])
        values.update(zip(node.output, outputs))
    return [values[output.name].numpy() for output in graph.output]


def tensor(value):
    if value is None:                                       # an optional input left out
        return None
    if isinstance(value, onnx.TensorProto):
        value = numpy_helper.to_array(value)
    if not isinstance(value, (np.ndarray, np.generic)):
        raise NotExpressed("dtype", type(value).__name__)
    if value.dtype.name not in DTYPES:
        raise NotExpressed("dtype", "text" if value.dtype.kind == "O" else value.dtype.name)
    return Tensor(np.asarray(value))


def run(node, inputs):
    """The outputs of one node. An operator is a function whose keywords are ONNX's attributes."""
    name = node.op_type
    if name not in OPERATORS:
        raise NotExpressed("operator", name)
    attributes = {a.name: attribute(a) for a in node.attribute}
    operator = OPERATORS[name]
    try:
        inspect.signature(operator).bind(*inputs, **attributes)
    except TypeError as error:
        raise NotExpressed("option", f"{name}: {error}") from None
    outputs = operator(*inputs, **attributes)
    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    if len(outputs) < len(node.output):
        raise NotExpressed("option", f"{name}: output {len(outputs) + 1}")
    return outputs


def attribute(a):
    value = onnx.helper.get_attribute_value(a)
    if isinstance(value, onnx.TensorProto):
        return tensor(value)
    return value.decode() if isinstance(value, bytes) else value


def assert_same(actual, expected, tolerance):
    """Equal dtype and shape; as close as sums in another order are."""
    assert actual.dtype == expected.dtype, f"dtype {actual.dtype}, not {expected.dtype}"
    assert actual.shape == expected.shape, f"shape {actual.shape}, not {expected.shape}"
    scale = 0.0
    if expected.dtype.kind == "f":
        scale = float(np.abs(expected[np.isfinite(expected)]).max(initial=0))
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=1e-6 * scale)

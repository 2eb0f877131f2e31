"""ONNX's operators in the engine's public ops: a function's keywords are ONNX's attributes.

What stands after `axes` or `split` is an attribute in old versions and an input in new ones: a
function takes both.
"""
import math
import operator

import numpy as np
from onnx import helper

import minitensor as mt
from minitensor import Tensor
from onnx_layers import LAYERS
from suite import NotExpressed

DTYPES = {"bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
          "float32", "float64"}


def ints(value):
    """A list of integers that is an attribute, or an input."""
    return [int(i) for i in (value.numpy().ravel() if isinstance(value, Tensor) else value)]


def dims(axes):
    return None if axes is None else tuple(ints(axes))


# ---- elementwise -----------------------------------------------------------------------------

def clip(x, low=None, high=None, *, min=None, max=None):
    low, high = (min if low is None else low), (max if high is None else high)
    low, high = (v.item() if isinstance(v, Tensor) else v for v in (low, high))
    return x if low is None and high is None else x.clamp(low, high)


def div(a, b):
    """Integers are divided as in C."""
    quotient = a / b if a.dtype.kind == "f" else None
    if quotient is not None:
        return quotient
    if a.dtype.kind == "u" or not bool((a < 0).any() or (b < 0).any()):
        return a // b
    return mt.where((a < 0) == (b < 0), a.abs() // b.abs(), -(a.abs() // b.abs()))


def mod(a, b, *, fmod=0):
    if not fmod:
        return a % b
    rest = a.abs() % b.abs() if a.dtype.kind != "u" else a % b      # the sign of a, as in C
    return mt.where(a < 0, -rest, rest) if a.dtype.kind != "u" else rest


def power(a, b):
    return (a ** b).to(dtype=a.dtype)


def folded(operate):
    def fold(first, *others):
        for other in others:
            first = operate(first, other)
        return first
    return fold


def cast(x, *, to, saturate=1, round_mode="up"):
    dtype = helper.tensor_dtype_to_np_dtype(to).name
    if dtype not in DTYPES:
        raise NotExpressed("dtype", dtype)
    return x.to(dtype=dtype)


def cast_like(x, like, *, saturate=1, round_mode="up"):
    return x.to(dtype=like.dtype)


def selu(x, *, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875):
    return gamma * elu(x, alpha=alpha)


def elu(x, *, alpha=1.0):
    return mt.where(x > 0, x, alpha * (x.exp() - 1))


def hard_sigmoid(x, *, alpha=0.2, beta=0.5):
    return (alpha * x + beta).clamp(0, 1)


def dropout(x, ratio=None, training=None, *, seed=0, is_test=0):
    if training is not None and training.item() and (ratio is None or ratio.item()):
        raise NotExpressed("option", "Dropout with random numbers of its own")
    return mt.dropout(x, training=False, generator=mt.Generator(0)), mt.full(x.shape, True)


# ---- reductions ------------------------------------------------------------------------------

def reduction(reduce):
    def reduced(x, axes=None, *, keepdims=1, noop_with_empty_axes=0):
        if reduce in (Tensor.amax, Tensor.amin) and not x.numel():
            raise NotExpressed("option", "the largest or smallest of nothing")
        axes = dims(axes) or None
        if axes is None and noop_with_empty_axes:
            return reduce(x.unsqueeze(-1), -1, False)
        return reduce(x, axes, bool(keepdims))
    return reduced


def arg(method):
    def found(x, *, axis=0, keepdims=1, select_last_index=0):
        if select_last_index:
            backwards = along(x, axis, slice(None, None, -1))
            return x.shape[axis] - 1 - getattr(backwards, method)(axis, bool(keepdims))
        return getattr(x, method)(axis, bool(keepdims))
    return found


def flat_from(x, axis):
    """As before version 13: all axes from axis on are one."""
    return x.reshape(math.prod(x.shape[:axis]), -1)


# ---- shapes ----------------------------------------------------------------------------------

def reshape(x, shape, *, allowzero=0):
    shape = [x.shape[i] if n == 0 and not allowzero else n for i, n in enumerate(ints(shape))]
    return x.reshape(*shape)


def transpose(x, *, perm=None):
    return x.permute(*(perm or range(x.ndim)[::-1]))


def squeeze(x, axes=None):
    return x.squeeze() if axes is None else x.squeeze(dims(axes))


def unsqueeze(x, axes):
    axes, ndim = ints(axes), x.ndim + len(ints(axes))
    for axis in sorted(a % ndim for a in axes):
        x = x.unsqueeze(axis)
    return x


def flatten(x, *, axis=1):
    axis = axis % x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def expand(x, shape):
    return x.expand(np.broadcast_shapes(x.shape, tuple(ints(shape))))


def along(x, axis, index):
    return x[(slice(None),) * (axis % x.ndim) + (index,)]


def sliced(x, starts, ends, axes=None, steps=None):
    starts, ends = ints(starts), ints(ends)
    axes = ints(axes) if axes is not None else range(len(starts))
    steps = ints(steps) if steps is not None else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps):
        end = None if step < 0 and end < -x.shape[axis] else end
        x = along(x, axis, slice(start, end, step))
    return x


def split(x, sizes=None, *, axis=0, num_outputs=None, split=None):
    sizes = sizes if sizes is not None else split
    if sizes is None:
        if num_outputs is None:
            raise NotExpressed("option", "Split without sizes")
        size = -(-x.shape[axis] // num_outputs)
        sizes = [size] * (num_outputs - 1) + [x.shape[axis] - size * (num_outputs - 1)]
    ends = np.cumsum(ints(sizes)).tolist()
    return [along(x, axis, slice(start, end)) for start, end in zip([0, *ends], ends)]


def gather_elements(x, index, *, axis=0):
    at = [mt.arange(n).reshape([-1 if i == j else 1 for j in range(x.ndim)])
          for i, n in enumerate(index.shape)]
    at[axis] = index
    return x[tuple(at)]


def gather_nd(x, index, *, batch_dims=0):
    if batch_dims:
        raise NotExpressed("option", "GatherND: batch_dims")
    return x[tuple(index[..., i] for i in range(index.shape[-1]))]


def compress(x, condition, *, axis=None):
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis)
    return along(x, axis, mt.arange(len(condition))[condition])


def one_hot(indices, depth, values, *, axis=-1):
    depth = int(depth.item())
    axis = axis % (indices.ndim + 1)
    here = mt.arange(depth).reshape([-1] + [1] * (indices.ndim - axis))
    indices = mt.where(indices < 0, indices + depth, indices).unsqueeze(axis)
    return mt.where(indices == here, values[1], values[0])


def hardmax(x, *, axis=-1):
    places = mt.arange(x.shape[axis]).reshape([-1] + [1] * (x.ndim - 1 - axis % x.ndim))
    return (places == x.argmax(axis, True)).to(dtype=x.dtype)


def eye_like(x, *, dtype=None, k=0):
    ones = mt.arange(x.shape[1]) - mt.arange(x.shape[0]).unsqueeze(1) == k
    return ones.to(dtype=x.dtype if dtype is None else helper.tensor_dtype_to_np_dtype(dtype))


def trilu(x, k=None, *, upper=1):
    k = 0 if k is None else k.item()
    columns, rows = mt.arange(x.shape[-1]), mt.arange(x.shape[-2]).unsqueeze(1)
    kept = columns - rows >= k if upper else columns - rows <= k
    return mt.where(kept, x, Tensor(np.zeros((), x.dtype)))


def tile(x, repeats):
    for axis, n in enumerate(ints(repeats)):
        x = mt.cat([x] * n, axis)
    return x


def pad(x, pads, value=None, axes=None, *, mode="constant"):
    if mode != "constant":
        raise NotExpressed("option", f"Pad: mode {mode}")
    pads, axes = ints(pads), ints(axes) if axes is not None else range(x.ndim)
    value = 0 if value is None else value.item()
    for axis, before, after in zip(axes, pads, pads[len(pads) // 2:]):
        x = along(x, axis, slice(max(0, -before), x.shape[axis] + min(0, after)))
        sides = [mt.full([max(0, n) if i == axis % x.ndim else m for i, m in enumerate(x.shape)],
                         value, dtype=x.dtype) for n in (before, after)]
        x = mt.cat([sides[0], x, sides[1]], axis)
    return x


def depth_to_space(x, *, blocksize, mode="DCR"):
    (N, C, H, W), b = x.shape, blocksize
    if mode == "DCR":
        x = x.reshape(N, b, b, C // b**2, H, W).permute(0, 3, 4, 1, 5, 2)
    else:
        x = x.reshape(N, C // b**2, b, b, H, W).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(N, C // b**2, H * b, W * b)


def space_to_depth(x, *, blocksize, mode="DCR"):
    (N, C, H, W), b = x.shape, blocksize
    x = x.reshape(N, C, H // b, b, W // b, b)
    x = x.permute(0, 3, 5, 1, 2, 4) if mode == "DCR" else x.permute(0, 1, 3, 5, 2, 4)
    return x.reshape(N, C * b**2, H // b, W // b)


def constant(*, value=None, value_float=None, value_floats=None, value_int=None, value_ints=None):
    if value is not None:
        return value
    floats = value_float if value_float is not None else value_floats
    if floats is not None:
        return Tensor(np.array(floats, np.float32))
    return Tensor(np.array(value_int if value_int is not None else value_ints, np.int64))


def constant_of_shape(shape, *, value=None):
    value = Tensor(np.zeros(1, np.float32)) if value is None else value
    return mt.full(tuple(ints(shape)), value.item(), dtype=value.dtype)


def shape_of(x, *, start=0, end=None):
    return Tensor(np.array(x.shape[start:end], np.int64))


OPERATORS = {
    **LAYERS,
    "Abs": Tensor.abs, "Exp": Tensor.exp, "Identity": lambda x: x, "Log": Tensor.log,
    "Neg": lambda x: -x, "Reciprocal": lambda x: 1 / x, "Relu": mt.relu, "Sigmoid": mt.sigmoid,
    "Sqrt": Tensor.sqrt, "Tanh": mt.tanh, "Clip": clip, "Dropout": dropout,
    "Celu": lambda x, *, alpha=1.0: mt.where(x > 0, x, alpha * ((x / alpha).exp() - 1)),
    "Cosh": lambda x: (x.exp() + (-x).exp()) / 2, "Sinh": lambda x: (x.exp() - (-x).exp()) / 2,
    "Elu": elu, "HardSigmoid": hard_sigmoid, "HardSwish": lambda x: x * hard_sigmoid(x, alpha=1/6),
    "LeakyRelu": lambda x, *, alpha=0.01: mt.where(x < 0, alpha * x, x),
    "Mish": lambda x: x * mt.tanh((1 + x.exp()).log()), "PRelu": lambda x, slope: mt.where(
        x < 0, slope * x, x),
    "Selu": selu, "Softplus": lambda x: (1 + x.exp()).log(),
    "Shrink": lambda x, *, lambd=0.5, bias=0.0: mt.where(
        x < -lambd, x + bias, mt.where(x > lambd, x - bias, 0)).to(dtype=x.dtype),
    "Sign": lambda x: (x > 0).to(dtype=x.dtype) - (x < 0).to(dtype=x.dtype),
    "Softsign": lambda x: x / (1 + x.abs()),
    "Swish": lambda x, *, alpha=1.0: x * mt.sigmoid(alpha * x),
    "ThresholdedRelu": lambda x, *, alpha=1.0: mt.where(x > alpha, x, 0),
    "IsNaN": lambda x: x != x,
    "IsInf": lambda x, *, detect_negative=1, detect_positive=1: (
        (x == np.inf) * bool(detect_positive) + (x == -np.inf) * bool(detect_negative)),
    "Add": operator.add, "Sub": operator.sub, "Mul": operator.mul, "Div": div,
    "MatMul": operator.matmul, "Mod": mod, "Pow": power, "Max": folded(mt.maximum),
    "Min": folded(mt.minimum), "Sum": folded(operator.add),
    "Mean": lambda *xs: folded(operator.add)(*xs) / len(xs),
    "Equal": operator.eq, "Greater": operator.gt, "Less": operator.lt,
    "GreaterOrEqual": operator.ge, "LessOrEqual": operator.le,
    "And": operator.and_, "Or": operator.or_, "Xor": operator.xor, "Not": operator.invert,
    "BitwiseAnd": operator.and_, "BitwiseOr": operator.or_, "BitwiseXor": operator.xor,
    "BitwiseNot": operator.invert, "Ceil": lambda x: -(-x // 1), "Floor": lambda x: x // 1,
    "EyeLike": eye_like, "Hardmax": hardmax,
    "Where": mt.where, "Cast": cast, "CastLike": cast_like,
    "ReduceSum": reduction(Tensor.sum), "ReduceMean": reduction(Tensor.mean),
    "ReduceMax": reduction(Tensor.amax), "ReduceMin": reduction(Tensor.amin),
    "ReduceL1": reduction(lambda x, *where: x.abs().sum(*where)),
    "ReduceL2": reduction(lambda x, *where: (x * x).sum(*where).sqrt()),
    "ReduceLogSum": reduction(lambda x, *where: x.sum(*where).log()),
    "ReduceLogSumExp": reduction(lambda x, *where: x.exp().sum(*where).log()),
    "ReduceSumSquare": reduction(lambda x, *where: (x * x).sum(*where)),
    "ArgMax": arg("argmax"), "ArgMin": arg("argmin"),
    "Compress": compress, "Concat": lambda *xs, axis: mt.cat(xs, axis), "Constant": constant,
    "ConstantOfShape": constant_of_shape, "DepthToSpace": depth_to_space, "Expand": expand,
    "Flatten": flatten, "Gather": lambda x, index, *, axis=0: along(x, axis, index),
    "GatherElements": gather_elements, "GatherND": gather_nd, "OneHot": one_hot, "Pad": pad,
    "Range": lambda start, end, step: mt.arange(start.item(), end.item(), step.item(),
                                                dtype=start.dtype),
    "Reshape": reshape, "Shape": shape_of, "Size": lambda x: Tensor(np.array(x.numel())),
    "Slice": sliced, "SpaceToDepth": space_to_depth, "Split": split, "Squeeze": squeeze,
    "Tile": tile, "Transpose": transpose, "Trilu": trilu, "Unsqueeze": unsqueeze,
}

"""What NumPy's functions do with Tensors: those with an op of ours are that op, and give Tensors.

Any other sees the arrays, and gives arrays; a Tensor that requires a gradient, which would be lost
in silence, is refused.
"""
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..backend import to_numpy
from ..tensor import Tensor, bind
from . import activation, arithmetic, comparison, elementwise, operators, reduction, shape


def _without_gradient(test: Callable, x: Tensor) -> Tensor:
    return Tensor(test(x.data))


UFUNCS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: partial(operators.binary, arithmetic.Add),
    np.subtract: partial(operators.binary, arithmetic.Sub),
    np.multiply: partial(operators.binary, arithmetic.Mul),
    np.true_divide: partial(operators.binary, arithmetic.Div),
    np.floor_divide: partial(operators.binary, arithmetic.FloorDivide),
    np.remainder: partial(operators.binary, arithmetic.Remainder),
    np.power: operators.power, np.matmul: operators.matmul, np.negative: operators.negative,
    np.absolute: elementwise.abs_, np.exp: elementwise.exp, np.log: elementwise.log,
    np.sqrt: elementwise.sqrt, np.tanh: activation.tanh, np.maximum: elementwise.maximum,
    np.minimum: elementwise.minimum, np.invert: comparison.invert,
    np.bitwise_and: comparison.LOGIC["and"], np.bitwise_or: comparison.LOGIC["or"],
    np.bitwise_xor: comparison.LOGIC["xor"],
    **{test: partial(_without_gradient, test) for test in (np.isnan, np.isfinite, np.isinf)},
    np.equal: comparison.COMPARISONS["eq"], np.not_equal: comparison.COMPARISONS["ne"],
    np.less: comparison.COMPARISONS["lt"], np.less_equal: comparison.COMPARISONS["le"],
    np.greater: comparison.COMPARISONS["gt"], np.greater_equal: comparison.COMPARISONS["ge"],
}
MIRRORED = {np.less: np.greater, np.less_equal: np.greater_equal, np.greater: np.less,
            np.greater_equal: np.less_equal, np.equal: np.equal, np.not_equal: np.not_equal}

FUNCTIONS: dict[Callable, Callable[..., Any]] = {
    np.where: elementwise.where,
    np.clip: lambda a, a_min=None, a_max=None: elementwise.clamp(a, a_min, a_max),
    np.stack: lambda arrays, axis=0: shape.stack(arrays, axis),
    np.concatenate: lambda arrays, axis=0: shape.cat(arrays, axis),
    np.reshape: lambda a, shape: a.reshape(shape),
    np.transpose: lambda a, axes=None: a.T if axes is None else a.permute(axes),
    np.swapaxes: lambda a, axis1, axis2: a.transpose(axis1, axis2),
    np.squeeze: lambda a, axis=None: a.squeeze(axis),
    np.expand_dims: lambda a, axis: a.unsqueeze(axis),
    np.var: lambda a, axis=None, ddof=0, keepdims=False: reduction.var(
        a, axis, keepdim=keepdims, correction=ddof),
    np.std: lambda a, axis=None, ddof=0, keepdims=False: reduction.std(
        a, axis, keepdim=keepdims, correction=ddof),
    **{function: lambda a, axis=None, keepdims=False, ours=ours: ours(a, axis, keepdims)
       for function, ours in (
           (np.sum, reduction.sum_), (np.mean, reduction.mean), (np.max, reduction.amax),
           (np.min, reduction.amin), (np.any, reduction.any_), (np.all, reduction.all_),
           (np.argmax, reduction.argmax), (np.argmin, reduction.argmin))},
}


def array_function(x: Tensor, function: Callable, types: Any, args: tuple, kwargs: dict) -> Any:
    """`numpy.stack([tensor, tensor])` and the like."""
    return _result(function.__name__, FUNCTIONS.get(function), function, args, kwargs)


def array_ufunc(x: Tensor, ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any) -> Any:
    """`numpy.exp(tensor)`, `array * tensor` and the like; `array += tensor` changes the array."""
    if ufunc in MIRRORED and not isinstance(args[0], Tensor):
        ufunc, args = MIRRORED[ufunc], args[::-1]
    ours = UFUNCS.get(ufunc) if method == "__call__" else None
    return _result(ufunc.__name__, ours, getattr(ufunc, method), args, kwargs)


def _result(name: str, ours: Callable | None, numpys: Callable, args: tuple, kwargs: dict) -> Any:
    if ours is not None and _takes(ours, args, kwargs):
        return ours(*args, **kwargs)
    return numpys(*_arrays(name, args), **_arrays(name, kwargs))


def _takes(function: Callable, args: tuple, kwargs: dict) -> bool:
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:                       # out=, dtype=, ...
        return False
    return True


def _arrays(name: str, value: Any) -> Any:
    if isinstance(value, Tensor):
        if value.requires_grad:
            raise TypeError(f"numpy.{name}: a tensor that requires a gradient would "
                            "lose it; use an op of minitensor, or .detach() first")
        return to_numpy(value.data)
    if isinstance(value, (list, tuple)):
        return type(value)(_arrays(name, item) for item in value)
    if isinstance(value, dict):
        return {key: _arrays(name, item) for key, item in value.items()}
    return value


class ForNumPy:
    """NumPy asks the class for __array_ufunc__ and gets the function. CuPy asks the instance; None
    sends `array * tensor` to Tensor.__rmul__."""

    def __get__(self, instance: Any, owner: Any) -> Any:
        return array_ufunc if instance is None else None


bind(__array_function__=array_function, __array_ufunc__=ForNumPy())

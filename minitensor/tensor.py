"""The autograd engine: Tensor, Op, the backward walk, and the arithmetic, shape and reduction ops.

A Tensor wraps an array. Calling an Op on tensors runs its `forward` on their arrays; if gradients are recorded the op instance
becomes the result's `creator` and remembers where its inputs came from. `Tensor.backward` walks those ops from the last to the first.
First order only: `forward` and `backward` take and return raw arrays.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral, Real
from typing import Any

import numpy as np

from .backend import Array, device_of, to_device, to_numpy, xp_of
from .guard import Guard

FLOATS = ("float32", "float64")

_recording: ContextVar[bool] = ContextVar("recording", default=True)


@contextmanager
def no_grad() -> Iterator[None]:
    """Inside the with-block (or the function it decorates) nothing is recorded, so nothing is kept for a backward pass."""
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


class Tensor:
    """An array that remembers how it was computed.

    data            numpy or cupy array; lists and Python numbers become float32 (integers stay integers). An array is not copied.
    grad            array of data's shape after `backward`, or None; gradients of several backward passes add up
    requires_grad   whether `backward` should reach this tensor; float32 and float64 only
    creator         the Op that computed it, None for a leaf

    Raises TypeError for data that is not numeric or cannot have a gradient.
    """

    __slots__ = ("data", "grad", "requires_grad", "creator", "__weakref__")
    __array_ufunc__ = None  # makes `array * tensor` call Tensor.__rmul__

    def __init__(self, data: Any, *, dtype: Any = None, requires_grad: bool = False):
        if isinstance(data, Tensor):
            raise TypeError("Tensor: data is a Tensor already; use .detach() for a second one on the same array")
        is_array = hasattr(data, "__array__") or hasattr(data, "__cuda_array_interface__")
        data = _as_array(data)
        if not is_array and data.dtype == np.float64:
            data = data.astype(np.float32)
        if data.dtype.kind not in "fiub":
            raise TypeError(f"Tensor: data of dtype {data.dtype} is not numeric")
        self.data: Array = data if dtype is None else data.astype(dtype, copy=False)
        if requires_grad and self.data.dtype.name not in FLOATS:
            raise TypeError(f"Tensor: only {' and '.join(FLOATS)} can have a gradient, not {self.data.dtype}")
        self.grad: Array | None = None
        self.requires_grad = requires_grad
        self.creator: Op | None = None

    # ---- looking at it -----------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def device(self) -> str:
        return device_of(self.data)

    def numel(self) -> int:
        return self.data.size

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.item())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """What `numpy.asarray(tensor)` gives."""
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def item(self) -> float:
        return self.data.item()

    def numpy(self) -> np.ndarray:
        """The data as a NumPy array; shares memory with it on the CPU."""
        return to_numpy(self.data)

    def detach(self) -> Tensor:
        """A leaf on the same array, outside the graph."""
        return Tensor(self.data)

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), separator=", ", prefix="Tensor(", threshold=50, precision=4)
        origin = f", creator={type(self.creator).__name__}" if self.creator else ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({values}, shape={self.shape}, dtype={self.dtype}{origin})"

    # ---- the backward walk -------------------------------------------------------------------------------------------------

    def backward(self, grad: Any = None, retain_graph: bool = False) -> None:
        """Add d self / d leaf, weighted by grad, to `.grad` of every leaf that self was computed from.

        grad: array of self's shape; may be left out when self holds one number. The graph is freed unless retain_graph.
        Raises RuntimeError when nothing was recorded, ValueError for a grad of the wrong shape.
        """
        if not self.requires_grad:
            raise RuntimeError("backward: this tensor does not require a gradient (made of none that does, or under no_grad)")
        dy = self._output_gradient(grad)
        if self.creator is None:
            self._accumulate(dy, dy)
            return
        gradients: dict[Op, Array] = {self.creator: dy}
        for op in _backward_order(self.creator):
            dy = gradients.pop(op)
            for parent, dx in zip(op.parents, op._run_backward(dy)):
                if isinstance(parent, Tensor):
                    parent._accumulate(dx, dy)
                elif parent is not None:
                    gradients[parent] = gradients[parent] + dx if parent in gradients else dx
            if not retain_graph:
                op.release()

    def _output_gradient(self, grad: Any) -> Array:
        if grad is None:
            if self.numel() != 1:
                raise ValueError(f"backward: a tensor of shape {self.shape} needs grad, an array of the same shape")
            return xp_of(self.data).ones_like(self.data)
        grad = xp_of(self.data).asarray(grad.data if isinstance(grad, Tensor) else grad, dtype=self.dtype)
        if grad.shape != self.shape:
            raise ValueError(f"backward: grad has shape {grad.shape} but the tensor has {self.shape}")
        return grad

    def _accumulate(self, dx: Array, dy: Array) -> None:
        """`.grad` shares memory with no other gradient, so that users may change it in place: dy itself, or a view of it, is copied."""
        if self.grad is not None:
            self.grad = self.grad + dx
        else:
            shared = device_of(dx) == device_of(dy) and xp_of(dx).may_share_memory(dx, dy)
            self.grad = dx.copy(order="K") if shared else dx

    # ---- arithmetic --------------------------------------------------------------------------------------------------------

    def __add__(self, other): return Add()(self, other)
    def __sub__(self, other): return Sub()(self, other)
    def __mul__(self, other): return Mul()(self, other)
    def __truediv__(self, other): return Div()(self, other)
    def __radd__(self, other): return Add()(other, self)
    def __rsub__(self, other): return Sub()(other, self)
    def __rmul__(self, other): return Mul()(other, self)
    def __rtruediv__(self, other): return Div()(other, self)
    def __neg__(self): return Mul()(self, -1)
    def __pow__(self, exponent): return Pow(exponent)(self)
    def __matmul__(self, other): return MatMul()(self, other)
    def __rmatmul__(self, other): return MatMul()(other, self)
    def exp(self): return Exp()(self)
    def log(self): return Log()(self)

    # ---- reductions: dim is None (all), an int or several ----------------------------------------------------------------------

    def sum(self, dim=None, keepdim: bool = False): return Sum(dim, keepdim)(self)
    def max(self, dim=None, keepdim: bool = False): return Max(dim, keepdim)(self)

    def mean(self, dim=None, keepdim: bool = False):
        total = self.sum(dim, keepdim)
        return total / (self.numel() // total.numel()) if total.numel() else total

    # ---- shape ---------------------------------------------------------------------------------------------------------------

    def reshape(self, *shape): return Reshape(_unpack(shape))(self)
    def permute(self, *dims): return Permute(_unpack(dims))(self)
    def transpose(self, dim0: int, dim1: int): return Permute(_swapped(self.shape, dim0, dim1))(self)
    def __getitem__(self, index): return GetItem(index)(self)
    def to(self, device: str | None = None, dtype: Any = None): return To(device, dtype)(self)

    @property
    def T(self):
        return Permute(tuple(reversed(range(self.ndim))))(self)


def _as_array(data: Any) -> Array:
    return data if isinstance(data, np.ndarray) or hasattr(data, "__cuda_array_interface__") else np.asarray(data)


def _unpack(arguments: tuple) -> tuple[int, ...]:
    """`reshape(2, 3)` and `reshape((2, 3))` alike."""
    return tuple(arguments[0]) if len(arguments) == 1 and isinstance(arguments[0], Sequence) else arguments


def _swapped(shape: tuple[int, ...], dim0: int, dim1: int) -> tuple[int, ...]:
    dims = list(range(len(shape)))
    try:
        dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    except IndexError:
        raise ValueError(f"transpose: dims {dim0} and {dim1} must be axes of x {shape}") from None
    return tuple(dims)


class Op:
    """One differentiable operation. Subclasses are small:

        class Mul(Op):
            def forward(self, a, b):            # arrays in, array out
                self.a, self.b = a, b           # keep exactly the arrays that backward reads
                return a * b
            def backward(self, dy):             # gradient of the output in, gradients of the inputs out
                return dy * self.b, dy * self.a

    Hyperparameters go to `__init__`. `self.needs` tells, per input, whether its gradient is wanted; backward may return None elsewhere.
    An instance is called once.
    """

    needs: tuple[bool, ...]
    parents: tuple[Op | Tensor | None, ...] = ()  # per input: the op that made it, the tensor itself if it is a leaf, None if not needed
    guard: Guard | None = None                    # set while the op waits for its backward
    takes_none = False                            # whether an input may be None: a bias that is not there

    def forward(self, *arrays: Array) -> Array:
        raise NotImplementedError

    def backward(self, dy: Array) -> Array | tuple[Array | None, ...]:
        raise NotImplementedError

    def __call__(self, *inputs: Any) -> Tensor:
        given = [i for i, value in enumerate(inputs) if value is not None or not self.takes_none]
        converted = _as_tensors(type(self).__name__, tuple(inputs[i] for i in given))
        tensors: list[Tensor | None] = [None] * len(inputs)
        for i, tensor in zip(given, converted):
            tensors[i] = tensor
        recording = _recording.get()
        self.needs = tuple(recording and t is not None and t.requires_grad for t in tensors)
        result = Tensor(self.forward(*(None if t is None else t.data for t in tensors)))
        if any(self.needs):
            self.parents = tuple((t.creator or t) if t is not None and t.requires_grad else None
                                 for t in tensors)
            self.guard = Guard(vars(self).values())
            result.requires_grad, result.creator = True, self
        return result

    def _run_backward(self, dy: Array) -> tuple[Array | None, ...]:
        if self.guard is None:
            raise RuntimeError(f"backward: the graph was freed at {type(self).__name__}; the first pass needs retain_graph=True")
        gradients = self.backward(dy)
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        if len(gradients) != len(self.parents):
            raise RuntimeError(f"backward: {type(self).__name__} returned {len(gradients)} gradients for {len(self.parents)} inputs")
        return gradients

    def release(self) -> None:
        """Forget the graph behind this op, and every array it kept."""
        if self.guard is not None:
            self.guard.release()
        vars(self).clear()


def _as_tensors(op: str, inputs: tuple) -> list[Tensor]:
    """Python numbers take the dtype and device of the tensors beside them; tensors of different dtype or device are refused."""
    tensors = [t for t in inputs if isinstance(t, Tensor)]
    if not tensors:
        raise TypeError(f"{op}: expected a Tensor, got {type(inputs[0]).__name__}")
    like = tensors[0].data
    for t in tensors[1:]:
        if t.dtype != like.dtype:
            raise TypeError(f"{op}: the dtypes differ ({like.dtype} and {t.dtype}); convert one with .to(dtype=...)")
        if t.device != tensors[0].device:
            raise RuntimeError(f"{op}: one tensor is on {tensors[0].device!r}, another on {t.device!r}; move one with .to(device)")
    return [t if isinstance(t, Tensor) else Tensor(_constant(op, t, like)) for t in inputs]


def _constant(op: str, value: Any, like: Array) -> Array:
    array = _as_array(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{op}: cannot use a {type(value).__name__} as an operand")
    if array.dtype.kind == "f" != like.dtype.kind:
        raise TypeError(f"{op}: a tensor of {like.dtype} cannot take the fraction {value}; convert it with .to(dtype=...)")
    return xp_of(like).asarray(array, dtype=like.dtype)


def _backward_order(last: Op) -> list[Op]:
    """Every op that last depends on, each before those that feed it. Iterative: a chain may be longer than Python's recursion limit."""
    order: list[Op] = []
    seen: set[Op] = set()
    stack: list[tuple[Op, bool]] = [(last, False)]
    while stack:
        op, inputs_done = stack.pop()
        if inputs_done:
            order.append(op)
        elif op not in seen:
            seen.add(op)
            stack.append((op, True))
            stack.extend((parent, False) for parent in op.parents if isinstance(parent, Op))
    return order[::-1]


# ---- arithmetic ops, with NumPy's broadcasting -----------------------------------------------------------------------------------

def _floats(x: Array) -> Array:
    """x, whole numbers as float32, as in PyTorch: the dtype of a result that is no whole number."""
    return x if x.dtype.kind == "f" else x.astype(np.float32)


def _unbroadcast(dx: Array, shape: tuple[int, ...]) -> Array:
    """The adjoint of broadcasting shape to dx.shape: sum over every axis that was stretched."""
    new = dx.ndim - len(shape)
    stretched = tuple(i + new for i, n in enumerate(shape) if n == 1 and dx.shape[i + new] != 1)
    axes = tuple(range(new)) + stretched
    return dx.sum(axis=axes, keepdims=True).reshape(shape) if axes else dx


class Add(Op):
    def forward(self, a, b):
        self.shapes = a.shape, b.shape
        return a + b

    def backward(self, dy):
        return tuple(_unbroadcast(dy, shape) for shape in self.shapes)


class Sub(Op):
    def forward(self, a, b):
        self.shapes = a.shape, b.shape
        return a - b

    def backward(self, dy):
        return _unbroadcast(dy, self.shapes[0]), _unbroadcast(-dy, self.shapes[1])


class Mul(Op):
    def forward(self, a, b):
        self.a, self.b = a, b
        return a * b

    def backward(self, dy):
        return _unbroadcast(dy * self.b, self.a.shape), _unbroadcast(dy * self.a, self.b.shape)


class Div(Op):
    def forward(self, a, b):
        self.a, self.b = _floats(a), _floats(b)
        return self.a / self.b

    def backward(self, dy):
        return _unbroadcast(dy / self.b, self.a.shape), _unbroadcast(-dy * self.a / self.b**2, self.b.shape)


class Pow(Op):
    """x ** exponent, for a number exponent."""

    def __init__(self, exponent: float):
        if not isinstance(exponent, Real):
            raise TypeError(f"Pow: exponent must be a number, not {type(exponent).__name__}")
        self.exponent: float = int(exponent) if isinstance(exponent, Integral) else float(exponent)

    def forward(self, x):
        self.x = x if isinstance(self.exponent, int) else _floats(x)
        return self.x**self.exponent

    def backward(self, dy):
        return dy * self.exponent * self.x**(self.exponent - 1) if self.exponent else dy * 0


class Exp(Op):
    def forward(self, x):
        self.y = xp_of(x).exp(_floats(x))
        return self.y

    def backward(self, dy):
        return dy * self.y


class Log(Op):
    def forward(self, x):
        self.x = _floats(x)
        return xp_of(x).log(self.x)

    def backward(self, dy):
        return dy / self.x


class MatMul(Op):
    """a (..., I, K) @ b (..., K, J) -> (..., I, J), leading axes broadcast; a vector counts as one row of a, one column of b."""

    def forward(self, a, b):
        if not a.ndim or not b.ndim or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
            raise ValueError(f"matmul: inner sizes differ (a {a.shape}, b {b.shape})")
        self.a, self.b = a, b
        return a @ b

    def backward(self, dy):
        a = self.a if self.a.ndim > 1 else self.a[None, :]
        b = self.b if self.b.ndim > 1 else self.b[:, None]
        if self.b.ndim == 1:
            dy = dy[..., None]
        if self.a.ndim == 1:
            dy = dy[..., None, :]
        da, db = dy @ b.swapaxes(-1, -2), a.swapaxes(-1, -2) @ dy
        return _unbroadcast(da, a.shape).reshape(self.a.shape), _unbroadcast(db, b.shape).reshape(self.b.shape)


# ---- reductions ------------------------------------------------------------------------------------------------------------------

class Sum(Op):
    def __init__(self, dim, keepdim: bool):
        self.dim, self.keepdim = _dims(dim), keepdim

    def forward(self, x):
        self.shape = x.shape
        return x.sum(axis=self.dim, keepdims=self.keepdim)

    def backward(self, dy):
        return xp_of(dy).broadcast_to(_restore_dims(dy, self.shape, self.dim, self.keepdim), self.shape)


class Max(Op):
    """The largest value; equal maxima share the gradient equally, as in torch.amax."""

    def __init__(self, dim, keepdim: bool):
        self.dim, self.keepdim = _dims(dim), keepdim

    def forward(self, x):
        self.x, self.y = x, x.max(axis=self.dim, keepdims=True)
        return self.y if self.keepdim else self.y.squeeze(axis=self.dim)

    def backward(self, dy):
        winners = self.x == self.y
        share = _restore_dims(dy, self.x.shape, self.dim, self.keepdim) / winners.sum(axis=self.dim, keepdims=True)
        return winners * share.astype(dy.dtype, copy=False)


def _dims(dim) -> tuple[int, ...] | None:
    return None if dim is None else (int(dim),) if isinstance(dim, Integral) else tuple(dim)


def _restore_dims(dy: Array, shape: tuple[int, ...], dim: tuple[int, ...] | None, keepdim: bool) -> Array:
    """dy with the reduced axes back, each of size 1."""
    if keepdim:
        return dy
    reduced = {d % len(shape) for d in (range(len(shape)) if dim is None else dim)}
    return dy.reshape([1 if i in reduced else n for i, n in enumerate(shape)])


# ---- shape ops: where NumPy gives a view, the view is read-only, so that x.data is the one way to change x in place -------------------

def _read_only(view: Array) -> Array:
    if isinstance(view, np.ndarray) and view.base is not None:
        view.flags.writeable = False
    return view


class Reshape(Op):
    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x):
        self.input_shape = x.shape
        try:
            return _read_only(x.reshape(self.shape)[...])
        except ValueError:
            raise ValueError(f"reshape: x {x.shape} does not fit shape {self.shape}") from None

    def backward(self, dy):
        return dy.reshape(self.input_shape)


class Permute(Op):
    def __init__(self, dims: tuple[int, ...]):
        self.dims = dims

    def forward(self, x):
        if sorted(d + x.ndim if d < 0 else d for d in self.dims) != list(range(x.ndim)):
            raise ValueError(f"permute: dims {self.dims} must name each axis of x {x.shape} once")
        return _read_only(x.transpose(self.dims))

    def backward(self, dy):
        inverse = np.argsort([d % len(self.dims) for d in self.dims])
        return dy.transpose([int(i) for i in inverse])


class GetItem(Op):
    """x[index] for every index NumPy knows; elements picked twice get both gradients."""

    def __init__(self, index):
        self.index = tuple(_raw(i) for i in index) if isinstance(index, tuple) else _raw(index)

    def forward(self, x):
        self.shape = x.shape
        return _read_only(xp_of(x).asarray(x[self.index]))

    def backward(self, dy):
        dx = xp_of(dy).zeros(self.shape, dtype=dy.dtype)
        xp_of(dy).add.at(dx, self.index, dy)
        return dx


def _raw(index):
    return index.data if isinstance(index, Tensor) else index


class Cat(Op):
    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, *arrays):
        self.ends = np.cumsum([a.shape[self.dim] for a in arrays])[:-1].tolist()
        return xp_of(arrays[0]).concatenate(arrays, axis=self.dim)

    def backward(self, dy):
        return tuple(xp_of(dy).split(dy, self.ends, axis=self.dim))


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """tensors joined along dim; their other sizes must agree. Raises ValueError for none, or for sizes that differ."""
    if not tensors:
        raise ValueError("cat: expected at least one tensor")
    if not -tensors[0].ndim <= dim < tensors[0].ndim:
        raise ValueError(f"cat: dim {dim} is not an axis of tensors of shape {tensors[0].shape}")
    axis = dim % tensors[0].ndim
    if len({(t.ndim, *t.shape[:axis], *t.shape[axis + 1:]) for t in tensors}) > 1:
        raise ValueError(f"cat: tensors must have the same sizes but along dim {dim}, not {', '.join(str(t.shape) for t in tensors)}")
    return Cat(dim)(*tensors)


class To(Op):
    """A copy on another device or of another dtype; the gradient travels back."""

    def __init__(self, device: str | None, dtype: Any):
        self.device, self.dtype = device, dtype

    def forward(self, x):
        if any(self.needs) and self.dtype is not None and np.dtype(self.dtype).name not in FLOATS:
            raise TypeError(f"to: a tensor with a gradient can become {' or '.join(FLOATS)}, not {np.dtype(self.dtype)}; detach it first")
        self.origin = device_of(x), x.dtype
        x = x if self.device is None else to_device(x, self.device)
        return x if self.dtype is None else x.astype(self.dtype, copy=False)

    def backward(self, dy):
        device, dtype = self.origin
        return to_device(dy, device).astype(dtype, copy=False)

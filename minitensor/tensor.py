"""The autograd engine: Tensor, Op and the backward walk.

A Tensor wraps an array. Calling an Op on tensors runs its `forward` on their arrays; if gradients
are recorded the op instance becomes the result's `creator` and remembers where its inputs came
from. `Tensor.backward` walks those ops from the last to the first. First order only: `forward` and
`backward` take and return raw arrays. The ops live in `ops/`, which gives Tensor its operators.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from .backend import (Array, Form, as_array, form_of, is_array, quiet, type_name, xp_of)
from .guard import Guard, frozen
from .methods import Methods
from .recording import is_grad_enabled

FLOATS = ("float32", "float64")


class Tensor(Methods):
    """An array that remembers how it was computed.

    data            numpy or cupy array; lists and Python numbers become float32 (integers stay
                    integers). An array is not copied. While a backward pass needs it, it is
                    read-only: NumPy says "assignment destination is read-only" to who writes to it
    grad            array of data's shape after `backward`, or None; gradients of several backward
                    passes add up
    requires_grad   whether `backward` should reach this tensor; float32 and float64 only
    creator         the Op that computed it, None for a leaf

    Raises TypeError for data that is not numeric or cannot have a gradient.
    """

    __slots__ = ("_data", "grad", "_requires_grad", "creator", "__weakref__")

    def __init__(self, data: Any, *, dtype: Any = None, requires_grad: bool = False):
        if isinstance(data, Tensor):
            raise TypeError("Tensor: data is a Tensor already; "
                            "use .detach() for a second one on the same array")
        listed = not hasattr(data, "__array__") and not is_array(data)
        array = as_array(data)
        if listed and dtype is None and array.dtype == np.float64:
            dtype = np.float32
        if dtype is not None:
            with quiet():                       # 1e300 becomes infinite
                array = array.astype(dtype, copy=False)
        self._data: Array = _numeric(array)
        self._requires_grad = False
        self.grad: Array | None = None
        self.creator: Op | None = None
        if requires_grad:
            self.requires_grad = True

    @property
    def data(self) -> Array:
        """The array. What is assigned to it may be whatever `Tensor` takes."""
        return self._data

    @data.setter
    def data(self, data: Any) -> None:
        self._data = _numeric(as_array(data.data if isinstance(data, Tensor) else data))

    @property
    def requires_grad(self) -> bool:
        """Whether `backward` reaches this tensor. It can be set for leaves."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, requires_grad: bool) -> None:
        if self.creator:
            raise RuntimeError("requires_grad: the tensor is the result of an op; use .detach()")
        if requires_grad and self.dtype.char not in "fd":       # float32, float64
            raise TypeError(f"Tensor: only {' and '.join(FLOATS)} can have a gradient, "
                            f"not {self.dtype}")
        self._requires_grad = bool(requires_grad)

    def detach(self) -> Tensor:
        """A leaf on the same array, outside the graph."""
        return Tensor(self.data)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set requires_grad of a leaf; returns it. Raises RuntimeError for the result of an op."""
        self.requires_grad = requires_grad
        return self

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), separator=", ", prefix="Tensor(", threshold=50,
                                 precision=4)
        origin = ", requires_grad=True" if self.requires_grad else ""
        origin = f", creator={type(self.creator).__name__}" if self.creator else origin
        return f"Tensor({values}, shape={self.shape}, dtype={self.dtype}{origin})"

    # ---- the backward walk -------------------------------------------------------------------

    def backward(self, grad: Any = None, retain_graph: bool = False) -> None:
        """Add d self / d leaf, weighted by grad, to `.grad` of every leaf self was computed from.

        grad: array of self's shape; may be left out when self holds one number. The graph is freed
        unless retain_graph.
        Raises RuntimeError when nothing was recorded, ValueError for a grad of the wrong shape.
        """
        if not self.requires_grad:
            raise RuntimeError("backward: this tensor does not require a gradient "
                               "(made of none that does, or under no_grad)")
        dy = self._output_gradient(grad)
        if self.creator is None:
            self._accumulate(dy, [dy])
            return
        with quiet():
            self._walk({self.creator: dy}, retain_graph)

    def _walk(self, gradients: dict[Op, Array], retain_graph: bool) -> None:
        for op in _backward_order(*gradients):
            dy = frozen(as_array(gradients.pop(op)))    # NumPy makes numbers of arrays ()
            elsewhere = [dy]
            for parent, dx in zip(op.parents, op._run_backward(dy)):
                if isinstance(parent, Tensor):
                    parent._accumulate(dx, elsewhere)
                elif parent is not None:
                    gradients[parent] = gradients[parent] + dx if parent in gradients else dx
                elsewhere.append(dx)
            if not retain_graph:
                op.release()

    def _output_gradient(self, grad: Any) -> Array:
        if grad is None:
            if self.numel() != 1:
                raise ValueError(f"backward: a tensor of shape {self.shape} needs grad, "
                                 "an array of the same shape")
            return xp_of(self.data).ones_like(self.data)
        grad = operand("backward", grad.data if isinstance(grad, Tensor) else grad)
        grad = xp_of(self.data).asarray(grad, dtype=self.dtype)
        if grad.shape != self.shape:
            raise ValueError(f"backward: grad has shape {grad.shape} but the tensor {self.shape}")
        return grad

    def _accumulate(self, dx: Array, elsewhere: list[Array | None]) -> None:
        """Add dx to `.grad`, which shares memory with no other array: users may change it.

        A dx that is or views one of the arrays that are elsewhere, too, or is read-only, is copied.
        """
        dx = as_array(dx)
        if self.grad is not None:
            if form_of(self.grad) != form_of(dx):
                raise RuntimeError(f"backward: .grad is {form_of(self.grad)}, to which a gradient "
                                   f"{form_of(dx)} cannot be added; set it to None before")
            self.grad = as_array(self.grad + dx)
        else:
            shared = isinstance(dx, np.ndarray) and not dx.flags.writeable or any(
                type(other) is type(dx) and xp_of(dx).may_share_memory(dx, other)
                for other in elsewhere)
            self.grad = dx.copy(order="K") if shared else dx


def _numeric(array: Array) -> Array:
    if array.dtype.kind not in "fiub":
        raise TypeError(f"Tensor: data of dtype {array.dtype} is not numeric")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def bind(**methods: Any) -> None:
    """Make functions methods of Tensor, under the names they are given here."""
    for name, method in methods.items():
        setattr(Tensor, name, method)


class Op:
    """One differentiable operation. Subclasses are small:

        class Mul(Op):
            def forward(self, a, b):            # arrays in, array out
                self.a, self.b = a, b           # keep exactly the arrays that backward reads
                return a * b
            def backward(self, dy):             # gradient of the output in, of the inputs out
                return dy * self.b, dy * self.a

    Hyperparameters go to `__init__`. `self.needs` tells, per input, whether its gradient is wanted;
    backward may return None elsewhere. An instance is the context of one call, and used once.
    """

    needs: tuple[bool, ...]
    # Per input: the op that made it, the tensor itself if it is a leaf, None if not needed.
    parents: tuple[Op | Tensor | None, ...] = ()
    forms: tuple[Form | str, ...]       # per input: what its gradient must be
    guard: Guard | None = None          # set while the op waits for its backward
    takes_none = False                  # whether an input may be None: a bias that is not there
    called = False

    def forward(self, *arrays: Array) -> Array:
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def backward(self, dy: Array) -> Array | tuple[Array | None, ...]:
        raise NotImplementedError(f"{type(self).__name__} defines no backward")

    def __call__(self, *inputs: Any) -> Tensor:
        name = type(self).__name__
        if self.called:
            raise RuntimeError(f"{name}: this instance was called before; "
                               "make a new one for each call, as it holds what backward needs")
        tensors = _as_tensors(name, inputs, self.takes_none)
        arrays = [None if t is None else t.data for t in tensors]
        recording = is_grad_enabled()
        self.needs = tuple(recording and t is not None and t.requires_grad for t in tensors)
        with quiet():
            y = self.forward(*arrays)
        if not (is_array(y) or isinstance(y, np.generic)):
            raise TypeError(f"{name}: forward must return an array, not {type_name(y)}")
        recorded = any(self.needs)
        result = Tensor(y, requires_grad=recorded)
        self.called = True
        if recorded:
            self.guard = Guard(name, vars(self).values())
            self.parents = tuple((t.creator or t) if t is not None and t.requires_grad else None
                                 for t in tensors)
            self.forms = tuple(map(form_of, arrays))
            result.creator = self
        return result

    def _run_backward(self, dy: Array) -> tuple[Array | None, ...]:
        name = type(self).__name__
        if self.guard is None:
            raise RuntimeError(f"backward: the graph was freed at {name}; "
                               "the first pass needs retain_graph=True")
        try:
            gradients = self.backward(dy)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise RuntimeError(f"backward: {name} writes to dy or to what forward kept, which "
                               "others may need; let it write to a copy") from error
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        if len(gradients) != len(self.parents):
            raise RuntimeError(f"backward: {name} returned {len(gradients)} "
                               f"gradients for {len(self.parents)} inputs")
        for i, dx in enumerate(gradients):
            if self.needs[i] and form_of(dx) != self.forms[i]:
                raise RuntimeError(f"backward: {name} returned {form_of(dx)} as the gradient of "
                                   f"input {i}, which is {self.forms[i]}")
        return gradients

    def release(self) -> None:
        """Forget the graph behind this op, and every array it kept."""
        if self.guard is not None:
            self.guard.release()
        vars(self).clear()
        self.called = True


def _as_tensors(op: str, inputs: tuple, takes_none: bool) -> list[Tensor | None]:
    """Numbers and arrays take the dtype and device of the tensors beside them, which must agree."""
    tensors = [t for t in inputs if isinstance(t, Tensor)]
    if not tensors:
        given = ", ".join(map(type_name, inputs)) or "nothing"
        raise TypeError(f"{op}: expected a Tensor of minitensor, got {given}")
    like = tensors[0].data
    for t in tensors[1:]:
        if t.dtype != like.dtype:
            raise TypeError(f"{op}: the dtypes differ ({like.dtype} and {t.dtype}); "
                            "convert one with .to(dtype=...)")
        if t.device != tensors[0].device:
            raise RuntimeError(f"{op}: one tensor is on {tensors[0].device!r}, another on "
                               f"{t.device!r}; move one with .to(device)")
    return [t if isinstance(t, Tensor) or t is None and takes_none
            else Tensor(_constant(op, t, like)) for t in inputs]


def _constant(op: str, value: Any, like: Array) -> Array:
    array = operand(op, value)
    if array.dtype.kind == "f" != like.dtype.kind:
        raise TypeError(f"{op}: a tensor of {like.dtype} cannot take the fraction {value}; "
                        "convert it with .to(dtype=...)")
    return xp_of(like).asarray(array, dtype=like.dtype)


def operand(op: str, value: Any) -> Array:
    """value, which stands beside a Tensor, as an array. Raises TypeError for what is no number."""
    array = as_array(value)
    if array.dtype.kind == "O" and isinstance(value, int):
        raise OverflowError(f"{op}: an integer of {value.bit_length()} bits does not fit 64")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{op}: cannot use a {type_name(value)} as an operand")
    return array


def _backward_order(last: Op) -> list[Op]:
    """Every op that last depends on, each before those that feed it; long chains: no recursion."""
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

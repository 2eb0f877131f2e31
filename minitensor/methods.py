"""What Tensor is to others (a list, a number, an array), and the signatures of its methods that are
ops.

Each of those is bound to Tensor, with its docstring, by the file of ops/ that is named above it.
"""
from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .backend import Array, device_of, to_numpy

Self = TypeVar("Self", bound="Methods")
Number = float                      # in the class these names are those of methods
Flag = bool


class Methods:
    """The base class of Tensor."""

    __slots__ = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def dtype(self) -> np.dtype:
        """The type of the elements."""
        return self.data.dtype

    @property
    def device(self) -> str:
        """Where data is: "cpu" or "cuda"."""
        return device_of(self.data)

    def numel(self) -> int:
        """The number of elements."""
        return self.data.size

    def dim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    def size(self, dim: int | None = None) -> Any:
        """shape, or the size of axis dim."""
        return self.shape if dim is None else self.shape[dim]

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a tensor without axes has no length")
        return len(self.data)

    def __iter__(self: Self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> Flag:
        if self.data.size != 1:
            raise ValueError(f"a tensor {self.shape} is neither true nor false; "
                             "use .any() or .all()")
        return Flag(self.data)

    def __float__(self) -> Any:
        return float(self.item())

    def __int__(self) -> Any:
        return int(self.item())

    def __index__(self) -> Any:
        return operator.index(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec else str(self), spec)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """What `numpy.asarray(tensor)` gives. Raises TypeError for one that requires a gradient."""
        return np.array(to_numpy(self._without_gradient()), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        """For `torch.from_dlpack(tensor)` and the like, which share its memory."""
        return self._without_gradient().__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.data.__dlpack_device__()

    def _without_gradient(self) -> Array:
        if self.requires_grad:
            raise TypeError("a tensor that requires a gradient would lose it on the way to another "
                            "library; use .detach() first")
        return self.data

    def item(self) -> Any:
        """The one element, as a Python number; waits for a GPU. Raises ValueError for several."""
        if self.data.size != 1:
            raise ValueError(f"item: a tensor {self.data.shape} has not one element; use .tolist()")
        return self.data.item()

    def tolist(self) -> Any:
        """The elements as Python numbers, in lists of lists; waits for a GPU."""
        return self.data.tolist()

    def numpy(self) -> np.ndarray:
        """The data as a NumPy array, of no gradient; shares memory with it on the CPU."""
        return to_numpy(self.data)

    # ---- bound by ops/ -----------------------------------------------------------------------

    if TYPE_CHECKING:
        data: Array
        requires_grad: Flag

        # ops/operators.py; an in-place operator such as += changes the tensor itself
        def __add__(self: Self, other: Any) -> Self: ...
        __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = __pow__ = __matmul__ = __add__
        __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __add__
        __rpow__ = __rmatmul__ = pow = __add__
        def __neg__(self: Self) -> Self: ...

        # ops/comparison.py; __eq__ and __ne__ give Tensors, too
        def __lt__(self: Self, other: Any) -> Self: ...
        __le__ = __gt__ = __ge__ = __and__ = __or__ = __xor__ = __lt__
        __rand__ = __ror__ = __rxor__ = __lt__
        def __invert__(self: Self) -> Self: ...

        # ops/elementwise.py
        def abs(self: Self) -> Self: ...
        exp = log = sqrt = reciprocal = __abs__ = abs
        def clamp(self: Self, min: Any = None, max: Any = None) -> Self: ...
        clip = clamp
        def where(self: Self, condition: Any, other: Any) -> Self: ...

        # ops/activation.py
        def relu(self: Self) -> Self: ...
        tanh = sigmoid = relu
        def softmax(self: Self, dim: Any) -> Self: ...
        log_softmax = softmax

        # ops/reduction.py
        def sum(self: Self, dim: Any = None, keepdim: Flag = False) -> Self: ...
        mean = amax = amin = any = all = sum
        def max(self: Self, dim: int | None = None, keepdim: Flag = False) -> Any: ...
        min = max
        def argmax(self: Self, dim: Any = None, keepdim: Flag = False) -> Self: ...
        argmin = argmax
        def var(self: Self, dim: Any = None, unbiased: Flag = True, keepdim: Flag = False, *,
                correction: Number | None = None) -> Self: ...
        std = var

        # ops/shape.py
        T: Any
        def reshape(self: Self, *shape: Any) -> Self: ...
        view = permute = expand = reshape
        def transpose(self: Self, dim0: Any, dim1: Any) -> Self: ...
        def squeeze(self: Self, dim: Any = None) -> Self: ...
        def unsqueeze(self: Self, dim: Any) -> Self: ...
        def flatten(self: Self, start_dim: Any = 0, end_dim: Any = -1) -> Self: ...
        def to(self: Self, device: str | None = None, dtype: Any = None) -> Self: ...
        def clone(self: Self) -> Self: ...
        cpu = cuda = float = double = int = long = bool = clone

        # ops/indexing.py
        def __getitem__(self: Self, index: Any) -> Self: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...

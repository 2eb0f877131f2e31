"""What the ops check before a kernel runs, each failure one sentence that names the argument and
its value."""
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from ..backend import type_name
from ..kernels import ACTIVATIONS, kernels_for
from ..kernels.geometry import Pair, output_size
from ..tensor import FLOATS, Tensor


def pair(op: str, name: str, value: int | Sequence[int], minimum: int) -> Pair:
    """3 -> (3, 3); (2, 4) as it is. Raises ValueError unless both are integers of at least minimum.
    """
    values = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(values) != 2 or not all(isinstance(v, Integral) and v >= minimum for v in values):
        raise ValueError(f"{op}: {name} must be an integer >= {minimum} or a pair of them, "
                         f"not {value!r}")
    return int(values[0]), int(values[1])


def padding_of(op: str, padding: Any, kernel_size: Pair, stride: Pair,
               dilation: Pair) -> tuple[Pair, Pair]:
    """padding as a pair, and how many zeros more at the bottom and right. "valid" is (0, 0); "same"
    keeps the image's size: ValueError for a stride other than 1."""
    if not isinstance(padding, str):
        return pair(op, "padding", padding, 0), (0, 0)
    if padding not in ("same", "valid"):
        raise ValueError(f"{op}: padding must be an integer >= 0, a pair of them, 'same' or "
                         f"'valid', not {padding!r}")
    if padding == "valid":
        return (0, 0), (0, 0)
    if stride != (1, 1):
        raise ValueError(f"{op}: padding 'same' needs stride 1, not {stride}")
    height, width = (d * (k - 1) for d, k in zip(dilation, kernel_size))
    return (height // 2, width // 2), (height % 2, width % 2)


def positive(op: str, **integers: int) -> None:
    for name, value in integers.items():
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{op}: {name} must be an integer >= 1, not {value!r}")


def probability(op: str, p: Any, name: str = "p") -> None:
    if not (isinstance(p, Real) and 0 <= float(p) <= 1):
        raise ValueError(f"{op}: {name} must be in [0, 1], not {p!r}")


def known_activation(op: str, activation: str | None) -> None:
    if activation not in ACTIVATIONS:
        raise ValueError(f"{op}: activation must be one of {ACTIVATIONS}, not {activation!r}")


def one_activation(layer: str, own: str | None, given: str | None) -> str | None:
    """A layer's own activation or that of the call. Raises ValueError where there are both."""
    if own and given:
        raise ValueError(f"{layer}: the layer has its own activation {own!r}, and there is no room "
                         f"for {given!r}")
    return own or given


def floating(op: str, optional: dict[str, Tensor | None] | None = None, **tensors: Tensor) -> None:
    """All are Tensors of one dtype, float32 or float64; those in optional may be None."""
    given: dict[str, Any] = {**tensors, **{name: tensor for name, tensor in (optional or {}).items()
                                           if tensor is not None}}
    for name, tensor in given.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{op}: {name} must be a Tensor, not {type_name(tensor)}")
        if tensor.dtype.name not in FLOATS:
            raise TypeError(f"{op}: {name} must be {' or '.join(FLOATS)}, not {tensor.dtype}")
    (first, like), *others = given.items()
    for name, tensor in others:
        if tensor.dtype != like.dtype:
            raise TypeError(f"{op}: {first} is {like.dtype} but {name} is {tensor.dtype}; "
                            "convert one with .to(dtype=...)")


def axes_of(op: str, x: Tensor, dim: Any) -> tuple[int, ...]:
    """The axes of x, from 0, that dim names: an int or several; all for None and ().

    A tensor without axes is reduced along 0 or -1, too, as in PyTorch. Raises TypeError for what
    is no int, ValueError for what is no axis of x or one twice.
    """
    if dim is None or isinstance(dim, tuple) and not dim:
        return tuple(range(x.ndim))
    dims: Any = (dim,) if isinstance(dim, Integral) else dim
    if isinstance(dim, (bool, Tensor, str)) or not (
            isinstance(dims, Sequence) and all(isinstance(d, Integral) for d in dims)):
        raise TypeError(f"{op}: dim must be an int, several or None, not {dim!r:.60}")
    for d in dims:
        if not -max(x.ndim, 1) <= d < max(x.ndim, 1):
            raise ValueError(f"{op}: dim {d} is not an axis of x {x.shape}")
    axes = tuple(int(d) % max(x.ndim, 1) for d in dims)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{op}: dim {dim} names an axis of x {x.shape} twice")
    return axes if x.ndim else ()


def images(op: str, x: Tensor) -> None:
    """x is a batch of images (N, C, H, W), N may be 0."""
    floating(op, x=x)
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise ValueError(f"{op}: x must be (N, C, H, W) with C, H and W at least 1, not {x.shape}")


def windows_fit(op: str, x: Tensor, kernel_size: Pair, stride: Pair, padding: Pair,
                dilation: Pair = (1, 1), ceil_mode: bool = False) -> None:
    sides = zip(("height", "width"), x.shape[2:], kernel_size, stride, padding, dilation)
    for axis, image, k, s, p, d in sides:
        if not output_size(image, k, s, p, d, ceil_mode):
            raise ValueError(f"{op}: a window of {axis} {d * (k - 1) + 1} does not fit "
                             f"x {x.shape}, whose {axis} with padding is {image + 2 * p}")


def kernel_gave(op: str, y: Tensor, shape: tuple[int, ...]) -> Tensor:
    """y, which a kernel computed. Raises ValueError unless it has that shape."""
    if y.shape != shape:
        raise ValueError(f"{op}: the kernel of the set {kernels_for(y.data).name!r} returned "
                         f"{y.shape}, but the output is {shape}")
    return y

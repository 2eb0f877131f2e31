"""Convolution, and the two rearrangements it is made of.

Sizes and shapes: see `minitensor.kernels`; OH and OW: `output_size` in `kernels/geometry.py`.
"""
from ..backend import xp_of
from ..kernels import Epilogue, kernels_for
from ..kernels.geometry import Pair, output_sizes
from ..tensor import Op, Tensor
from .checks import (floating, images, kernel_gave, known_activation, padding_of, pair, positive,
                     windows_fit)
from .shape import cat


class Conv2d(Op):
    takes_none = True                   # b and residual may be None

    def __init__(self, stride: Pair, padding: Pair, dilation: Pair, groups: int,
                 activation: str | None):
        self.geometry, self.activation = (stride, padding, dilation, groups), activation

    def forward(self, x, w, b, residual):   # (N, C, H, W), (F, C/G, KH, KW) -> y (N, F, OH, OW)
        epilogue = Epilogue(b, residual, self.activation)
        y = kernels_for(x).conv2d(x, w, epilogue, *self.geometry)
        self.x, self.w, self.y = x, w, y if self.activation else None
        return y

    def backward(self, dy):                 # dy (N, F, OH, OW) -> dx, dw, db, dresidual
        return kernels_for(dy).conv2d_backward(dy, self.x, self.w, self.y, *self.geometry,
                                               self.activation, self.needs)


class Im2col(Op):
    def __init__(self, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair):
        self.kernel_size, self.geometry = kernel_size, (stride, padding, dilation)

    def forward(self, x):                   # (N, C, H, W) -> (N, C, KH, KW, OH, OW)
        self.image_size = x.shape[2:]
        return kernels_for(x).im2col(x, self.kernel_size, *self.geometry)

    def backward(self, dcolumns):
        return kernels_for(dcolumns).col2im(dcolumns, self.image_size, *self.geometry)


class Col2im(Op):
    def __init__(self, image_size: Pair, stride: Pair, padding: Pair, dilation: Pair):
        self.image_size, self.geometry = image_size, (stride, padding, dilation)

    def forward(self, columns):             # (N, C, KH, KW, OH, OW) -> (N, C, H, W)
        self.kernel_size = columns.shape[2:4]
        return kernels_for(columns).col2im(columns, self.image_size, *self.geometry)

    def backward(self, dx):
        return kernels_for(dx).im2col(dx, self.kernel_size, *self.geometry)


def conv2d(x: Tensor, w: Tensor, b: Tensor | None = None, stride=1, padding=0, dilation=1,
           groups: int = 1, *, residual: Tensor | None = None,
           activation: str | None = None) -> Tensor:
    """activation(w * x + b + residual): cross-correlate x (N, C, H, W) with filters w
    (F, C / groups, KH, KW), add b (F,) and residual (N, F, OH, OW) -> (N, F, OH, OW).

    stride, padding (zeros), dilation: an int or a (vertical, horizontal) pair. padding may be
    "valid", for none, or, with stride 1, "same": (OH, OW) is (H, W), and of an odd number of zeros
    the last is at the bottom or right. groups cuts the channels and the filters into that many
    parts that do not see each other (the paper's two towers). activation: None, "relu", "tanh" or
    "sigmoid", computed while the output is still in fast memory. Raises ValueError naming the
    argument when shapes do not fit.
    """
    images("conv2d", x)
    floating("conv2d", {"b": b, "residual": residual}, x=x, w=w)
    known_activation("conv2d", activation)
    stride, dilation = pair("conv2d", "stride", stride, 1), pair("conv2d", "dilation", dilation, 1)
    _check_filters(x, w, b, groups)
    kernel_size = (w.shape[2], w.shape[3])
    padding, odd = padding_of("conv2d", padding, kernel_size, stride, dilation)
    for axis in (2, 3):
        if odd[axis - 2]:
            row = (*x.shape[:axis], 1, *x.shape[axis + 1:])
            x = cat([x, Tensor(xp_of(x.data).zeros(row, x.dtype))], axis)
    windows_fit("conv2d", x, kernel_size, stride, padding, dilation)
    sizes = output_sizes((x.shape[2], x.shape[3]), kernel_size, stride, padding, dilation)
    out = (len(x), len(w), *sizes)
    if residual is not None and residual.shape != out:
        raise ValueError(f"conv2d: residual must be {out}, like the output, not {residual.shape}")
    y = Conv2d(stride, padding, dilation, groups, activation)(x, w, b, residual)
    return kernel_gave("conv2d", y, out)


def _geometry(op: str, stride, padding, dilation) -> tuple[Pair, Pair, Pair]:
    return (pair(op, "stride", stride, 1), pair(op, "padding", padding, 0),
            pair(op, "dilation", dilation, 1))


def _check_filters(x: Tensor, w: Tensor, b: Tensor | None, groups: int) -> None:
    if w.ndim != 4 or 0 in w.shape:
        raise ValueError(f"conv2d: w must be (F, C / groups, KH, KW) with every size at least 1, "
                         f"not {w.shape}")
    positive("conv2d", groups=groups)
    if len(w) % groups:
        raise ValueError(f"conv2d: groups must divide the {len(w)} filters of w {w.shape}, "
                         f"not {groups}")
    if x.shape[1] != w.shape[1] * groups:
        in_groups = f" in {groups} groups" if groups > 1 else ""
        raise ValueError(f"conv2d: x has {x.shape[1]} channels but w expects "
                         f"{w.shape[1] * groups}{in_groups} (x {x.shape}, w {w.shape})")
    if b is not None and b.shape != (len(w),):
        raise ValueError(f"conv2d: b must be ({len(w)},) for w {w.shape}, not {b.shape}")


def im2col(x: Tensor, kernel_size, stride=1, padding=0, dilation=1) -> Tensor:
    """columns (N, C, KH, KW, OH, OW): the pixels under each window of x (N, C, H, W). With it a
    convolution is one matrix product."""
    images("im2col", x)
    kernel_size = pair("im2col", "kernel_size", kernel_size, 1)
    geometry = _geometry("im2col", stride, padding, dilation)
    windows_fit("im2col", x, kernel_size, *geometry)
    return Im2col(kernel_size, *geometry)(x)


def col2im(columns: Tensor, image_size, stride=1, padding=0, dilation=1) -> Tensor:
    """The adjoint of im2col: columns (N, C, KH, KW, OH, OW) added up where im2col took them from,
    giving (N, C, *image_size).

    Raises ValueError when im2col of such an image would not have the shape of columns.
    """
    floating("col2im", columns=columns)
    if columns.ndim != 6:
        raise ValueError(f"col2im: columns must be (N, C, KH, KW, OH, OW), not {columns.shape}")
    image_size = pair("col2im", "image_size", image_size, 1)
    geometry = _geometry("col2im", stride, padding, dilation)
    KH, KW, OH, OW = columns.shape[2:]
    if output_sizes(image_size, (KH, KW), *geometry) != (OH, OW):
        raise ValueError(f"col2im: columns {columns.shape} are not those of an image {image_size} "
                         f"with stride {geometry[0]}, padding {geometry[1]}, "
                         f"dilation {geometry[2]}")
    return Col2im(image_size, *geometry)(columns)

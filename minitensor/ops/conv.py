"""Convolution, and the two rearrangements it is made of.

Sizes and shapes: see `minitensor.kernels`. OH = floor((H + 2·padding - dilation·(KH - 1) - 1) / stride) + 1, and OW alike.
"""
from ..kernels import kernels_for
from ..tensor import Op, Tensor
from .checks import Pair, floating, images, pair, positive, windows_fit


class Conv2d(Op):
    """y = w * x + b, then max(y, 0) if relu: fused because the output of a convolution is large and memory slow."""

    def __init__(self, stride: Pair, padding: Pair, dilation: Pair, groups: int, relu: bool):
        self.geometry, self.relu = (stride, padding, dilation, groups), relu

    def forward(self, x, w, b=None):                                   # x (N, C, H, W), w (F, C/G, KH, KW), b (F,) -> y (N, F, OH, OW)
        y = kernels_for(x).conv2d(x, w, b, *self.geometry, self.relu)
        self.x, self.w, self.y = x, w, y if self.relu else None
        return y

    def backward(self, dy):                                            # dy (N, F, OH, OW) -> dx, dw, db of the inputs' shapes
        needs = (*self.needs, False)[:3]
        return kernels_for(dy).conv2d_backward(dy, self.x, self.w, self.y, *self.geometry, needs)[:len(self.needs)]


class Im2col(Op):
    def __init__(self, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair):
        self.kernel_size, self.geometry = kernel_size, (stride, padding, dilation)

    def forward(self, x):                                              # (N, C, H, W) -> (N, C, KH, KW, OH, OW)
        self.image_size = x.shape[2:]
        return kernels_for(x).im2col(x, self.kernel_size, *self.geometry)

    def backward(self, dcolumns):
        return kernels_for(dcolumns).col2im(dcolumns, self.image_size, *self.geometry)


class Col2im(Op):
    def __init__(self, image_size: Pair, stride: Pair, padding: Pair, dilation: Pair):
        self.image_size, self.geometry = image_size, (stride, padding, dilation)

    def forward(self, columns):                                        # (N, C, KH, KW, OH, OW) -> (N, C, H, W)
        self.kernel_size = columns.shape[2:4]
        return kernels_for(columns).col2im(columns, self.image_size, *self.geometry)

    def backward(self, dx):
        return kernels_for(dx).im2col(dx, self.kernel_size, *self.geometry)


def conv2d(x: Tensor, w: Tensor, b: Tensor | None = None, stride=1, padding=0, dilation=1, groups: int = 1, *,
           relu: bool = False) -> Tensor:
    """Cross-correlate x (N, C, H, W) with filters w (F, C / groups, KH, KW), add b (F,): y (N, F, OH, OW); then max(y, 0) if relu.

    stride, padding (zeros), dilation: an int or a (vertical, horizontal) pair. groups cuts the channels and the filters into that many
    parts that do not see each other (the paper's two towers). Raises ValueError naming the argument when shapes do not fit.
    """
    images("conv2d", x)
    floating("conv2d", x=x, w=w, b=b)
    stride = pair("conv2d", "stride", stride, 1)
    padding = pair("conv2d", "padding", padding, 0)
    dilation = pair("conv2d", "dilation", dilation, 1)
    _check_filters(x, w, b, groups)
    windows_fit("conv2d", x, (w.shape[2], w.shape[3]), padding, dilation)
    return Conv2d(stride, padding, dilation, groups, relu)(*((x, w) if b is None else (x, w, b)))


def _check_filters(x: Tensor, w: Tensor, b: Tensor | None, groups: int) -> None:
    if w.ndim != 4 or 0 in w.shape:
        raise ValueError(f"conv2d: w must be (F, C / groups, KH, KW) with every size at least 1, not {w.shape}")
    positive("conv2d", groups=groups)
    if len(w) % groups:
        raise ValueError(f"conv2d: groups must divide the {len(w)} filters of w {w.shape}, not {groups}")
    if x.shape[1] != w.shape[1] * groups:
        in_groups = f" in {groups} groups" if groups > 1 else ""
        raise ValueError(f"conv2d: x has {x.shape[1]} channels but w expects {w.shape[1] * groups}{in_groups} (x {x.shape}, w {w.shape})")
    if b is not None and b.shape != (len(w),):
        raise ValueError(f"conv2d: b must be ({len(w)},) for w {w.shape}, not {b.shape}")


def im2col(x: Tensor, kernel_size, stride=1, padding=0, dilation=1) -> Tensor:
    """columns (N, C, KH, KW, OH, OW): the pixels under each window of x (N, C, H, W). With it a convolution is one matrix product."""
    images("im2col", x)
    kernel_size = pair("im2col", "kernel_size", kernel_size, 1)
    geometry = pair("im2col", "stride", stride, 1), pair("im2col", "padding", padding, 0), pair("im2col", "dilation", dilation, 1)
    windows_fit("im2col", x, kernel_size, geometry[1], geometry[2])
    return Im2col(kernel_size, *geometry)(x)


def col2im(columns: Tensor, image_size, stride=1, padding=0, dilation=1) -> Tensor:
    """The adjoint of im2col: columns (N, C, KH, KW, OH, OW) added up where im2col took them from, giving (N, C, *image_size).

    Raises ValueError when im2col of such an image would not have the shape of columns.
    """
    floating("col2im", columns=columns)
    if columns.ndim != 6:
        raise ValueError(f"col2im: columns must be (N, C, KH, KW, OH, OW), not {columns.shape}")
    image_size = pair("col2im", "image_size", image_size, 1)
    geometry = pair("col2im", "stride", stride, 1), pair("col2im", "padding", padding, 0), pair("col2im", "dilation", dilation, 1)
    for image, k, out, s, p, d in zip(image_size, columns.shape[2:4], columns.shape[4:], *geometry):
        if (image + 2 * p - d * (k - 1) - 1) // s + 1 != out:
            raise ValueError(f"col2im: columns {columns.shape} are not those of an image {image_size} "
                             f"with stride {geometry[0]}, padding {geometry[1]}, dilation {geometry[2]}")
    return Col2im(image_size, *geometry)(columns)

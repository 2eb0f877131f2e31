"""Windows, im2col and convolution."""
from ...backend import Array, xp_of
from .activation import relu_backward

Pair = tuple[int, int]


def output_size(image: int, kernel: int, stride: int, padding: int, dilation: int = 1, ceil_mode: bool = False) -> int:
    """How many windows fit along one side; with ceil_mode a last window may hang over the end if it starts inside (PyTorch's rule)."""
    room = image + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    size = -(-room // stride) + 1
    return size - 1 if (size - 1) * stride >= image + padding else size


def _pad(x: Array, padding: Pair, value: float, extra: Pair = (0, 0)) -> Array:
    """x with value around its last two axes; extra rows and columns go below and to the right."""
    (ph, pw), (eh, ew) = padding, extra
    return xp_of(x).pad(x, ((0, 0), (0, 0), (ph, ph + eh), (pw, pw + ew)), constant_values=value)


def _windows(x: Array, kernel_size: Pair, stride: Pair, dilation: Pair, out: Pair) -> Array:
    """A view (N, C, KH, KW, OH, OW) of x: entry [.., i, j, oh, ow] is x[.., oh·SH + i·DH, ow·SW + j·DW]. No copy is made."""
    (sn, sc, sh, sw), (KH, KW) = x.strides, kernel_size
    shape = (*x.shape[:2], KH, KW, *out)
    strides = (sn, sc, sh * dilation[0], sw * dilation[1], sh * stride[0], sw * stride[1])
    return xp_of(x).lib.stride_tricks.as_strided(x, shape, strides)


def _scatter_windows(dwindows: Array, image_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """The adjoint of `_pad` then `_windows`: every entry of dwindows (N, C, KH, KW, OH, OW) is added where it was read."""
    N, C, KH, KW, OH, OW = dwindows.shape
    (H, W), (PH, PW), (SH, SW), (DH, DW) = image_size, padding, stride, dilation
    height = max(H + 2 * PH, (KH - 1) * DH + (OH - 1) * SH + 1)             # a ceil_mode window may hang over the end
    width = max(W + 2 * PW, (KW - 1) * DW + (OW - 1) * SW + 1)
    dx = xp_of(dwindows).zeros((N, C, height, width), dtype=dwindows.dtype)
    for i in range(KH):
        for j in range(KW):
            dx[:, :, i * DH: i * DH + OH * SH: SH, j * DW: j * DW + OW * SW: SW] += dwindows[:, :, i, j]
    return dx[:, :, PH: PH + H, PW: PW + W]


def im2col(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """columns (N, C, KH, KW, OH, OW): under every output pixel the pixels of x its window sees, zeros outside the image."""
    OH, OW = (output_size(*side) for side in zip(x.shape[2:], kernel_size, stride, padding, dilation))
    return xp_of(x).ascontiguousarray(_windows(_pad(x, padding, 0.0), kernel_size, stride, dilation, (OH, OW)))


def col2im(columns: Array, image_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """(N, C, H, W): the adjoint of im2col; overlapping windows add up."""
    return _scatter_windows(columns, image_size, stride, padding, dilation)


def conv2d(x: Array, w: Array, b: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int, relu: bool) -> Array:
    """y (N, F, OH, OW): one matrix product of the filters with the columns of x (per group), plus b, then max(·, 0) if relu."""
    columns = im2col(x, w.shape[2:], stride, padding, dilation)                     # (N, C, KH, KW, OH, OW)
    (N, *_, OH, OW), F = columns.shape, len(w)
    w_rows = w.reshape(groups, F // groups, -1)                                     # (G, F/G, C/G·KH·KW)
    columns = columns.reshape(N, groups, w_rows.shape[2], OH * OW)                  # (N, G, C/G·KH·KW, OH·OW)
    y = (w_rows @ columns).reshape(N, F, OH, OW)                                    # (N, G, F/G, OH·OW) before
    if b is not None:
        y += b[:, None, None]
    return xp_of(y).maximum(y, 0) if relu else y


def conv2d_backward(dy: Array, x: Array, w: Array, y: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int,
                    needs: tuple[bool, bool, bool]) -> tuple[Array | None, ...]:
    """dx (N, C, H, W), dw (F, C/G, KH, KW), db (F,); None for each that needs does not ask for.

    y is the forward's output if it ended in relu, else None.
    """
    if y is not None:
        dy = relu_backward(dy, y)
    (N, F, OH, OW), (_, C_per_group, KH, KW) = dy.shape, w.shape
    dy_rows, w_rows = dy.reshape(N, groups, F // groups, OH * OW), w.reshape(groups, F // groups, -1)
    dx = dw = None
    if needs[0]:
        dcolumns = w_rows.swapaxes(1, 2) @ dy_rows                                   # (N, G, C/G·KH·KW, OH·OW)
        dx = col2im(dcolumns.reshape(N, groups * C_per_group, KH, KW, OH, OW), x.shape[2:], stride, padding, dilation)
    if needs[1]:
        columns = im2col(x, (KH, KW), stride, padding, dilation).reshape(N, groups, w_rows.shape[2], OH * OW)
        dw = (dy_rows @ columns.swapaxes(2, 3)).sum(axis=0).reshape(w.shape)
    db = dy.sum(axis=(0, 2, 3)) if needs[2] else None
    return dx, dw, db

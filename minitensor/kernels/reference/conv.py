"""im2col, its adjoint, and the convolution that is one matrix product with them."""
from ...backend import Array, sum_of, xp_of
from ..epilogue import Epilogue, Needs
from ..geometry import Pair, output_sizes, reaches
from .epilogue import before_activation, finish


def im2col(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """columns (N, C, KH, KW, OH, OW): under every output pixel the pixels of x (N, C, H, W) that
    its window sees, zeros outside the image."""
    xp, (KH, KW), (PH, PW) = xp_of(x), kernel_size, padding
    out = output_sizes(x.shape[2:], kernel_size, stride, padding, dilation)
    padded = xp.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)))
    columns = xp.empty((*x.shape[:2], KH, KW, *out), x.dtype)
    for i in range(KH):
        for j in range(KW):
            columns[:, :, i, j] = padded[cell(i, j, out, stride, dilation)]
    return columns


def col2im(columns: Array, image_size: Pair, stride: Pair, padding: Pair,
           dilation: Pair) -> Array:
    """(N, C, H, W), the adjoint of im2col: every entry of columns (N, C, KH, KW, OH, OW) is added
    where im2col read it."""
    N, C, KH, KW, *out = columns.shape
    (H, W), (PH, PW) = image_size, padding
    padded = xp_of(columns).zeros((N, C, H + 2 * PH, W + 2 * PW), columns.dtype)
    for i in range(KH):
        for j in range(KW):
            padded[cell(i, j, out, stride, dilation)] += columns[:, :, i, j]
    return padded[:, :, PH: PH + H, PW: PW + W]


def cell(i: int, j: int, out: Pair, stride: Pair, dilation: Pair = (1, 1)) -> tuple:
    """The index of a padded image (N, C, ...) that picks cell (i, j) of all windows at once."""
    (height, width), (SH, SW) = reaches(out, (1, 1), stride), stride
    top, left = i * dilation[0], j * dilation[1]
    return ..., slice(top, top + height, SH), slice(left, left + width, SW)


def conv2d(x: Array, w: Array, epilogue: Epilogue, stride: Pair, padding: Pair, dilation: Pair,
           groups: int) -> Array:
    """y (N, F, OH, OW): one matrix product of the filters w (F, C/G, KH, KW) with the columns of x
    (per group), then the epilogue. What is not finite reaches the outputs whose windows hold it, no
    others; padding counts as zeros, which an infinite weight makes NaN."""
    columns = im2col(x, w.shape[2:], stride, padding, dilation)     # (N, C, KH, KW, OH, OW)
    (N, *_, OH, OW), F = columns.shape, len(w)
    w_rows = w.reshape(groups, F // groups, -1)                     # (G, F/G, C/G·KH·KW)
    columns = columns.reshape(N, groups, w_rows.shape[2], OH * OW)  # (N, G, C/G·KH·KW, OH·OW)
    y = w_rows @ columns                                            # (N, G, F/G, OH·OW)
    return finish(y.reshape(N, F, OH, OW), epilogue)


def conv2d_backward(dy: Array, x: Array, w: Array, y: Array | None, stride: Pair, padding: Pair,
                    dilation: Pair, groups: int, activation: str | None,
                    needs: Needs) -> tuple[Array | None, ...]:
    """dx (N, C, H, W), dw (F, C/G, KH, KW), dbias (F,), dresidual (N, F, OH, OW); None for each
    that needs leaves out. y is the forward's output if there is an activation, else None."""
    dy = before_activation(dy, y, activation)
    (N, F, OH, OW), (_, C_per_group, KH, KW) = dy.shape, w.shape
    dy_rows = dy.reshape(N, groups, F // groups, OH * OW)
    w_rows = w.reshape(groups, F // groups, -1)                     # (G, F/G, C/G·KH·KW)
    dx = dw = None
    if needs[0]:
        dcolumns = w_rows.swapaxes(1, 2) @ dy_rows                  # (N, G, C/G·KH·KW, OH·OW)
        dcolumns = dcolumns.reshape(N, groups * C_per_group, KH, KW, OH, OW)
        dx = col2im(dcolumns, x.shape[2:], stride, padding, dilation)
    if needs[1]:
        columns = im2col(x, (KH, KW), stride, padding, dilation)
        columns = columns.reshape(N, groups, w_rows.shape[2], OH * OW)
        dw = sum_of(dy_rows @ columns.swapaxes(2, 3), 0).reshape(w.shape)
    dbias = sum_of(dy, (0, 2, 3)) if needs[2] else None
    return dx, dw, dbias, dy if needs[3] else None

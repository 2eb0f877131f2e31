"""Pooling: the maximum or the mean of each window."""
from ...backend import Array, xp_of
from .conv import Pair, _pad, _scatter_windows, _windows, output_size


def _pool_output(image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool) -> Pair:
    OH, OW = (output_size(*side, ceil_mode=ceil_mode) for side in zip(image_size, kernel_size, stride, padding))
    return OH, OW


def _pool_windows(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, out: Pair, value: float) -> Array:
    """Windows (N, C, KH, KW, OH, OW) of x, padded with value as far as the windows reach."""
    extra = tuple(max(0, (o - 1) * s + k - i - 2 * p) for o, i, k, s, p in zip(out, x.shape[2:], kernel_size, stride, padding))
    return _windows(_pad(x, padding, value, extra), kernel_size, stride, (1, 1), out)


def max_pool2d(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
               with_winner: bool) -> tuple[Array, Array | None]:
    """y (N, C, OH, OW) and winner (N, C, OH, OW), the cell i·KW + j of each window that held the maximum, the first pixel on ties.

    Padding is -inf, and never wins. winner is uint8 (int32 for windows of more than 256 cells), None without with_winner.
    """
    xp, cells = xp_of(x), kernel_size[0] * kernel_size[1]
    out = _pool_output(x.shape[2:], kernel_size, stride, padding, ceil_mode)
    windows = _pool_windows(x, kernel_size, stride, padding, out, -xp.inf)
    windows = windows.reshape(*x.shape[:2], cells, *out)                                  # (N, C, KH·KW, OH, OW)
    y = windows.max(axis=2)
    if not with_winner:
        return y, None
    rows, columns = (xp.maximum(0, p - s * xp.arange(o)) for o, s, p in zip(out, stride, padding))
    first_pixel = rows[:, None] * kernel_size[1] + columns                                # (OH, OW), cells before it are padding
    winner = xp.where(y == -xp.inf, first_pixel, windows.argmax(axis=2))
    return y, winner.astype(xp.uint8 if cells <= 256 else xp.int32)


def max_pool2d_backward(dy: Array, winner: Array, image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    """dx (N, C, H, W): each dy goes to the cell that won its window; overlapping windows add up."""
    xp, cells = xp_of(dy), kernel_size[0] * kernel_size[1]
    won = winner[:, :, None] == xp.arange(cells, dtype=winner.dtype).reshape(-1, 1, 1)    # (N, C, KH·KW, OH, OW)
    dwindows = (won * dy[:, :, None]).reshape(*dy.shape[:2], *kernel_size, *dy.shape[2:])
    return _scatter_windows(dwindows, image_size, stride, padding, (1, 1))


def _pool_divisor(like: Array, image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, out: Pair,
                  count_include_pad: bool) -> Array:
    """(OH, OW): how many cells each average counts; rows that only ceil_mode adds never count, padding if count_include_pad."""
    image = xp_of(like).ones((1, 1, *image_size), dtype=like.dtype)
    counted = _pad(image, padding, float(count_include_pad))
    return _pool_windows(counted, kernel_size, stride, (0, 0), out, 0.0)[0, 0].sum(axis=(0, 1))


def avg_pool2d(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool) -> Array:
    """y (N, C, OH, OW): the mean of each window over the cells that count (see `_pool_divisor`)."""
    out = _pool_output(x.shape[2:], kernel_size, stride, padding, ceil_mode)
    divisor = _pool_divisor(x, x.shape[2:], kernel_size, stride, padding, out, count_include_pad)
    return _pool_windows(x, kernel_size, stride, padding, out, 0.0).sum(axis=(2, 3)) / divisor


def avg_pool2d_backward(dy: Array, image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair,
                        count_include_pad: bool) -> Array:
    """dx (N, C, H, W): each dy is shared equally among the cells of its window."""
    divisor = _pool_divisor(dy, image_size, kernel_size, stride, padding, dy.shape[2:], count_include_pad)
    shape = (*dy.shape[:2], *kernel_size, *dy.shape[2:])
    dwindows = xp_of(dy).broadcast_to((dy / divisor)[:, :, None, None], shape)
    return _scatter_windows(dwindows, image_size, stride, padding, (1, 1))


def _adaptive_bounds(image: int, out: int) -> list[slice]:
    """Window i covers floor(i·image/out) up to ceil((i+1)·image/out): PyTorch's rule, windows may overlap by one."""
    return [slice(i * image // out, -(-(i + 1) * image // out)) for i in range(out)]


def adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    """y (N, C, *output_size): the image cut into that many nearly equal windows, and the mean of each."""
    y = xp_of(x).empty((*x.shape[:2], *output_size), dtype=x.dtype)
    for oh, rows in enumerate(_adaptive_bounds(x.shape[2], output_size[0])):
        for ow, columns in enumerate(_adaptive_bounds(x.shape[3], output_size[1])):
            y[:, :, oh, ow] = x[:, :, rows, columns].mean(axis=(2, 3))
    return y


def adaptive_avg_pool2d_backward(dy: Array, image_size: Pair) -> Array:
    """dx (N, C, H, W)."""
    dx = xp_of(dy).zeros((*dy.shape[:2], *image_size), dtype=dy.dtype)
    for oh, rows in enumerate(_adaptive_bounds(image_size[0], dy.shape[2])):
        for ow, columns in enumerate(_adaptive_bounds(image_size[1], dy.shape[3])):
            cells = (rows.stop - rows.start) * (columns.stop - columns.start)
            dx[:, :, rows, columns] += dy[:, :, oh, ow, None, None] / cells
    return dx

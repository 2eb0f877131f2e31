"""The fast convolution: which algorithm takes which shape, and the gradients in terms of them."""
import numpy as np

from ..epilogue import Epilogue, Needs
from ..geometry import Pair, output_sizes
from . import im2col_conv, tuning, winograd_conv, winograd_range
from .blocks import PaddedInput, as_nhwc, empty_nhwc, select, split
from .epilogue import before_activation
from .im2col_conv import Windows
from .memory import scratch
from .threads import parallel_for
from .winograd import Tiling, best_tiling, transform_filters


def winograd_tiling(images: int, C: int, F: int, windows: Windows, groups: int,
                    out: Pair) -> Tiling | None:
    """The tiles of Winograd's algorithm where it pays, else None: im2col, which takes all shapes.

    It pays where it makes less than WINOGRAD_WORTH of the multiplications of the definition,
    counted as in `winograd.multiplications`. With few images it does not: to transform the filters
    and to read them, 2.5 to 5 times as large as before, then costs more than the products.
    """
    K = windows.kernel[0]
    if windows.kernel != (K, K) or K not in (3, 4, 5) or windows[1:] != ((1, 1), (1, 1)):
        return None
    tiling, multiplications = best_tiling(images, C, F, groups, K, out)
    direct = images * out[0] * out[1] * K * K * C * F // groups
    return tiling if multiplications < tuning.WINOGRAD_WORTH * direct else None


def conv2d(x: np.ndarray, w: np.ndarray, epilogue: Epilogue, stride: Pair, padding: Pair,
           dilation: Pair, groups: int) -> np.ndarray:
    out = output_sizes(x.shape[2:], w.shape[2:], stride, padding, dilation)
    y = empty_nhwc((len(x), len(w), *out), x.dtype)
    epilogue = epilogue._replace(residual=as_nhwc(epilogue.residual))
    _convolve(PaddedInput(as_nhwc(x), None, padding), w, epilogue,
              Windows(w.shape[2:], stride, dilation), groups, as_nhwc(y))
    return y


def _convolve(x: PaddedInput, w: np.ndarray, epilogue: Epilogue, windows: Windows, groups: int,
              y: np.ndarray) -> None:
    """conv2d into y (N, OH, OW, F); the residual is laid out as y."""
    N, OH, OW, F = y.shape
    tiling = winograd_tiling(N, x.x.shape[3], F, windows, groups, (OH, OW))
    filters = transform_filters(w, groups, tiling) if tiling else None
    if tiling is None or filters is None:
        return im2col_conv.convolve(x, w, epilogue, windows, groups, y)
    direct = winograd_range.wide_images(x, groups, tiling, (OH, OW))
    if direct.all():
        im2col_conv.convolve(x, w, epilogue, windows, groups, y)
    elif not direct.any():
        winograd_conv.convolve(x, filters, epilogue, tiling, y)
    else:
        for some in direct, ~direct:
            residual = None if epilogue.residual is None else epilogue.residual[some]
            part = np.empty_like(y[some])
            _convolve(x.images(some), w, epilogue._replace(residual=residual), windows, groups,
                      part)
            y[some] = part


def conv2d_backward(dy: np.ndarray, x: np.ndarray, w: np.ndarray, y: np.ndarray | None,
                    stride: Pair, padding: Pair, dilation: Pair, groups: int,
                    activation: str | None, needs: Needs) -> tuple[np.ndarray | None, ...]:
    """Each gradient applies a relu where it reads dy, which costs less than one pass of its own.

    The gradient behind any other activation is written first; that behind a relu too if somebody
    needs it, the residual."""
    if activation != "relu" or needs[3]:
        dy, y = before_activation(dy, y, activation), None
    source, windows = PaddedInput(as_nhwc(dy), as_nhwc(y)), Windows(w.shape[2:], stride, dilation)
    dx = _input_gradient(source, x.shape, w, windows, padding, groups) if needs[0] else None
    dw = _weight_gradient(source, x, w, windows, padding, groups) if needs[1] else None
    return dx, dw, _bias_gradient(source) if needs[2] else None, dy if needs[3] else None


def _input_gradient(dy: PaddedInput, shape: tuple[int, ...], w: np.ndarray, windows: Windows,
                    padding: Pair, groups: int) -> np.ndarray:
    """With a stride of 1 it is a convolution of dy with the filters turned by half a circle, the
    roles of C and F exchanged."""
    dx = empty_nhwc(shape, dy.x.dtype)
    reach = [(k - 1) * d - p for k, d, p in zip(windows.kernel, windows.dilation, padding)]
    if windows.stride == (1, 1) and min(reach) >= 0:
        F, _, KH, KW = w.shape
        by_group = w[:, :, ::-1, ::-1].reshape(groups, F // groups, -1, KH, KW)
        turned = by_group.swapaxes(1, 2).reshape(shape[1], F // groups, KH, KW)
        _convolve(dy._replace(padding=(reach[0], reach[1])), turned, Epilogue(), windows, groups,
                  as_nhwc(dx))
    else:
        im2col_conv.input_gradient(dy, w, windows, padding, groups, as_nhwc(dx))
    return dx


def _weight_gradient(dy: PaddedInput, x: np.ndarray, w: np.ndarray, windows: Windows, padding: Pair,
                     groups: int) -> np.ndarray:
    """In w's own order in memory, so that the optimizer reads both alike."""
    dw = empty_nhwc(w.shape, w.dtype)
    _add_up_weights(dy, PaddedInput(as_nhwc(x), None, padding), windows, groups, as_nhwc(dw))
    return dw if as_nhwc(w).flags.c_contiguous else np.ascontiguousarray(dw)


def _add_up_weights(dy: PaddedInput, x: PaddedInput, windows: Windows, groups: int,
                    dw: np.ndarray) -> None:
    """Fills dw (F, KH, KW, C/G)."""
    N, OH, OW, F = dy.x.shape
    if N == 0:
        return dw.fill(0)
    tiling = winograd_tiling(N, x.x.shape[3], F, windows, groups, (OH, OW))
    if tiling is None:
        return im2col_conv.weight_gradient(dy, x, windows, groups, dw)
    direct = winograd_range.wide_images(x, groups, tiling, (OH, OW))
    if not direct.all():
        direct |= winograd_range.infinite_images(dy)
    if direct.all():
        im2col_conv.weight_gradient(dy, x, windows, groups, dw)
    elif not direct.any():
        winograd_conv.weight_gradient(dy, x, groups, tiling, dw)
    else:
        rest = np.empty_like(dw)
        for some, part in (direct, dw), (~direct, rest):
            _add_up_weights(dy.images(some), x.images(some), windows, groups, part)
        np.add(dw, rest, out=dw)


def _bias_gradient(dy: PaddedInput) -> np.ndarray:
    """db (F,): one sum per image, then the sum of those, in float64 as `backend.sum_of`."""
    N, OH, OW, F = dy.x.shape
    sums = np.empty((N, F))

    def add_up(images: slice) -> None:
        masked = dy.x[images]
        if dy.relu_output is not None:
            masked = select(dy.relu_output[images] != 0, masked,
                            scratch("masked", masked.shape, masked.dtype))
        np.add.reduce(masked, axis=(1, 2), out=sums[images])

    image_bytes = max(1, OH * OW * F * dy.x.itemsize)
    parallel_for(add_up, split(N, max(1, tuning.BIAS_GRADIENT_BYTES // image_bytes)))
    return sums.sum(axis=0).astype(dy.x.dtype)

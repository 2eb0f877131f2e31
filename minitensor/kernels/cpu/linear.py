"""The fast linear layer: w is cut into rows (forward, dw) or columns (dx), one matrix product each."""
import numpy as np

from .blocks import split
from .memory import empty, scratch
from .threads import parallel_for

BLOCK = 512                         # rows of w a piece: a few MB, so that there are pieces for every thread


def linear(x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    y = empty((len(x), len(w)), x.dtype)

    def multiply(filters: slice) -> None:
        product = scratch("product", (filters.stop - filters.start, len(x)), x.dtype)
        np.matmul(w[filters], x.T, out=product)                             # up to 1.7 times as fast as x · wᵀ
        np.add(product.T, 0 if b is None else b[filters], out=y[:, filters])

    parallel_for(multiply, split(len(w), BLOCK), uses_blas=True)
    return y


def linear_backward(dy: np.ndarray, x: np.ndarray, w: np.ndarray, needs: tuple[bool, bool, bool]) -> tuple[np.ndarray | None, ...]:
    dx = _input_gradient(dy, w) if needs[0] else None
    dw = _weight_gradient(dy, x, w) if needs[1] else None
    return dx, dw, dy.sum(axis=0) if needs[2] else None


def _input_gradient(dy: np.ndarray, w: np.ndarray) -> np.ndarray:
    dx = empty((len(dy), w.shape[1]), dy.dtype)

    def multiply(channels: slice) -> None:
        np.matmul(dy, w[:, channels], out=dx[:, channels])

    parallel_for(multiply, split(w.shape[1], BLOCK), uses_blas=True)
    return dx


def _weight_gradient(dy: np.ndarray, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    dw = empty(w.shape, w.dtype)

    def multiply(filters: slice) -> None:
        np.matmul(dy[:, filters].T, x, out=dw[filters])

    parallel_for(multiply, split(len(w), BLOCK), uses_blas=True)
    return dw

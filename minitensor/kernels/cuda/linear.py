"""The linear layer: cuBLAS, or a product in tiles, or a kernel for few rows.

Few rows need so little arithmetic that they stay in full precision.
"""
from ...backend import Array, xp_of
from ..epilogue import Epilogue, Needs
from . import tuning
from .choose import cublas_multiplies
from .epilogue import add_epilogue, arguments_of, before_activation, laid_out
from .launcher import launch
from .layout import WARP, contiguous, filled_up
from .products import matmul, product


def linear(x: Array, w: Array, epilogue: Epilogue) -> Array:
    epilogue = laid_out(epilogue)
    if cublas_multiplies(x):
        y = contiguous(xp_of(x).matmul(x, w.T))
        add_epilogue(y, epilogue)
        return y
    return (_of_few_rows if len(x) <= tuning.FEW_ROWS else _of_many_rows)(x, w, epilogue)


def _of_many_rows(x: Array, w: Array, epilogue: Epilogue) -> Array:
    return product(x, w.T, epilogue)


def _of_few_rows(x: Array, w: Array, epilogue: Epilogue) -> Array:
    y = xp_of(x).empty((len(x), len(w)), x.dtype)
    x, w = filled_up(x), filled_up(w)
    launch("linear.cu", "linear_of_few_rows",
           (x, w, y, *x.shape, len(w), *arguments_of(epilogue)), dtype=x.dtype,
           items=len(w) * WARP, options=(f"-DROWS={tuning.FEW_ROWS}",))
    return y


def linear_backward(dy: Array, x: Array, w: Array, y: Array | None, activation: str | None,
                    needs: Needs) -> tuple[Array | None, ...]:
    y = None if y is None else contiguous(y)
    dy, db = before_activation(contiguous(dy), y, activation, needs[2])
    dx = matmul(dy, w) if needs[0] else None
    dw = matmul(dy.T, x) if needs[1] else None
    return dx, dw, db, dy if needs[3] else None

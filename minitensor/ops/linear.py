"""The fully connected layer's product."""
from ..kernels import Epilogue, kernels_for
from ..tensor import Op, Tensor
from .checks import floating, kernel_gave, known_activation


class Linear(Op):
    """activation(x · wᵀ + b + residual) in one kernel; keeps y for the activation's gradient."""
    takes_none = True                   # b and residual may be None

    def __init__(self, activation: str | None):
        self.activation = activation

    def forward(self, x, w, b, residual):   # (N, C), (F, C), (F,), (N, F) -> y (N, F)
        y = kernels_for(x).linear(x, w, Epilogue(b, residual, self.activation))
        self.x, self.w, self.y = x, w, y if self.activation else None
        return y

    def backward(self, dy):                 # dy (N, F) -> dx, dw, db, dresidual
        return kernels_for(dy).linear_backward(dy, self.x, self.w, self.y, self.activation,
                                               self.needs)


def linear(x: Tensor, w: Tensor, b: Tensor | None = None, *, residual: Tensor | None = None,
           activation: str | None = None) -> Tensor:
    """activation(x · wᵀ + b + residual), y (..., F), of x (..., C), w (F, C), b (F,).

    residual is of y's shape; activation is None, "relu", "tanh" or "sigmoid". Raises ValueError for
    sizes that do not fit, TypeError unless all are float32 or all are float64.
    """
    floating("linear", {"b": b, "residual": residual}, x=x, w=w)
    known_activation("linear", activation)
    if x.ndim < 1 or w.ndim != 2 or x.shape[-1] != w.shape[1]:
        raise ValueError(f"linear: x must be (..., C) and w (F, C) with the same C "
                         f"(x {x.shape}, w {w.shape})")
    if b is not None and b.shape != (len(w),):
        raise ValueError(f"linear: b must be ({len(w)},) for w {w.shape}, not {b.shape}")
    out = (*x.shape[:-1], len(w))
    if residual is not None and residual.shape != out:
        raise ValueError(f"linear: residual must be {out}, like the output, not {residual.shape}")
    if x.ndim == 2:
        return kernel_gave("linear", Linear(activation)(x, w, b, residual), out)
    rows = None if residual is None else residual.reshape(-1, len(w))
    y = linear(x.reshape(-1, x.shape[-1]), w, b, residual=rows, activation=activation)
    return y.reshape(*out)

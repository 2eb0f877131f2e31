"""The fully connected layer's product."""
from ..kernels import kernels_for
from ..tensor import Op, Tensor
from .checks import floating


class Linear(Op):
    def forward(self, x, w, b=None):                                   # x (N, C), w (F, C), b (F,) -> y (N, F)
        self.x, self.w = x, w
        return kernels_for(x).linear(x, w, b)

    def backward(self, dy):                                            # dy (N, F) -> dx (N, C), dw (F, C), db (F,)
        needs = (*self.needs, False)[:3]
        return kernels_for(dy).linear_backward(dy, self.x, self.w, needs)[:len(self.needs)]


def linear(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """x · wᵀ + b: x (..., C), w (F, C), b (F,) -> (..., F). Raises ValueError for sizes that do not fit."""
    floating("linear", x=x, w=w, b=b)
    if x.ndim < 1 or w.ndim != 2 or x.shape[-1] != w.shape[1]:
        raise ValueError(f"linear: x must be (..., C) and w (F, C) with the same C (x {x.shape}, w {w.shape})")
    if b is not None and b.shape != (len(w),):
        raise ValueError(f"linear: b must be ({len(w)},) for w {w.shape}, not {b.shape}")
    operands = (w,) if b is None else (w, b)
    if x.ndim == 2:
        return Linear()(x, *operands)
    return Linear()(x.reshape(-1, x.shape[-1]), *operands).reshape(*x.shape[:-1], len(w))

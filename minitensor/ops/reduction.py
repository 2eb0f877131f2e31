"""Reductions: sum, mean and max, over all axes (dim None), one (an int) or several (a tuple)."""
from numbers import Integral

from ..backend import Array, sum_of, xp_of
from ..tensor import Op, Tensor, bind


class Sum(Op):
    def __init__(self, dim, keepdim: bool):
        self.dim, self.keepdim = _dims(dim), keepdim

    def forward(self, x):
        self.shape = x.shape
        return sum_of(x, self.dim, self.keepdim)

    def backward(self, dy):
        dy = _restore_dims(dy, self.shape, self.dim, self.keepdim)
        return xp_of(dy).broadcast_to(dy, self.shape)


class Max(Op):
    """The largest value; equal maxima share the gradient equally, as in torch.amax."""

    def __init__(self, dim, keepdim: bool):
        self.dim, self.keepdim = _dims(dim), keepdim

    def forward(self, x):
        self.x, self.y = x, x.max(axis=self.dim, keepdims=True)
        return self.y if self.keepdim else self.y.squeeze(axis=self.dim)

    def backward(self, dy):
        winners = self.x == self.y
        dy = _restore_dims(dy, self.x.shape, self.dim, self.keepdim)
        share = dy / winners.sum(axis=self.dim, keepdims=True)
        return winners * share.astype(dy.dtype, copy=False)


def _dims(dim) -> tuple[int, ...] | None:
    return None if dim is None else (int(dim),) if isinstance(dim, Integral) else tuple(dim)


def _restore_dims(dy: Array, shape: tuple[int, ...], dim: tuple[int, ...] | None,
                  keepdim: bool) -> Array:
    """dy with the reduced axes back, each of size 1."""
    if keepdim:
        return dy
    reduced = {d % len(shape) for d in (range(len(shape)) if dim is None else dim)}
    return dy.reshape([1 if i in reduced else n for i, n in enumerate(shape)])


# ---- Tensor's methods ------------------------------------------------------------------------

def sum_(x: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """The sum over dim: None (all axes), an int or several; they stay, of size 1, with keepdim."""
    return Sum(dim, keepdim)(x)


def max_(x: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """The largest value over dim (see `sum`); equal ones share the gradient, as in torch.amax."""
    return Max(dim, keepdim)(x)


def mean(x: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """The mean over dim (see `sum`); integers give float32."""
    total = sum_(x, dim, keepdim)
    return total / (x.numel() // total.numel()) if total.numel() else total


bind(sum=sum_, max=max_, mean=mean)

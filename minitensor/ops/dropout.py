"""Dropout (Hinton et al. 2012; Krizhevsky et al. 2012, section 4.2).

Training scales what is kept, so evaluation does nothing.
"""
from ..backend import xp_of
from ..kernels import kernels_for
from ..random import Generator, chosen
from ..tensor import Op, Tensor
from .checks import floating, probability


class Dropout(Op):
    """Keeps no mask: forward and backward draw the same one from the key."""

    def __init__(self, p: float, key: tuple[int, int]):
        self.p, self.key = p, key

    def forward(self, x):
        if self.p == 1:                     # no kernel divides by 1 - p = 0
            return xp_of(x).zeros_like(x)
        return kernels_for(x).dropout(x, self.p, self.key)

    backward = forward


def dropout(x: Tensor, p: float = 0.5, training: bool = True, *,
            generator: Generator | None = None) -> Tensor:
    """x, each element zeroed with probability p, else divided by 1 - p; x itself unless training.

    x: any shape, float32 or float64; so is the result. The mask depends only on the generator's
    seed and step and on the element's position; generator None is the default one (`manual_seed`).
    Raises ValueError unless 0 <= p <= 1.
    """
    floating("dropout", x=x)
    probability("dropout", p)
    if not (training and p):
        return x
    return Dropout(float(p), chosen(generator).next_key())(x)

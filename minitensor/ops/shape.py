"""Shape ops that are more than one method of Tensor."""
import math

from ..tensor import Tensor


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """x with the axes from start_dim to end_dim (inclusive) joined into one. Raises ValueError when they are not axes in order."""
    start, end = (d + x.ndim if d < 0 else d for d in (start_dim, end_dim))
    if not 0 <= start <= end < x.ndim:
        raise ValueError(f"flatten: start_dim {start_dim} and end_dim {end_dim} are not axes in order of x {x.shape}")
    return x.reshape(*x.shape[:start], math.prod(x.shape[start:end + 1]), *x.shape[end + 1:])

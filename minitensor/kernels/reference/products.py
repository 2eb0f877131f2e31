"""The matrix product."""
from ...backend import Array


def matmul(a: Array, b: Array) -> Array:
    """y (..., I, J) = a (..., I, K) · b (..., K, J); leading axes are broadcast."""
    return a @ b

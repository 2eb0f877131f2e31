"""Activations y = f(x), whose gradients are written in terms of y, and softmax along one axis."""
from ...backend import Array, sum_of, xp_of


def relu(x: Array) -> Array:
    """max(x, 0); NaN stays NaN."""
    return xp_of(x).maximum(x, 0)


def relu_backward(dy: Array, y: Array) -> Array:
    """dy where y, a relu's result, is not 0: where it is above 0 or NaN, as in PyTorch; else 0,
    even for an infinite dy."""
    return xp_of(dy).where(y != 0, dy, dy.dtype.type(0))


def tanh(x: Array) -> Array:
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x)); 1 at inf, -1 at -inf."""
    return xp_of(x).tanh(x)


def tanh_backward(dy: Array, y: Array) -> Array:
    """dy (1 - y²)."""
    return dy * (1 - y * y)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), written with exp(-|x|), which cannot overflow; 1 at inf, 0 at -inf."""
    xp = xp_of(x)
    e = xp.exp(-abs(x))
    return xp.where(x >= 0, xp.ones_like(e), e) / (1 + e)


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """dy y (1 - y)."""
    return dy * y * (1 - y)


def softmax(x: Array, axis: int) -> Array:
    """exp(x) / sum(exp(x)) along axis; with the maximum subtracted first, exp cannot overflow.

    -inf has probability 0. inf, NaN, or nothing but -inf makes all of its line NaN.
    """
    e = xp_of(x).exp(x - x.max(axis=axis, keepdims=True))
    return e / sum_of(e, axis, keepdims=True)


def softmax_backward(dy: Array, y: Array, axis: int) -> Array:
    """y (dy - Σ dy y)."""
    return y * (dy - sum_of(dy * y, axis, keepdims=True))


def log_softmax(x: Array, axis: int) -> Array:
    """x - log(sum(exp(x))) along axis; -inf stays so, otherwise as softmax where not finite."""
    xp = xp_of(x)
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - xp.log(sum_of(xp.exp(shifted), axis, keepdims=True))


def log_softmax_backward(dy: Array, y: Array, axis: int) -> Array:
    """dy - exp(y) Σ dy."""
    return dy - xp_of(dy).exp(y) * sum_of(dy, axis, keepdims=True)

"""Activations y = f(x), whose gradients are written in terms of y, and softmax along one axis."""
from ...backend import Array, xp_of


def relu(x: Array) -> Array:
    """max(x, 0); NaN stays NaN."""
    return xp_of(x).maximum(x, 0)


def relu_backward(dy: Array, y: Array) -> Array:
    """dy where y > 0, else 0."""
    return xp_of(dy).where(y > 0, dy, dy.dtype.type(0))


def tanh(x: Array) -> Array:
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x))."""
    return xp_of(x).tanh(x)


def tanh_backward(dy: Array, y: Array) -> Array:
    """dy (1 - y²)."""
    return dy * (1 - y * y)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), written with exp(-|x|), which cannot overflow."""
    xp = xp_of(x)
    e = xp.exp(-abs(x))
    return xp.where(x >= 0, xp.ones_like(e), e) / (1 + e)


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """dy y (1 - y)."""
    return dy * y * (1 - y)


def softmax(x: Array, axis: int) -> Array:
    """exp(x) / sum(exp(x)) along axis; with the maximum subtracted first, exp cannot overflow."""
    e = xp_of(x).exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def softmax_backward(dy: Array, y: Array, axis: int) -> Array:
    """y (dy - Σ dy y)."""
    return y * (dy - (dy * y).sum(axis=axis, keepdims=True))


def log_softmax(x: Array, axis: int) -> Array:
    """x - log(sum(exp(x))) along axis."""
    xp = xp_of(x)
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(axis=axis, keepdims=True))


def log_softmax_backward(dy: Array, y: Array, axis: int) -> Array:
    """dy - exp(y) Σ dy."""
    return dy - xp_of(dy).exp(y) * dy.sum(axis=axis, keepdims=True)

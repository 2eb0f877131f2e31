"""Activations: elementwise functions, and softmax along one axis."""
from ..kernels import kernels_for
from ..tensor import Op, Tensor
from .checks import floating


class ReLU(Op):
    def forward(self, x):
        self.y = kernels_for(x).relu(x)
        return self.y

    def backward(self, dy):
        return kernels_for(dy).relu_backward(dy, self.y)


class Tanh(Op):
    def forward(self, x):
        self.y = kernels_for(x).tanh(x)
        return self.y

    def backward(self, dy):
        return kernels_for(dy).tanh_backward(dy, self.y)


class Sigmoid(Op):
    def forward(self, x):
        self.y = kernels_for(x).sigmoid(x)
        return self.y

    def backward(self, dy):
        return kernels_for(dy).sigmoid_backward(dy, self.y)


class Softmax(Op):
    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, x):
        self.y = kernels_for(x).softmax(x, self.dim)
        return self.y

    def backward(self, dy):
        return kernels_for(dy).softmax_backward(dy, self.y, self.dim)


class LogSoftmax(Op):
    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, x):
        self.y = kernels_for(x).log_softmax(x, self.dim)
        return self.y

    def backward(self, dy):
        return kernels_for(dy).log_softmax_backward(dy, self.y, self.dim)


def relu(x: Tensor) -> Tensor:
    """max(x, 0) (Nair and Hinton 2010), any shape. The gradient at 0 is 0."""
    floating("relu", x=x)
    return ReLU()(x)


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent, any shape."""
    floating("tanh", x=x)
    return Tanh()(x)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), any shape."""
    floating("sigmoid", x=x)
    return Sigmoid()(x)


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """exp(x) / Σ exp(x) along dim, of x's shape; adds up to 1 along dim."""
    _check_dim("softmax", x, dim)
    return Softmax(dim)(x)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """log(softmax(x, dim)), without the overflow and the loss of digits of doing it that way."""
    _check_dim("log_softmax", x, dim)
    return LogSoftmax(dim)(x)


def _check_dim(op: str, x: Tensor, dim: int) -> None:
    floating(op, x=x)
    if not -x.ndim <= dim < x.ndim:
        raise ValueError(f"{op}: dim {dim} is not an axis of x {x.shape}")

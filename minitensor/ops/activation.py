"""Activations: elementwise functions, and softmax along one axis."""
from numbers import Integral

from ..kernels import kernels_for
from ..tensor import Op, Tensor, bind
from .checks import axes_of, floating


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
    """Hyperbolic tangent, any shape; integers give float32."""
    return Tanh()(_floating("tanh", x))


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), any shape; integers give float32."""
    return Sigmoid()(_floating("sigmoid", x))


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """exp(x) / Σ exp(x) along dim, of x's shape; adds up to 1 along dim."""
    return _along("softmax", Softmax, x, dim)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """log(softmax(x, dim)), without the overflow and the loss of digits of doing it that way."""
    return _along("log_softmax", LogSoftmax, x, dim)


def _floating(op: str, x: Tensor) -> Tensor:
    if isinstance(x, Tensor) and x.dtype.kind in "iub":
        return x.float()
    floating(op, x=x)
    return x


def _along(name: str, op: type[Op], x: Tensor, dim: int) -> Tensor:
    floating(name, x=x)
    if not isinstance(dim, Integral):
        raise TypeError(f"{name}: dim must be an int, not {dim!r}")
    axis, = axes_of(name, x, dim) or (0,)
    if not x.numel():
        return x.clone()
    return op(axis)(x) if x.ndim else op(axis)(x.reshape(1)).reshape(())


bind(relu=relu, tanh=tanh, sigmoid=sigmoid, softmax=softmax, log_softmax=log_softmax)

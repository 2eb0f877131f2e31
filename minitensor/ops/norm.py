"""Local response normalisation (Krizhevsky et al. 2012, section 3.3), and batch normalisation
(Ioffe and Szegedy 2015)."""
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ..backend import Array, quiet
from ..kernels import Epilogue, kernels_for
from ..tensor import Op, Tensor
from .checks import floating, images, known_activation, positive

REGIONS = {"across_channels": (1,), "within_channel": (2, 3)}   # Caffe's names: the axes to sum


class LocalResponseNorm(Op):
    """x / scale^beta; keeps x and the scale."""

    def __init__(self, size: int, alpha: float, beta: float, k: float, axes: tuple[int, ...]):
        self.size, self.alpha, self.beta, self.k, self.axes = size, alpha, beta, k, axes

    def forward(self, x):           # (N, C, H, W) -> the same
        self.x = x
        y, self.scale = kernels_for(x).local_response_norm(
            x, self.size, self.alpha, self.beta, self.k, self.axes)
        return y

    def backward(self, dy):
        return kernels_for(dy).local_response_norm_backward(
            dy, self.x, self.scale, self.size, self.alpha, self.beta, self.axes)


def local_response_norm(x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75,
                        k: float = 1.0, norm_region: str = "across_channels") -> Tensor:
    """x / (k + alpha / n · Σ x²)^beta, the sum over the n neighbours of each element.

    x: (N, C, H, W), float32 or float64. The neighbours are size channels, or size x size pixels of
    one channel (norm_region "within_channel"). PyTorch, Caffe and the 2012 code divide alpha by n;
    AlexNet's constants are size 5, alpha 1e-4, beta 0.75, k 2. Raises ValueError for a size below
    1, a k of 0 or less, or an unknown norm_region.
    """
    images("local_response_norm", x)
    positive("local_response_norm", size=size)
    if not k > 0:
        raise ValueError(f"local_response_norm: k must be above 0, not {k}")
    if norm_region not in REGIONS:
        raise ValueError(f"local_response_norm: norm_region must be one of {tuple(REGIONS)}, "
                         f"not {norm_region!r}")
    op = LocalResponseNorm(int(size), float(alpha), float(beta), float(k), REGIONS[norm_region])
    return op(x)


# ---- batch normalisation -------------------------------------------------------------------------

_tracking: ContextVar[bool] = ContextVar("tracking", default=True)


@contextmanager
def statistics_kept() -> Iterator[None]:
    """Inside the with-block running statistics stay as they are, which changes no output of a
    batch: for whoever computes one batch many times, as gradcheck does."""
    token = _tracking.set(False)
    try:
        yield
    finally:
        _tracking.reset(token)


def tracks_statistics() -> bool:
    """Whether running statistics follow the batches now."""
    return _tracking.get()


class BatchNorm(Op):
    """running: a copy of the statistics to normalise with; None for those of the batch."""

    takes_none = True                   # w, b and residual may be None

    def __init__(self, running: tuple[Array, Array] | None, eps: float, activation: str | None):
        self.running, self.eps, self.activation = running, eps, activation

    def forward(self, x, w, b, residual):   # (N, C, H, W), (C,), (C,), (N, C, H, W) -> like x
        kernels = kernels_for(x)
        self.mean, self.variance = self.running or kernels.batch_statistics(x)
        y = kernels.batch_norm(x, w, Epilogue(b, residual, self.activation), self.mean,
                               self.variance, self.eps)
        self.x, self.w, self.y = x, w, y if self.activation else None
        return y

    def backward(self, dy):                 # dy (N, C, H, W) -> dx, dw, db, dresidual
        return kernels_for(dy).batch_norm_backward(
            dy, self.x, self.w, self.y, self.mean, self.variance, self.eps, self.running is None,
            self.activation, self.needs)


def batch_norm(x: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
               w: Tensor | None = None, b: Tensor | None = None, training: bool = False,
               momentum: float = 0.1, eps: float = 1e-5, *, residual: Tensor | None = None,
               activation: str | None = None) -> Tensor:
    """activation(w (x - mean) / sqrt(variance + eps) + b + residual), channel by channel (Ioffe and
    Szegedy 2015).

    x, residual: (N, C, H, W), float32 or float64; the others (C,). training: mean and biased
    variance are the batch's, and running_mean and running_var, if given, become (1 - momentum) old
    + momentum new, in place, the new variance unbiased; else they are the running ones. momentum
    may be an array () on x's device. Raises ValueError for shapes that do not fit, for running
    statistics that are missing, and for a batch of one value a channel.
    """
    images("batch_norm", x)
    by_channel = {"running_mean": running_mean, "running_var": running_var, "w": w, "b": b}
    floating("batch_norm", {**by_channel, "residual": residual}, x=x)
    known_activation("batch_norm", activation)
    _check_shapes(x, by_channel, residual)
    if not eps > 0:
        raise ValueError(f"batch_norm: eps must be above 0, not {eps}")
    if (running_mean is None) != (running_var is None):
        raise ValueError("batch_norm: running_mean and running_var must be given together")
    count = x.numel() // x.shape[1]
    if training and count < 2:
        raise ValueError("batch_norm: expected more than one value per channel when training, "
                         f"not x {x.shape}")
    running = None
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: running_mean and running_var must be given when training "
                             "is False")
        running = running_mean.data.copy(), running_var.data.copy()
    op = BatchNorm(running, float(eps), activation)
    y = op(x, w, b, residual)
    if training and running_mean is not None and running_var is not None and _tracking.get():
        with quiet():
            _follow(running_mean.data, op.mean, momentum)
            _follow(running_var.data, op.variance * (count / (count - 1)), momentum)
    return y


def _follow(running: Array, new: Array, momentum: float) -> None:
    running[...] = (1 - momentum) * running + momentum * new


def _check_shapes(x: Tensor, by_channel: dict[str, Tensor | None],
                  residual: Tensor | None) -> None:
    for name, tensor in by_channel.items():
        if tensor is not None and tensor.shape != (x.shape[1],):
            raise ValueError(f"batch_norm: {name} must be ({x.shape[1]},) for x {x.shape}, "
                             f"not {tensor.shape}")
        if tensor is not None and tensor.device != x.device:
            raise RuntimeError(f"batch_norm: x is on {x.device!r}, {name} on {tensor.device!r}; "
                               "move one with .to(device)")
    if residual is not None and residual.shape != x.shape:
        raise ValueError(f"batch_norm: residual must be {x.shape}, like x, not {residual.shape}")

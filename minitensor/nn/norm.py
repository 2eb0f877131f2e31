"""Normalisation as layers."""
import numpy as np

from .. import ops
from ..ops.checks import known_activation, one_activation, positive, probability
from ..ops.norm import tracks_statistics
from ..random import Generator
from ..tensor import Tensor
from .module import Module
from .parameter import Buffer, Parameter


class LocalResponseNorm(Module):
    """ops.local_response_norm: (N, C, H, W) -> the same."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0,
                 norm_region: str = "across_channels"):
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k
        self.norm_region = norm_region

    def forward(self, x: Tensor) -> Tensor:
        return ops.local_response_norm(x, self.size, self.alpha, self.beta, self.k,
                                       self.norm_region)

    def extra_repr(self) -> str:
        return (f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}, "
                f"norm_region={self.norm_region!r}")


class BatchNorm2d(Module):
    """ops.batch_norm with weight and bias (num_features,): (N, C, H, W) -> the same.

    In training mode a batch is normalised by its own statistics, which running_mean and running_var
    follow; in evaluation mode by those. momentum: the share of the new; None for the mean over all
    batches. affine False: no weight and bias. track_running_stats False: no running statistics, in
    evaluation mode too a batch's own. activation: None, "relu", "tanh" or "sigmoid", computed in
    the same pass. Raises ValueError as ops.batch_norm does.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1,
                 affine: bool = True, track_running_stats: bool = True, *,
                 activation: str | None = None, dtype=np.float32):
        positive("BatchNorm2d", num_features=num_features)
        known_activation("BatchNorm2d", activation)
        if not eps > 0:
            raise ValueError(f"BatchNorm2d: eps must be above 0, not {eps}")
        if momentum is not None:
            probability("BatchNorm2d", momentum, "momentum")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.activation = activation
        ones, zeros = np.ones(num_features, dtype), np.zeros(num_features, dtype)
        self.weight = Parameter(ones, "scale") if affine else None
        self.bias = Parameter(zeros, "bias") if affine else None
        self.running_mean = Buffer(zeros.copy()) if track_running_stats else None
        self.running_var = Buffer(ones.copy()) if track_running_stats else None
        self.num_batches_tracked = Buffer(np.zeros((), np.int64)) if track_running_stats else None

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Weights 1, biases 0; and as if no batch had been seen."""
        for tensor, value in ((self.weight, 1), (self.bias, 0), (self.running_mean, 0),
                              (self.running_var, 1), (self.num_batches_tracked, 0)):
            if tensor is not None:
                tensor.data[...] = value

    def forward(self, x: Tensor, residual: Tensor | None = None,
                activation: str | None = None) -> Tensor:
        """residual and activation: those of a `Residual` that this layer ends."""
        activation = one_activation("BatchNorm2d", self.activation, activation)
        momentum, of_batch = self.momentum or 0.0, self.training or self.running_mean is None
        counter = self.num_batches_tracked
        if self.momentum is None and counter is not None:       # stays on its device: no waiting
            momentum = 1 / (counter.data + 1)
        y = ops.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias,
                           of_batch, momentum, self.eps, residual=residual, activation=activation)
        if self.training and counter is not None and tracks_statistics():
            counter.data[...] += 1
        return y

    def extra_repr(self) -> str:
        optional = {"momentum": (self.momentum, 0.1), "affine": (self.affine, True),
                    "track_running_stats": (self.track_running_stats, True),
                    "activation": (self.activation, None)}
        shown = "".join(f", {name}={value!r}" for name, (value, default) in optional.items()
                        if value != default)
        return f"{self.num_features}, eps={self.eps}{shown}"

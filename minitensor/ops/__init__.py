"""Every differentiable op, once: its forward next to its backward, on raw arrays.

From easy to hard: arithmetic, reduction, shape, activation, dropout, loss, linear, pool, norm,
conv. Functions check their arguments, ops call the kernels of any set. The first three, and
comparison, also give Tensor its operators and methods.
"""
from . import arithmetic, comparison, reduction
from .activation import log_softmax, relu, sigmoid, softmax, tanh
from .conv import col2im, conv2d, im2col
from .dropout import dropout
from .linear import linear
from .loss import binary_cross_entropy_with_logits, cross_entropy, mse_loss, nll_loss
from .norm import batch_norm, local_response_norm
from .pool import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from .shape import cat, flatten

__all__ = [
    "adaptive_avg_pool2d", "avg_pool2d", "batch_norm", "binary_cross_entropy_with_logits", "cat",
    "col2im", "conv2d", "cross_entropy", "dropout", "flatten", "im2col", "linear",
    "local_response_norm", "log_softmax", "max_pool2d", "mse_loss", "nll_loss", "relu", "sigmoid",
    "softmax", "tanh",
]

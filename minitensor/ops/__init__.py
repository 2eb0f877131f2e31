"""Every differentiable op, once: its forward next to its backward, on raw arrays.

From easy to hard: arithmetic, elementwise, reduction, shape, indexing, activation, dropout, loss,
linear, pool, norm, conv. Functions check their arguments, ops call the kernels of any set. Those up
to activation also give Tensor its methods, operators and comparison its operators; numpys tells
NumPy what to do with Tensors.
"""
from . import indexing, numpys
from .activation import log_softmax, relu, sigmoid, softmax, tanh
from .conv import col2im, conv2d, im2col
from .dropout import dropout
from .elementwise import clamp, exp, log, maximum, minimum, sqrt, where
from .linear import linear
from .loss import binary_cross_entropy_with_logits, cross_entropy, mse_loss, nll_loss
from .norm import batch_norm, local_response_norm
from .pool import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from .shape import cat, flatten, stack

__all__ = [
    "adaptive_avg_pool2d", "avg_pool2d", "batch_norm", "binary_cross_entropy_with_logits", "cat",
    "clamp", "col2im", "conv2d", "cross_entropy", "dropout", "exp", "flatten", "im2col", "linear",
    "local_response_norm", "log", "log_softmax", "max_pool2d", "maximum", "minimum", "mse_loss",
    "nll_loss", "relu", "sigmoid", "softmax", "sqrt", "stack", "tanh", "where",
]

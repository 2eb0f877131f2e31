"""The textbook kernel set: short, slow, and the definition of what every kernel computes.

Read it in this order, from easy to hard: activation, dropout, loss, products, epilogue, linear,
conv, pool, norm, update. Everything runs on NumPy and CuPy alike (`xp` is whichever library holds
the array). Shapes and names are in `minitensor.kernels`, and `__all__` is the contract's list of
kernels.
"""
from .activation import log_softmax, log_softmax_backward, relu, relu_backward
from .activation import sigmoid, sigmoid_backward, softmax, softmax_backward, tanh, tanh_backward
from .conv import col2im, conv2d, conv2d_backward, im2col
from .dropout import dropout
from .epilogue import before_activation as before_activation, finish as finish
from .linear import linear, linear_backward
from .loss import cross_entropy, cross_entropy_backward
from .norm import batch_norm, batch_norm_backward, batch_statistics
from .norm import local_response_norm, local_response_norm_backward
from .pool import adaptive_avg_pool2d, adaptive_avg_pool2d_backward
from .pool import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward
from .products import matmul
from .update import adam, sgd

__all__ = [
    "relu", "relu_backward", "tanh", "tanh_backward", "sigmoid", "sigmoid_backward",
    "softmax", "softmax_backward", "log_softmax", "log_softmax_backward", "dropout",
    "cross_entropy", "cross_entropy_backward", "matmul", "linear", "linear_backward",
    "im2col", "col2im", "conv2d", "conv2d_backward", "max_pool2d", "max_pool2d_backward",
    "avg_pool2d", "avg_pool2d_backward", "adaptive_avg_pool2d", "adaptive_avg_pool2d_backward",
    "local_response_norm", "local_response_norm_backward", "batch_statistics", "batch_norm",
    "batch_norm_backward", "sgd", "adam",
]
DEVICES = ("cpu", "cuda")
PRECISIONS = ("fp32",)

"""The textbook kernel set: short, slow, and the definition of what every kernel computes.

Read it in this order, from easy to hard: activation, dropout, loss, linear, pool, conv, norm, update.
Everything runs on NumPy and CuPy alike (`xp` is whichever library holds the array).
Shapes and names are in `minitensor.kernels`.
"""
from .activation import (relu, relu_backward, tanh, tanh_backward, sigmoid, sigmoid_backward, softmax, softmax_backward, log_softmax, log_softmax_backward)
from .dropout import dropout
from .loss import cross_entropy, cross_entropy_backward
from .linear import linear, linear_backward
from .conv import output_size, im2col, col2im, conv2d, conv2d_backward
from .pool import (max_pool2d, max_pool2d_backward, avg_pool2d, avg_pool2d_backward, adaptive_avg_pool2d, adaptive_avg_pool2d_backward, _pool_output, _pool_divisor)
from .norm import local_response_norm, local_response_norm_backward
from .update import sgd
from .pictures import pictures
from .conv import Pair

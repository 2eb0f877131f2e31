"""The fast NumPy kernels. What is not here is `minitensor.kernels.reference`'s.

Shapes and meaning are stated there; here stands how it is done fast. `blocks` defines the words for
portions of work, `tuning` holds every constant with the measurement that chose it.
"""
from .activation import relu as relu, relu_backward as relu_backward
from .activation import sigmoid as sigmoid, sigmoid_backward as sigmoid_backward
from .activation import tanh as tanh, tanh_backward as tanh_backward
from .batch_norm import batch_norm as batch_norm, batch_norm_backward as batch_norm_backward
from .batch_norm import batch_statistics as batch_statistics
from .conv import conv2d as conv2d, conv2d_backward as conv2d_backward
from .dropout import dropout as dropout
from .linear import linear as linear, linear_backward as linear_backward
from .loss import cross_entropy as cross_entropy, cross_entropy_backward as cross_entropy_backward
from .memory import free_buffers as free_buffers
from .norm import local_response_norm as local_response_norm
from .norm import local_response_norm_backward as local_response_norm_backward
from .pool import avg_pool2d as avg_pool2d, avg_pool2d_backward as avg_pool2d_backward
from .pool import max_pool2d as max_pool2d, max_pool2d_backward as max_pool2d_backward
from .products import matmul as matmul
from .threads import get_num_threads as get_num_threads, set_num_threads as set_num_threads
from .update import adam as adam, sgd as sgd

DEVICES = ("cpu",)
PRECISIONS = ("fp32",)

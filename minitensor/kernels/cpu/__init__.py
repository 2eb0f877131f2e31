"""The fast NumPy kernels. What is not here yet falls back to `minitensor.kernels.reference`."""
from .conv import conv2d as conv2d, conv2d_backward as conv2d_backward
from .linear import linear as linear, linear_backward as linear_backward
from .memory import free_buffers as free_buffers
from .threads import get_num_threads as get_num_threads, set_num_threads as set_num_threads
from .activation import relu as relu, relu_backward as relu_backward, tanh as tanh, tanh_backward as tanh_backward
from .activation import sigmoid as sigmoid, sigmoid_backward as sigmoid_backward, dropout as dropout
from .loss import cross_entropy as cross_entropy, cross_entropy_backward as cross_entropy_backward
from .norm import local_response_norm as local_response_norm, local_response_norm_backward as local_response_norm_backward
from .update import adam as adam, sgd as sgd
from .pool import max_pool2d as max_pool2d, max_pool2d_backward as max_pool2d_backward
from .pool import avg_pool2d as avg_pool2d, avg_pool2d_backward as avg_pool2d_backward

DEVICES = ("cpu",)
PRECISIONS = ("fp32",)

"""The kernels in CUDA C++: here their arrays are made and laid out, in `src/*.cu` they are written, `launcher.py` joins the two.

Nothing here names NumPy or CuPy, so that the same lines run where no GPU is, on kernels compiled for the CPU.
"""
from .activation import relu as relu, relu_backward as relu_backward, tanh as tanh, tanh_backward as tanh_backward
from .activation import sigmoid as sigmoid, sigmoid_backward as sigmoid_backward, dropout as dropout
from .conv import conv2d as conv2d, conv2d_backward as conv2d_backward
from .columns import im2col as im2col, col2im as col2im
from .linear import linear as linear, linear_backward as linear_backward
from .loss import softmax as softmax, softmax_backward as softmax_backward
from .loss import log_softmax as log_softmax, log_softmax_backward as log_softmax_backward
from .loss import cross_entropy as cross_entropy, cross_entropy_backward as cross_entropy_backward
from .norm import local_response_norm as local_response_norm, local_response_norm_backward as local_response_norm_backward
from .update import sgd as sgd
from .pictures import pictures as pictures
from .pool import max_pool2d as max_pool2d, max_pool2d_backward as max_pool2d_backward
from .pool import avg_pool2d as avg_pool2d, avg_pool2d_backward as avg_pool2d_backward
from .pool import adaptive_avg_pool2d as adaptive_avg_pool2d, adaptive_avg_pool2d_backward as adaptive_avg_pool2d_backward

DEVICES = ("cuda",)
PRECISIONS = ("fp32", "tf32", "bf16")

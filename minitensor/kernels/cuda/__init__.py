"""The kernels in CUDA C++: here their arrays are made and laid out, in `src/*.cu` they are written,
`launcher.py` joins the two.

A theme has the same name on both sides: `conv.py` and `src/conv.cu`. `tuning.py` has every number
chosen for speed. Nothing here names CuPy but the launcher, so that the same lines run where no GPU
is, on kernels compiled for the CPU.
"""
from .activation import log_softmax, log_softmax_backward, relu, relu_backward
from .activation import sigmoid, sigmoid_backward, softmax, softmax_backward, tanh, tanh_backward
from .batch_norm import batch_norm, batch_norm_backward, batch_statistics
from .conv import col2im, conv2d, conv2d_backward, im2col
from .dropout import dropout
from .linear import linear, linear_backward
from .loss import cross_entropy, cross_entropy_backward
from .norm import local_response_norm, local_response_norm_backward
from .pool import adaptive_avg_pool2d, adaptive_avg_pool2d_backward
from .pool import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward
from .products import matmul
from .update import adam, sgd

DEVICES = ("cuda",)
PRECISIONS = ("fp32", "tf32", "bf16")

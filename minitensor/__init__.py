"""minitensor: a deep learning engine written from scratch on NumPy, with kernels in CUDA C++ for
GPUs, through CuPy."""
from . import nn as nn
from . import optim as optim
from .backend import gpu_available as gpu_available
from .backend import synchronize as synchronize
from .gradcheck import gradcheck as gradcheck
from .graph import Graph as Graph
from .graph import capture as capture
from .kernels import use_kernels as use_kernels
from .kernels import use_precision as use_precision
from .kernels.cpu.memory import free_buffers as free_buffers
from .kernels.cpu.threads import get_num_threads as get_num_threads
from .kernels.cpu.threads import set_num_threads as set_num_threads
from .ops import adaptive_avg_pool2d as adaptive_avg_pool2d
from .ops import avg_pool2d as avg_pool2d
from .ops import batch_norm as batch_norm
from .ops import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from .ops import cat as cat
from .ops import col2im as col2im
from .ops import conv2d as conv2d
from .ops import cross_entropy as cross_entropy
from .ops import dropout as dropout
from .ops import flatten as flatten
from .ops import im2col as im2col
from .ops import linear as linear
from .ops import local_response_norm as local_response_norm
from .ops import log_softmax as log_softmax
from .ops import max_pool2d as max_pool2d
from .ops import mse_loss as mse_loss
from .ops import nll_loss as nll_loss
from .ops import relu as relu
from .ops import sigmoid as sigmoid
from .ops import softmax as softmax
from .ops import tanh as tanh
from .random import Generator as Generator
from .tensor import Op as Op
from .tensor import Tensor as Tensor
from .tensor import no_grad as no_grad
from .upload import uploaded as uploaded

__version__ = "0.2.0"

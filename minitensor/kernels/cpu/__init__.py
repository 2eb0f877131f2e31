"""The fast NumPy kernels. What is not here yet falls back to `minitensor.kernels.reference`."""
from .conv import conv2d as conv2d, conv2d_backward as conv2d_backward
from .linear import linear as linear, linear_backward as linear_backward
from .threads import free_buffers as free_buffers, get_num_threads as get_num_threads, set_num_threads as set_num_threads

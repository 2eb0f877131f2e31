"""`python -m benchmarks.touch`: every CUDA kernel on small arrays, once and in every precision, for tools that watch the GPU's memory."""
import numpy as np

import minitensor as mt
from minitensor import Tensor
from minitensor.backend import cupy, synchronize, to_device
from minitensor.gradcheck.cases import op_cases
from minitensor.kernels import PRECISIONS

from .cases import QUICK_CASES
from .cpu import passes_of


def main() -> None:
    cupy().cuda.set_allocator(None)     # no pool: every array is an allocation of its own, whose ends the tools know
    touch("cuda")
    synchronize("cuda")
    print("every kernel ran")


def touch(device: str) -> None:
    """Run every kernel of the CUDA set on arrays of device."""
    with mt.use_kernels("cuda"):
        for precision in PRECISIONS:
            with mt.use_precision(precision):
                _layers(device)
        for dtype in (np.float32, np.float64):
            _ops(device, dtype)
        _update(device)


def _layers(device: str) -> None:
    for case in QUICK_CASES:
        arrays = case.arrays(np.random.default_rng(0), 3)
        for work in passes_of("cuda", case, {name: to_device(array, device) for name, array in arrays.items()}).values():
            work()


def _ops(device: str, dtype: type) -> None:
    """Every op forward and backward."""
    for case in op_cases():
        y = case.function(*(Tensor(to_device(array.astype(dtype), device), requires_grad=True) for array in case.arrays))
        y.backward(np.ones(y.shape, dtype))


def _update(device: str) -> None:
    parameter = mt.nn.Parameter(to_device(np.ones((5, 7), np.float32), device))
    parameter.grad = parameter.data.copy()
    mt.optim.SGD([parameter], lr=0.1, momentum=0.9).step()


if __name__ == "__main__":
    main()

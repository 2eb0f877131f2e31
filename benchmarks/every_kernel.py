"""`python -m benchmarks.every_kernel`: every CUDA kernel on small arrays, in every precision.

For tools that watch the GPU's memory.
"""
from __future__ import annotations

import numpy as np

import minitensor as mt
from minitensor import Tensor
from minitensor.backend import cupy, synchronize, to_device
from minitensor.gradcheck.cases import op_cases
from minitensor.kernels import PRECISIONS
from minitensor.kernels.cuda.tuning import FEW_ROWS

from .cases import QUICK_CASES
from .gpu_layers import NAIVE
from .layers import case_arrays, passes_of


def main() -> None:
    # No pool: every array is an allocation of its own, whose ends the tools know.
    cupy().cuda.set_allocator(None)
    run_every_kernel("cuda")
    synchronize("cuda")
    print("every kernel ran")


def run_every_kernel(device: str) -> None:
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
        for batch in (3, FEW_ROWS + 1) if case.kernel == "linear" else (3,):
            arrays = {name: to_device(a, device) for name, a in case_arrays(case, batch).items()}
            for work in passes_of("cuda", case, arrays).values():
                work()
            if case.kernel == "conv2d":
                case.forward(NAIVE, arrays)


def _ops(device: str, dtype: type) -> None:
    """Every op forward and backward."""
    for case in op_cases():
        y = case.function(*(Tensor(to_device(array.astype(dtype), device), requires_grad=True)
                            for array in case.arrays))
        y.backward(np.ones(y.shape, dtype))


def _update(device: str) -> None:
    for optimizer in (mt.optim.SGD, mt.optim.Adam):
        parameter = mt.nn.Parameter(to_device(np.ones((5, 7), np.float32), device))
        parameter.grad = parameter.data.copy()
        optimizer([parameter], lr=0.1).step()


if __name__ == "__main__":
    main()

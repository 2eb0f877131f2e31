"""`python -m benchmarks.touch`: every small case once on the CUDA kernels, in every precision, for tools that watch the GPU's memory."""
import numpy as np

from minitensor.backend import cupy, synchronize
from minitensor.kernels import PRECISIONS

from .cases import QUICK_CASES
from .gpu import contestants


def main() -> None:
    cupy().cuda.set_allocator(None)     # no pool: every array is an allocation of its own, whose ends the tools know
    for precision in PRECISIONS:
        for case in QUICK_CASES:
            for work in contestants(case, case.arrays(np.random.default_rng(0), 3), None, precision)["cuda"].values():
                work()
    synchronize("cuda")
    print("every kernel of the small cases ran")


if __name__ == "__main__":
    main()

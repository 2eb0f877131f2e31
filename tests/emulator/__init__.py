"""CUDA kernels on the CPU: their .cu files, unchanged, through g++ and a fiber per thread. A test tool; slow; no proof that a GPU agrees.

    with emulator.plugged_in():                     # compile_module of the launcher gives emulated modules
        with minitensor.use_kernels("cuda"):
            ...                                     # the same launches as on a GPU, on NumPy arrays

What it finds, as an EmulationError that names the kernel: reads and writes outside of the arrays passed in and of dynamic shared memory,
divergent barriers, shuffles that read absent lanes, arrays that overlap although the kernel says __restrict__, misaligned vectors. What it
turns into NaN or into results that depend on the order of the threads: missing barriers, shared memory that nobody wrote, a cp.async that
nobody waited for, outputs that no thread writes. What it cannot see: writes past one static __shared__ array into the next, races between
blocks, the memory order and the rounding of a real GPU, anything in PTX.
"""
from .build import problem as problem
from .module import EmulatedModule as EmulatedModule, EmulationError as EmulationError, plugged_in as plugged_in

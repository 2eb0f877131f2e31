"""CUDA kernels on the CPU: their .cu files, unchanged, through g++ and a fiber per thread. A test
tool; slow; no proof that a GPU agrees.

    with emulator.plugged_in():                 # the launcher's compile_module emulates
        with minitensor.use_kernels("cuda"):
            ...                                 # the same launches as on a GPU, on NumPy arrays

What it finds, as an EmulationError that names the kernel: reads and writes outside of the arrays
passed in and of arrays of a known size, shared memory included; divergent barriers; shuffles that
read absent lanes; arrays that overlap although the kernel says __restrict__; misaligned vectors;
launches that no GPU takes.
What it turns into NaN, or into results that change with the order of the threads, so that a
comparison fails: missing barriers, shared memory that nobody wrote, outputs that no thread writes.
What it cannot see: an index that stays inside of its array but belongs to another thread and is
written in any case, races between blocks beyond their random order, the memory order and the
rounding of a real GPU, anything in PTX.
"""
from .build import problem as problem
from .module import EmulatedModule as EmulatedModule, EmulationError as EmulationError
from .module import plugged_in as plugged_in

"""Who multiplies: cuBLAS or kernels of our own, and by which rule.

The ladder of a convolution on the GPU, each step the reason for the next:
    naive                   `conv2d_naive` in `src/conv.cu`: a thread an output, no number is reused
    im2col and cuBLAS       `im2col_conv.py`: one product per group over all pixels; the columns are
                            written to memory and read again
    implicit GEMM           `implicit_gemm.py`: the columns are gathered on the way into the
                            product, and the epilogue rides along
    tensor cores            the same kernel compiled for tf32 or bf16 (`use_precision`), with sums
                            in float32
"""
from ...backend import Array, capturing
from ..precision import precision_of
from . import tuning


def cublas_multiplies(x: Array) -> bool:
    """In full precision alone, because rounding float32 arrays would cost it a pass over memory,
    and not while a CUDA graph is recorded, which cuBLAS, called through CuPy, cannot be."""
    return precision_of(x) == "fp32" and not capturing()


def use_im2col(x: Array, filters_per_group: int) -> bool:
    """Whether a convolution is im2col and cuBLAS rather than an implicit GEMM."""
    return cublas_multiplies(x) and filters_per_group >= tuning.IM2COL_FILTERS

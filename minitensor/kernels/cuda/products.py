"""Products of matrices: cuBLAS, or tiles of our own (`src/tile.cuh`), which can be recorded in a
CUDA graph and run on the tensor cores.

Where a result has fewer tiles than the GPU can hold, its sums are cut by split-K into parts that a
second kernel adds up, in the same order on every run and GPU.
"""
import math
from typing import Any, NamedTuple

import numpy as np

from ...backend import Array, xp_of
from ..epilogue import Epilogue
from ..precision import precision_of
from . import tuning
from .choose import cublas_multiplies
from .epilogue import arguments_of, sum_parts
from .launcher import launch
from .layout import filled_up

OPTION = {"fp32": "FULL", "tf32": "TF32", "bf16": "BF16"}
MOST_BATCHES = 2**16 - 1        # of a launch: the grid's second axis


class Gemm(NamedTuple):
    """A product c (rows, columns) = a (rows, depth) · b (depth, columns): the field's M, N, K."""
    rows: int
    columns: int
    depth: int


class Matrices(NamedTuple):
    """`struct Matrices` of products.cu; strides are numbers from row to row in memory."""
    M: int
    N: int
    K: int
    stride_a: int
    stride_b: int


class Tile(NamedTuple):
    """What a block computes: side x side numbers of c, in steps of depth."""
    side: int
    depth: int
    options: tuple[str, ...]


def tile_for(array: Array) -> Tile:
    """The tile, and with it the variant of the kernels, for products with array."""
    precision = precision_of(array)
    side, depth = tuning.TILE_SIDE[array.dtype.name], tuning.TILE_DEPTH[precision]
    options = f"-DPRECISION={OPTION[precision]}", f"-DSIDE={side}", f"-DDEPTH={depth}"
    return Tile(side, depth, options)


def launch_tiles(file: str, kernel: str, operands: tuple[Array, Array], c: Array, gemm: Gemm,
                 batch: int, sizes: Any, epilogue: Epilogue | None = None) -> None:
    """c, `batch` products of the size of gemm, by a kernel of tiles: kernel(a, b, c, sizes, ...).

    epilogue: None where the kernel has none.
    """
    tile = tile_for(c)
    tiles = math.ceil(gemm.rows / tile.side) * math.ceil(gemm.columns / tile.side)
    split_k = split_k_of(tiles * batch, math.ceil(gemm.depth / tile.depth))
    target = c if split_k == 1 else xp_of(c).empty((split_k, *c.shape), c.dtype)
    in_kernel = () if epilogue is None else arguments_of(epilogue if split_k == 1 else Epilogue())
    launch(file, kernel, (*operands, target, sizes, *in_kernel), dtype=c.dtype,
           grid=(tiles, batch, split_k), threads=tuning.TILE_THREADS, options=tile.options)
    if split_k > 1:
        sum_parts(target, c, epilogue or Epilogue())


def split_k_of(tiles: int, steps: int) -> int:
    """Into how many parts a sum of so many steps is cut, none of them empty."""
    parts = max(1, min(tuning.GPU_BLOCKS // max(1, tiles), steps // tuning.SPLIT_K_STEPS))
    share = math.ceil(steps / parts)
    return math.ceil(steps / share) if share else 1


def matmul(a: Array, b: Array) -> Array:
    if cublas_multiplies(a):
        return xp_of(a).matmul(a, b)
    (*leading_a, I, K), (*leading_b, _, J) = a.shape, b.shape
    if not leading_b:                           # one product of more rows
        return product(a.reshape(math.prod(leading_a) * I, K), b).reshape(*leading_a, I, J)
    leading = np.broadcast_shapes(tuple(leading_a), tuple(leading_b))
    batch, xp = math.prod(leading), xp_of(a)
    a = xp.broadcast_to(a, (*leading, I, K)).reshape(batch, I, K)
    b = xp.broadcast_to(b, (*leading, K, J)).reshape(batch, K, J)
    c = xp.empty((batch, I, J), a.dtype)
    for start in range(0, batch, MOST_BATCHES):
        part = slice(start, start + MOST_BATCHES)
        _multiply(a[part], b[part], c[part])
    return c.reshape(*leading, I, J)


def product(a: Array, b: Array, epilogue: Epilogue = Epilogue()) -> Array:
    """c (M, N) = a (M, K) · b (K, N), then the epilogue, by tiles. Whichever way a and b lie in
    memory, they are read as they are."""
    c = xp_of(a).empty((len(a), b.shape[1]), a.dtype)
    _multiply(a[None], b[None], c[None], epilogue)
    return c


def _multiply(a: Array, b: Array, c: Array, epilogue: Epilogue = Epilogue()) -> None:
    """c (batch, M, N) = a (batch, M, K) · b (batch, K, N); an epilogue for a batch of one only."""
    (batch, M, K), N = a.shape, b.shape[2]
    if _transposed(b):
        kernel, b = "product_nt", b.swapaxes(1, 2)
    elif _transposed(a):
        kernel, a = "product_tn", a.swapaxes(1, 2)
    else:
        kernel = "product_nn"
    a, b = filled_up(a), filled_up(b)
    launch_tiles("products.cu", kernel, (a, b), c, Gemm(M, N, K), batch,
                 Matrices(M, N, K, a.shape[2], b.shape[2]), epilogue)


def _transposed(matrices: Array) -> bool:
    """Whether those of a batch lie in memory column by column."""
    return matrices.swapaxes(1, 2).flags.c_contiguous and not matrices.flags.c_contiguous

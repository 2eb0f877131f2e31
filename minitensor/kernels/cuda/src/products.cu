// variant: float32 -DPRECISION=FULL -DSIDE=128 -DDEPTH=16
// variant: float32 -DPRECISION=TF32 -DSIDE=128 -DDEPTH=16
// variant: float32 -DPRECISION=BF16 -DSIDE=128 -DDEPTH=32
// variant: float64 -DPRECISION=FULL -DSIDE=64 -DDEPTH=16
// Products of matrices: of each batch a c (M, N), in tiles as in tile.cuh. The letters are those of
// BLAS: n for a matrix as it is, t for one that is transposed first.
//
//   kernel       a         b         of a linear layer    loader of a        loader of b
//   product_nt   (M, K)    (N, K)    y = x · wᵀ           MatrixAlongK       MatrixAlongK
//   product_nn   (M, K)    (K, N)    dx = dy · w          MatrixAlongK       MatrixAlongRows
//   product_tn   (K, M)    (K, N)    dw = dyᵀ · x         MatrixAlongRows    MatrixAlongRows
//
// With split-K, c is (split-K, batch, M, N), to be added up.
#include "epilogue.cuh"
#include "tile.cuh"

// stride_a and stride_b: numbers from one row of memory to the next, multiples of PACK.
struct Matrices { int M, N, K, stride_a, stride_b; };

template <class A, class B>
__device__ void product(A a, B b, REAL* c, const Matrices& s, const Tile& tile, Buffers& buffers,
                        const REAL* bias, const REAL* residual, int activation)
{
    Sums sums;
    multiply(a, b, tile.steps, buffers, sums);
    c += ((long long)tile.split * gridDim.y + tile.group) * s.M * s.N;
    for_each_of(sums, tile, s.M, s.N, [&](int row, int column, REAL sum) {
        int i = row * s.N + column;
        c[i] = epilogue(sum, column, i, bias, residual, activation);
    });
}

// The three kernels: a block computes a tile of c. bias and residual may be null, and must be so
// for a batch or with split-K.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
product_nt(const REAL* a, const REAL* b, REAL* c, Matrices s, const REAL* bias,
           const REAL* residual, int activation)
{
    __shared__ __align__(16) Buffers buffers;
    Tile tile(s.N, s.K);
    a += (long long)tile.group * s.M * s.stride_a, b += (long long)tile.group * s.N * s.stride_b;
    product(MatrixAlongK(a, s.M, s.K, s.stride_a, tile.row, tile.first_k),
            MatrixAlongK(b, s.N, s.K, s.stride_b, tile.column, tile.first_k),
            c, s, tile, buffers, bias, residual, activation);
}

extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
product_nn(const REAL* a, const REAL* b, REAL* c, Matrices s, const REAL* bias,
           const REAL* residual, int activation)
{
    __shared__ __align__(16) Buffers buffers;
    Tile tile(s.N, s.K);
    a += (long long)tile.group * s.M * s.stride_a, b += (long long)tile.group * s.K * s.stride_b;
    product(MatrixAlongK(a, s.M, s.K, s.stride_a, tile.row, tile.first_k),
            MatrixAlongRows(b, s.N, s.K, s.stride_b, tile.column, tile.first_k),
            c, s, tile, buffers, bias, residual, activation);
}

extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
product_tn(const REAL* a, const REAL* b, REAL* c, Matrices s, const REAL* bias,
           const REAL* residual, int activation)
{
    __shared__ __align__(16) Buffers buffers;
    Tile tile(s.N, s.K);
    a += (long long)tile.group * s.K * s.stride_a, b += (long long)tile.group * s.K * s.stride_b;
    product(MatrixAlongRows(a, s.M, s.K, s.stride_a, tile.row, tile.first_k),
            MatrixAlongRows(b, s.N, s.K, s.stride_b, tile.column, tile.first_k),
            c, s, tile, buffers, bias, residual, activation);
}

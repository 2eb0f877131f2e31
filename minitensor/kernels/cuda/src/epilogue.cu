// variant: float32
// variant: float64
// The epilogue where it is no part of a product's kernel, and its gradients. Sums have no atomics,
// so that they round alike on every run.
#include "epilogue.cuh"

constexpr int STRIPE = 8;       // threads (WARP, STRIPE): a warp reads WARP neighbours of a row

// A thread computes one element of the epilogue of y (rows, columns) in place.
extern "C" __global__ void add_epilogue(REAL* y, int n, int columns, const REAL* bias,
                                        const REAL* residual, int activation)
{
    int i = thread_index();
    if (i < n)
        y[i] = epilogue(y[i], i % columns, i, bias, residual, activation);
}

// The end of split-K: a thread adds up one element of parts (count, n) in order, then the epilogue.
extern "C" __global__ void sum_parts(const REAL* parts, REAL* y, int count, int n, int columns,
                                     const REAL* bias, const REAL* residual, int activation)
{
    int i = thread_index();
    if (i >= n)
        return;
    REAL total = 0;
    for (int part = 0; part < count; part++)
        total += parts[(long long)part * n + i];
    y[i] = epilogue(total, i % columns, i, bias, residual, activation);
}

// Block (x, y) sums WARP columns over its `height` rows of value(row, column) and writes row y of
// sums (gridDim.y, columns).
template <class F>
__device__ void sum_columns(int rows, int columns, int height, REAL* sums, REAL (*parts)[WARP],
                            F value)
{
    int column = blockIdx.x * WARP + threadIdx.x, first = blockIdx.y * height;
    double total = 0;
    if (column < columns)
        for (int row = first + threadIdx.y; row < min(first + height, rows); row += STRIPE)
            total += value(row, column);
    parts[threadIdx.y][threadIdx.x] = total;
    __syncthreads();
    if (threadIdx.y == 0 && column < columns) {
        for (int i = 1; i < STRIPE; i++)
            total += parts[i][threadIdx.x];
        sums[blockIdx.y * columns + column] = total;
    }
}

// A block sums WARP columns of x (rows, columns) over its rows; applied again to its own result it
// finishes.
extern "C" __global__ void column_sums(const REAL* x, REAL* sums, int rows, int columns, int height)
{
    __shared__ REAL parts[STRIPE][WARP];
    sum_columns(rows, columns, height, sums, parts,
                [&](int row, int column) { return x[row * columns + column]; });
}

// The same of the gradient dx before the activation, which it also writes: a bias gradient in one
// pass over dy.
extern "C" __global__ void activation_backward_column_sums(const REAL* dy, const REAL* y, REAL* dx,
                                                           REAL* sums, int rows, int columns,
                                                           int height, int activation)
{
    __shared__ REAL parts[STRIPE][WARP];
    sum_columns(rows, columns, height, sums, parts, [&](int row, int column) {
        int i = row * columns + column;
        return dx[i] = activation_gradient(dy[i], y[i], activation);
    });
}

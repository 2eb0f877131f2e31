// variant: float32
// variant: float64
// Sums along a matrix, without atomics, so that they round alike on every run.
#include "common.cuh"

constexpr int STRIPE = 8;                       // threads (WARP, STRIPE): a warp reads WARP neighbours of a row

// Block (x, y) sums WARP columns over its `height` rows of value(row, column) and writes row y of sums (gridDim.y, columns).
template <class F>
__device__ void sum_columns(int rows, int columns, int height, REAL* sums, REAL (*parts)[WARP], F value)
{
    int column = blockIdx.x * WARP + threadIdx.x, first = blockIdx.y * height;
    REAL total = 0;
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

// A block sums WARP columns of x (rows, columns) over its rows; applied again to its own result it finishes.
extern "C" __global__ void column_sums(const REAL* x, REAL* sums, int rows, int columns, int height)
{
    __shared__ REAL parts[STRIPE][WARP];
    sum_columns(rows, columns, height, sums, parts, [&](int row, int column) { return x[row * columns + column]; });
}

// The same of dx = dy where y > 0, else 0, which it also writes: a bias gradient behind a relu in one pass.
extern "C" __global__ void relu_backward_column_sums(const REAL* dy, const REAL* y, REAL* dx, REAL* sums, int rows, int columns, int height)
{
    __shared__ REAL parts[STRIPE][WARP];
    sum_columns(rows, columns, height, sums, parts, [&](int row, int column) {
        int i = row * columns + column;
        return dx[i] = y[i] > 0 ? dy[i] : (REAL)0;
    });
}

// A thread adds up one element of parts (count, n) in order, adds b (columns,), which may be null, then max(·, 0) if relu.
extern "C" __global__ void sum_parts(const REAL* parts, const REAL* b, REAL* y, int count, int n, int columns, bool relu)
{
    int i = thread_index();
    if (i >= n)
        return;
    REAL total = b ? b[i % columns] : (REAL)0;
    for (int part = 0; part < count; part++)
        total += parts[(long long)part * n + i];
    y[i] = relu && total < 0 ? (REAL)0 : total;
}

// A thread adds b to one element of y (rows, columns) in place, then max(·, 0) if relu; b may be null.
extern "C" __global__ void add_bias(REAL* y, const REAL* b, int n, int columns, bool relu)
{
    int i = thread_index();
    if (i >= n)
        return;
    REAL value = b ? y[i] + b[i % columns] : y[i];
    y[i] = relu && value < 0 ? (REAL)0 : value;
}

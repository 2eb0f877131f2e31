// variant: float32
// variant: float64
// Batch normalisation of channels-last arrays, as matrices (rows, columns) whose columns are the
// channels. A block takes WARP columns of `height` rows, and a thread one column of every STRIPE-th
// of these rows. Sums are double, have no atomics and round alike on every run.
#include "epilogue.cuh"

constexpr int STRIPE = 8;       // threads (WARP, STRIPE): a warp reads WARP neighbours of a row

__device__ inline int column_of_thread() { return blockIdx.x * WARP + threadIdx.x; }

// f(i) for every element of this thread: of one column, in its rows of this block.
template <class F>
__device__ void along_column(int rows, int columns, int height, F f)
{
    int first = blockIdx.y * height, end = min(first + height, rows);
    for (int row = first + threadIdx.y; row < end; row += STRIPE)
        f(row * columns + column_of_thread());
}

struct Two { double a, b; };

// The sum of f(i), two numbers, over this block's rows, into row y of sums (gridDim.y, 2, columns).
template <class F>
__device__ void sum_two(int rows, int columns, int height, double* sums, F f)
{
    __shared__ double parts[2][STRIPE][WARP];
    int column = column_of_thread();
    Two total = {0, 0};
    if (column < columns)
        along_column(rows, columns, height, [&](int i) {
            Two more = f(i);
            total.a += more.a, total.b += more.b;
        });
    parts[0][threadIdx.y][threadIdx.x] = total.a;
    parts[1][threadIdx.y][threadIdx.x] = total.b;
    __syncthreads();
    if (threadIdx.y == 0 && column < columns) {
        for (int i = 1; i < STRIPE; i++)
            total.a += parts[0][i][threadIdx.x], total.b += parts[1][i][threadIdx.x];
        double* mine = sums + (long long)blockIdx.y * 2 * columns + column;
        mine[0] = total.a, mine[columns] = total.b;
    }
}

__device__ inline Two sum_of_blocks(const double* sums, int blocks, int columns, int column)
{
    Two total = {0, 0};
    for (int block = 0; block < blocks; block++) {
        const double* part = sums + (long long)block * 2 * columns + column;
        total.a += part[0], total.b += part[columns];
    }
    return total;
}

// Σ d and Σ d² of d = x - the column's first x: around a number that is near the mean, squares do
// not cancel.
extern "C" __global__ void batch_sums(const REAL* x, double* sums, int rows, int columns,
                                      int height)
{
    int column = column_of_thread();
    double near = column < columns ? x[column] : 0;
    sum_two(rows, columns, height, sums, [&](int i) {
        double d = x[i] - near;
        return Two{d, d * d};
    });
}

// A thread finishes the mean and the biased variance of one column.
extern "C" __global__ void batch_statistics(const REAL* x, const double* sums, double* mean,
                                            double* variance, int blocks, int rows, int columns)
{
    int column = thread_index();
    if (column >= columns)
        return;
    Two total = sum_of_blocks(sums, blocks, columns, column);
    double apart = total.a / rows, of_squares = total.b / rows;
    mean[column] = x[column] + apart;
    variance[column] = max(of_squares - apart * apart, 0.0);
}

// y = activation(w (x - mean) / √(variance + eps) + bias + residual); w, bias and residual may be
// null. near is the mean in REAL, and shift takes back what its rounding moved.
extern "C" __global__ void batch_norm(const REAL* x, const REAL* w, REAL* y, const double* mean,
                                      const double* variance, double eps, int rows, int columns,
                                      int height, const REAL* bias, const REAL* residual,
                                      int activation)
{
    int column = column_of_thread();
    if (column >= columns)
        return;
    double exact = (w ? w[column] : 1) / sqrt(variance[column] + eps);
    REAL near = mean[column], scale = exact;
    REAL shift = (bias ? bias[column] : 0) + (near - mean[column]) * exact;
    along_column(rows, columns, height, [&](int i) {
        REAL value = (x[i] - near) * scale + shift;
        y[i] = epilogue(value, column, i, nullptr, residual, activation);
    });
}

// Σ g and Σ g (x - mean) of g, the gradient before the activation, which is also written; y and g
// are null where there is none.
extern "C" __global__ void gradient_sums(const REAL* dy, const REAL* x, const REAL* y, REAL* g,
                                         double* sums, const double* mean, int rows, int columns,
                                         int height, int activation)
{
    int column = column_of_thread();
    double center = column < columns ? mean[column] : 0;
    sum_two(rows, columns, height, sums, [&](int i) {
        REAL gradient = dy[i];
        if (g)
            g[i] = gradient = activation_gradient(gradient, y[i], activation);
        return Two{(double)gradient, gradient * (x[i] - center)};
    });
}

// A thread finishes dw and dbias of one column, and its two sums in sums[0].
extern "C" __global__ void gradients(double* sums, const double* variance, double eps, REAL* dw,
                                     REAL* dbias, int blocks, int columns)
{
    int column = thread_index();
    if (column >= columns)
        return;
    Two total = sum_of_blocks(sums, blocks, columns, column);
    sums[column] = total.a, sums[columns + column] = total.b;
    dbias[column] = total.a;
    dw[column] = total.b / sqrt(variance[column] + eps);
}

// dx = w / deviation · (g - (Σ g + z Σ g z) / rows), where z = (x - mean) / deviation; without sums
// (null), of running statistics, dx = w / deviation · g. dx may be g.
extern "C" __global__ void batch_norm_backward(const REAL* g, const REAL* x, const REAL* w,
                                               REAL* dx, const double* mean,
                                               const double* variance, const double* sums,
                                               double eps, int rows, int columns, int height)
{
    int column = column_of_thread();
    if (column >= columns)
        return;
    double exact = (w ? w[column] : 1) / sqrt(variance[column] + eps);
    double steep = sums ? -exact * sums[columns + column] / (variance[column] + eps) / rows : 0;
    REAL near = mean[column], scale = exact, slope = steep;
    REAL shift = sums ? steep * (near - mean[column]) - exact * sums[column] / rows : 0;
    along_column(rows, columns, height, [&](int i) {
        REAL through = sums ? slope * (x[i] - near) + shift : (REAL)0;
        dx[i] = g[i] * scale + through;
    });
}

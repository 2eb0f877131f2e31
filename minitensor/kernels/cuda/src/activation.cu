// variant: float32
// variant: float64
// Activations of each element by itself; softmax and its logarithm, a block of whole warps per row
// of a matrix (rows, K).
#include "elements.cuh"
#include "epilogue.cuh"
#include "rows.cuh"

// A thread computes PACK elements of the activation of x.
extern "C" __global__ void activation(const REAL* x, REAL* y, int n, int activation)
{
    map(n, [=](REAL x) { return activate(x, activation); }, y, x);
}

// A thread computes PACK elements of the activation's gradient dx from dy and its result y.
extern "C" __global__ void activation_backward(const REAL* dy, const REAL* y, REAL* dx, int n,
                                               int activation)
{
    map(n, [=](REAL dy, REAL y) { return activation_gradient(dy, y, activation); }, dx, dy, y);
}

// A block computes one row of exp(x) / Σ exp(x).
extern "C" __global__ void softmax(const REAL* x, REAL* y, int K)
{
    __shared__ REAL parts[WARP];
    x += (long long)blockIdx.x * K, y += (long long)blockIdx.x * K;
    Shift shift = shift_of(x, K, parts);
    along_row(K, [&](int k) { y[k] = exp(x[k] - shift.largest) / shift.total; });
}

// A block computes one row of y (dy - Σ dy y).
extern "C" __global__ void softmax_backward(const REAL* dy, const REAL* y, REAL* dx, int K)
{
    __shared__ REAL parts[WARP];
    long long first = (long long)blockIdx.x * K;
    dy += first, y += first, dx += first;
    REAL dot = reduce_row(K, Sum(), parts, [&](int k) { return dy[k] * y[k]; });
    along_row(K, [&](int k) { dx[k] = y[k] * (dy[k] - dot); });
}

// A block computes one row of x - log(Σ exp(x)).
extern "C" __global__ void log_softmax(const REAL* x, REAL* y, int K)
{
    __shared__ REAL parts[WARP];
    x += (long long)blockIdx.x * K, y += (long long)blockIdx.x * K;
    Shift shift = shift_of(x, K, parts);
    REAL log_total = log(shift.total);
    along_row(K, [&](int k) { y[k] = x[k] - shift.largest - log_total; });
}

// A block computes one row of dy - exp(y) Σ dy.
extern "C" __global__ void log_softmax_backward(const REAL* dy, const REAL* y, REAL* dx, int K)
{
    __shared__ REAL parts[WARP];
    long long first = (long long)blockIdx.x * K;
    dy += first, y += first, dx += first;
    REAL total = reduce_row(K, Sum(), parts, [&](int k) { return dy[k]; });
    along_row(K, [&](int k) { dx[k] = dy[k] - exp(y[k]) * total; });
}

// variant: float32
// variant: float64
// Activations of each element by itself; softmax and its logarithm, one block of whole warps per row of a matrix (rows, K).
#include "elements.cuh"
#include "rows.cuh"

// A thread computes PACK elements of max(x, 0); NaN stays NaN.
extern "C" __global__ void relu(const REAL* x, REAL* y, int n)
{
    map(n, [](REAL x) { return x < 0 ? (REAL)0 : x; }, y, x);
}

// A thread computes PACK elements of dy where y > 0, else 0.
extern "C" __global__ void relu_backward(const REAL* dy, const REAL* y, REAL* dx, int n)
{
    map(n, [](REAL dy, REAL y) { return y > 0 ? dy : (REAL)0; }, dx, dy, y);
}

// A thread computes PACK elements of tanh(x). (The names of C's own functions are taken, hence the longer ones.)
extern "C" __global__ void tanh_forward(const REAL* x, REAL* y, int n)
{
    map(n, [](REAL x) { return tanh(x); }, y, x);
}

// A thread computes PACK elements of dy (1 - y²).
extern "C" __global__ void tanh_backward(const REAL* dy, const REAL* y, REAL* dx, int n)
{
    map(n, [](REAL dy, REAL y) { return dy * (1 - y * y); }, dx, dy, y);
}

// A thread computes PACK elements of 1 / (1 + exp(-x)), written with tanh so that no exp can overflow.
extern "C" __global__ void sigmoid(const REAL* x, REAL* y, int n)
{
    map(n, [](REAL x) { return (tanh(x / 2) + 1) / 2; }, y, x);
}

// A thread computes PACK elements of dy y (1 - y).
extern "C" __global__ void sigmoid_backward(const REAL* dy, const REAL* y, REAL* dx, int n)
{
    map(n, [](REAL dy, REAL y) { return dy * y * (1 - y); }, dx, dy, y);
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
    dy += (long long)blockIdx.x * K, y += (long long)blockIdx.x * K, dx += (long long)blockIdx.x * K;
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
    dy += (long long)blockIdx.x * K, y += (long long)blockIdx.x * K, dx += (long long)blockIdx.x * K;
    REAL total = reduce_row(K, Sum(), parts, [&](int k) { return dy[k]; });
    along_row(K, [&](int k) { dx[k] = dy[k] - exp(y[k]) * total; });
}

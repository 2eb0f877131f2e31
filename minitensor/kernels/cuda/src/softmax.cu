// variant: float32
// variant: float64
// Softmax, its logarithm and the loss: one block of whole warps per row of a matrix (rows, K).
#include "common.cuh"

// f(k) for every k of this thread's share of a row.
template <class F>
__device__ void along_row(int K, F f)
{
    for (int k = threadIdx.x; k < K; k += blockDim.x)
        f(k);
}

template <class Combine, class F>
__device__ REAL reduce_row(int K, Combine combine, REAL* parts, F f)
{
    REAL value = Combine::identity();
    along_row(K, [&](int k) { value = combine(value, f(k)); });
    return block_reduce(value, combine, parts);
}

struct Shift { REAL largest, total; };

// The maximum of row x, which is subtracted so that exp cannot overflow, and the sum of exp(x - maximum).
__device__ inline Shift shift_of(const REAL* x, int K, REAL* parts)
{
    REAL largest = reduce_row(K, Max(), parts, [&](int k) { return x[k]; });
    return {largest, reduce_row(K, Sum(), parts, [&](int k) { return exp(x[k] - largest); })};
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

// A block computes the loss and the probabilities of one row of logits.
extern "C" __global__ void cross_entropy(const REAL* logits, const int* labels, REAL* losses, REAL* probabilities, int K, REAL smoothing)
{
    __shared__ REAL parts[WARP];
    logits += (long long)blockIdx.x * K, probabilities += (long long)blockIdx.x * K;
    Shift shift = shift_of(logits, K, parts);
    REAL smooth = 0;
    if (smoothing > 0)
        smooth = smoothing / K * reduce_row(K, Sum(), parts, [&](int k) { return logits[k] - shift.largest; });
    if (threadIdx.x == 0)
        losses[blockIdx.x] = log(shift.total) - (1 - smoothing) * (logits[labels[blockIdx.x]] - shift.largest) - smooth;
    along_row(K, [&](int k) { probabilities[k] = exp(logits[k] - shift.largest) / shift.total; });
}

// A thread computes one element of dloss · (probability - target).
extern "C" __global__ void cross_entropy_backward(const REAL* dlosses, const REAL* probabilities, const int* labels, REAL* dlogits, int n,
                                                  int K, REAL smoothing)
{
    int i = thread_index();
    if (i >= n)
        return;
    int row = i / K, k = i % K;
    REAL target = smoothing / K + (k == labels[row] ? 1 - smoothing : (REAL)0);
    dlogits[i] = dlosses[row] * (probabilities[i] - target);
}

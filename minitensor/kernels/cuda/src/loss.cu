// variant: float32
// variant: float64
// The loss: a block of whole warps per row of a matrix (rows, K).
#include "rows.cuh"

// A block computes the loss and the probabilities of one row of logits.
extern "C" __global__ void cross_entropy(const REAL* logits, const int* labels, REAL* losses,
                                         REAL* probabilities, int K, REAL smoothing)
{
    __shared__ REAL parts[WARP];
    logits += (long long)blockIdx.x * K, probabilities += (long long)blockIdx.x * K;
    Shift shift = shift_of(logits, K, parts);
    REAL smooth = 0;
    if (smoothing > 0) {
        auto shifted = [&](int k) { return logits[k] - shift.largest; };
        smooth = smoothing / K * reduce_row(K, Sum(), parts, shifted);
    }
    if (threadIdx.x == 0) {
        REAL of_label = logits[labels[blockIdx.x]] - shift.largest;
        losses[blockIdx.x] = log(shift.total) - (1 - smoothing) * of_label - smooth;
    }
    along_row(K, [&](int k) { probabilities[k] = exp(logits[k] - shift.largest) / shift.total; });
}

// A thread computes one element of dloss · (probability - target).
extern "C" __global__ void cross_entropy_backward(const REAL* dlosses, const REAL* probabilities,
                                                  const int* labels, REAL* dlogits, int n, int K,
                                                  REAL smoothing)
{
    int i = thread_index();
    if (i >= n)
        return;
    int row = i / K, k = i % K;
    REAL target = smoothing / K + (k == labels[row] ? 1 - smoothing : (REAL)0);
    dlogits[i] = dlosses[row] * (probabilities[i] - target);
}

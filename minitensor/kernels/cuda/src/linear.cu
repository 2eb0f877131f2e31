// variant: float32 -DROWS=8
// variant: float64 -DROWS=8
// The linear layer of few rows, whose time is that of reading w once. (Of more rows it is
// product_nt in products.cu.)
#include "epilogue.cuh"

// A warp computes feature f of all N <= ROWS rows: y (N, F) = x (N, C) · wᵀ (C, F), then the
// epilogue; C is a multiple of PACK, bias and residual may be null.
extern "C" __global__ void linear_of_few_rows(const REAL* x, const REAL* w, REAL* y, int N, int C,
                                              int F, const REAL* bias, const REAL* residual,
                                              int activation)
{
    int f = thread_index() / WARP, lane = threadIdx.x % WARP;
    if (f >= F)
        return;
    REAL sums[ROWS] = {};
    for (int c = lane * PACK; c < C; c += WARP * PACK) {
        Pack of_w = *(const Pack*)(w + f * C + c);
#pragma unroll
        for (int n = 0; n < ROWS; n++)
            if (n < N) {
                Pack of_x = *(const Pack*)(x + n * C + c);
                for (int e = 0; e < PACK; e++)
                    sums[n] += of_x.v[e] * of_w.v[e];
            }
    }
#pragma unroll
    for (int n = 0; n < ROWS; n++)
        if (n < N) {
            REAL total = warp_reduce(sums[n], Sum());
            if (lane == 0)
                y[n * F + f] = epilogue(total, f, n * F + f, bias, residual, activation);
        }
}

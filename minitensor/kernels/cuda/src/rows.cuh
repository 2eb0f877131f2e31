#pragma once
// One block of whole warps per row of a matrix (rows, K).
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
    typedef typename Combine::Total Total;
    Total value = Combine::identity();
    along_row(K, [&](int k) { value = combine(value, (Total)f(k)); });
    return block_reduce((REAL)value, combine, parts);
}

struct Shift { REAL largest, total; };

// The maximum of row x, which is subtracted so that exp cannot overflow, and the sum of
// exp(x - maximum).
__device__ inline Shift shift_of(const REAL* x, int K, REAL* parts)
{
    REAL largest = reduce_row(K, Max(), parts, [&](int k) { return x[k]; });
    return {largest, reduce_row(K, Sum(), parts, [&](int k) { return exp(x[k] - largest); })};
}

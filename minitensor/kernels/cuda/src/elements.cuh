#pragma once
// Functions of each element by itself.
#include "common.cuh"

template <class F, class... Packs>
__device__ Pack each(F f, Packs... x)
{
    Pack y;
    for (int e = 0; e < PACK; e++)
        y.v[e] = f(x.v[e]...);
    return y;
}

// y = f(x...) for the PACK elements of this thread, in vectorised loads and a vectorised store
// where all of them exist and are aligned.
template <class F, class... Pointers>
__device__ void map(int n, F f, REAL* y, Pointers... x)
{
    int first = thread_index() * PACK;
    if (first + PACK <= n && aligned(y) && (aligned(x) && ...))
        *(Pack*)(y + first) = each(f, *(const Pack*)(x + first)...);
    else
        for (int i = first; i < first + PACK && i < n; i++)
            y[i] = f(x[i]...);
}

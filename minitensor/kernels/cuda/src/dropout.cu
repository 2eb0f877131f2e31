// variant: float32
// variant: float64
// Dropout.
#include "common.cuh"
#include "philox.cuh"

// A thread computes the DRAWS elements that one counter of the generator decides: x / keep where
// the draw's 24 bits reach limit, else 0. key1 is read from key1_memory unless that is null.
extern "C" __global__ void dropout(const REAL* x, REAL* y, int n, unsigned limit, REAL keep,
                                   uint64 key0, uint64 key1,
                                   const uint64* key1_memory)
{
    unsigned draws[DRAWS];
    int counter = thread_index();
    philox(key0, key1_memory ? *key1_memory : key1, counter + 1ull, draws);
    for (int e = 0; e < DRAWS && counter * DRAWS + e < n; e++) {
        int i = counter * DRAWS + e;
        y[i] = draws[e] >> 8 >= limit ? x[i] / keep : (REAL)0;
    }
}

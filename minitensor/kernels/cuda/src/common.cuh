#pragma once
// What several kernels share: numbers of threads, packs of 16 bytes, reductions over a block.

constexpr int WARP = 32;                        // threads that run in step
constexpr int PACK = 16 / sizeof(REAL);         // numbers that one thread reads or writes at once

struct __align__(16) Pack { REAL v[PACK]; };    // one vectorised load or store

__device__ inline int thread_index() { return blockIdx.x * blockDim.x + threadIdx.x; }

__host__ __device__ constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

__device__ inline bool aligned(const void* p) { return (unsigned long long)p % sizeof(Pack) == 0; }

__device__ inline REAL minus_infinity() { return (REAL)__int_as_float((int)0xff800000u); }

// Total is what one thread combines many numbers in: a long sum of floats needs a double's digits.
struct Sum {
    typedef double Total;
    static __device__ REAL identity() { return 0; }
    template <class T> __device__ T operator()(T a, T b) const { return a + b; }
};

struct Max {
    typedef REAL Total;
    static __device__ REAL identity() { return minus_infinity(); }
    __device__ REAL operator()(REAL a, REAL b) const { return a > b ? a : b; }
};

template <class Combine>
__device__ REAL warp_reduce(REAL value, Combine combine)
{
    for (int step = WARP / 2; step > 0; step /= 2)
        value = combine(value, __shfl_xor_sync(0xffffffffu, value, step));
    return value;
}

// All values of a block of whole warps combined, in every thread, always in the same order.
// parts: WARP numbers of shared memory.
template <class Combine>
__device__ REAL block_reduce(REAL value, Combine combine, REAL* parts)
{
    int lane = threadIdx.x % WARP;
    value = warp_reduce(value, combine);
    __syncthreads();                            // parts may still be read from the call before
    if (lane == 0)
        parts[threadIdx.x / WARP] = value;
    __syncthreads();
    return warp_reduce(lane < blockDim.x / WARP ? parts[lane] : Combine::identity(), combine);
}

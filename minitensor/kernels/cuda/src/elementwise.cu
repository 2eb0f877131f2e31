// variant: float32
// variant: float64
// Activations, dropout and other functions of each element by itself.
#include "common.cuh"
#include "philox.cuh"

template <class F, class... Packs>
__device__ Pack each(F f, Packs... x)
{
    Pack y;
    for (int e = 0; e < PACK; e++)
        y.v[e] = f(x.v[e]...);
    return y;
}

// y = f(x...) for the PACK elements of this thread: 16 bytes at once where they exist and are aligned.
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

// A thread computes the DRAWS elements that one counter of the generator decides: x / keep where the draw's 24 bits reach limit, else 0.
extern "C" __global__ void dropout(const REAL* x, REAL* y, int n, unsigned limit, REAL keep, unsigned long long key0,
                                   unsigned long long key1, const unsigned long long* key1_memory)
{
    unsigned draws[DRAWS];
    int counter = thread_index();
    philox(key0, key1_memory ? *key1_memory : key1, counter + 1ull, draws);
    for (int e = 0; e < DRAWS && counter * DRAWS + e < n; e++) {
        int i = counter * DRAWS + e;
        y[i] = draws[e] >> 8 >= limit ? x[i] / keep : (REAL)0;
    }
}

// A thread adds b to one element of y (rows, columns) in place, then max(·, 0) if relu; b may be null.
extern "C" __global__ void add_bias(REAL* y, const REAL* b, int n, int columns, bool relu)
{
    int i = thread_index();
    if (i >= n)
        return;
    REAL value = b ? y[i] + b[i % columns] : y[i];
    y[i] = relu && value < 0 ? (REAL)0 : value;
}

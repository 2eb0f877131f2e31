// variant: float32
// variant: float64
// The optimizer's update of many tensors at once. Numbers that change from one replay of a CUDA
// graph to the next are read from memory: lr from lr_memory, step from step_memory, unless those
// are null.
#include "common.cuh"

// f(dw, numbers) for this thread's share of one tensor's n elements, which all threads of the grid
// divide among them. numbers are those of the COUNT arrays of state; f changes them in place.
template <int COUNT, class F>
__device__ void update(F f, int n, const REAL* dw, REAL* const (&state)[COUNT])
{
    bool packs = aligned(dw);
    for (int s = 0; s < COUNT; s++)
        packs = packs && aligned(state[s]);
    unsigned threads = gridDim.x * blockDim.x, whole = packs ? n / PACK : 0;
    for (unsigned p = thread_index(); p < whole; p += threads) {
        Pack gradient = ((const Pack*)dw)[p], pack[COUNT];
        for (int s = 0; s < COUNT; s++)
            pack[s] = ((const Pack*)state[s])[p];
        for (int e = 0; e < PACK; e++) {
            REAL numbers[COUNT];
            for (int s = 0; s < COUNT; s++)
                numbers[s] = pack[s].v[e];
            f(gradient.v[e], numbers);
            for (int s = 0; s < COUNT; s++)
                pack[s].v[e] = numbers[s];
        }
        for (int s = 0; s < COUNT; s++)
            ((Pack*)state[s])[p] = pack[s];
    }
    for (unsigned i = whole * PACK + thread_index(); i < n; i += threads) {
        REAL numbers[COUNT];
        for (int s = 0; s < COUNT; s++)
            numbers[s] = state[s][i];
        f(dw[i], numbers);
        for (int s = 0; s < COUNT; s++)
            state[s][i] = numbers[s];
    }
}

struct Momentum {
    REAL in_velocity, of_velocity;          // -lr and 1, or 1 and -lr: where lr is multiplied
    REAL momentum, weight_decay;
    bool nesterov;

    __device__ void operator()(REAL dw, REAL (&numbers)[2]) const
    {
        REAL &w = numbers[0], &v = numbers[1];
        REAL step = in_velocity * (dw + weight_decay * w);
        v = momentum != 0 ? momentum * v + step : v;
        w += of_velocity * (momentum == 0 ? step : nesterov ? momentum * v + step : v);
    }
};

// A thread updates its share of every tensor in turn: w, v and dw are dense and in the same order;
// n0 ... n7 may be 0.
extern "C" __global__ void sgd(
    REAL lr, const double* lr_memory, REAL momentum, REAL weight_decay, bool nesterov,
    bool lr_in_velocity,
    REAL* w0, REAL* v0, const REAL* dw0, int n0, REAL* w1, REAL* v1, const REAL* dw1, int n1,
    REAL* w2, REAL* v2, const REAL* dw2, int n2, REAL* w3, REAL* v3, const REAL* dw3, int n3,
    REAL* w4, REAL* v4, const REAL* dw4, int n4, REAL* w5, REAL* v5, const REAL* dw5, int n5,
    REAL* w6, REAL* v6, const REAL* dw6, int n6, REAL* w7, REAL* v7, const REAL* dw7, int n7)
{
    REAL down = -(lr_memory ? (REAL)*lr_memory : lr), one = 1;
    Momentum f = {lr_in_velocity ? down : one, lr_in_velocity ? one : down, momentum, weight_decay,
                  nesterov};
    update(f, n0, dw0, {w0, v0});
    update(f, n1, dw1, {w1, v1});
    update(f, n2, dw2, {w2, v2});
    update(f, n3, dw3, {w3, v3});
    update(f, n4, dw4, {w4, v4});
    update(f, n5, dw5, {w5, v5});
    update(f, n6, dw6, {w6, v6});
    update(f, n7, dw7, {w7, v7});
}

struct Moments {
    REAL step_size, correction, keep;       // lr / (1 - beta1^step), √(1 - beta2^step), below
    REAL one_minus_beta1, beta2, one_minus_beta2, eps, weight_decay;

    __device__ void operator()(REAL dw, REAL (&numbers)[3]) const
    {
        REAL &w = numbers[0], &m = numbers[1], &v = numbers[2];
        w *= keep;                          // AdamW: 1 - lr · weight_decay, Adam: 1
        dw += weight_decay * w;             // AdamW: 0
        m += one_minus_beta1 * (dw - m);
        v = beta2 * v + one_minus_beta2 * dw * dw;
        w -= step_size * (m / (sqrt(v) / correction + eps));
    }
};

// The same with the moments m and v of the gradient. The powers need a double's digits.
extern "C" __global__ void adam(
    double lr, const double* lr_memory, double step, const double* step_memory,
    double beta1, double beta2, REAL eps, double weight_decay, bool decoupled,
    REAL* w0, REAL* m0, REAL* v0, const REAL* dw0, int n0,
    REAL* w1, REAL* m1, REAL* v1, const REAL* dw1, int n1,
    REAL* w2, REAL* m2, REAL* v2, const REAL* dw2, int n2,
    REAL* w3, REAL* m3, REAL* v3, const REAL* dw3, int n3,
    REAL* w4, REAL* m4, REAL* v4, const REAL* dw4, int n4,
    REAL* w5, REAL* m5, REAL* v5, const REAL* dw5, int n5,
    REAL* w6, REAL* m6, REAL* v6, const REAL* dw6, int n6,
    REAL* w7, REAL* m7, REAL* v7, const REAL* dw7, int n7)
{
    __shared__ REAL of_block[3];
    if (threadIdx.x == 0) {
        double rate = lr_memory ? *lr_memory : lr, t = step_memory ? *step_memory : step;
        of_block[0] = (REAL)(rate / (1 - pow(beta1, t)));
        of_block[1] = (REAL)sqrt(1 - pow(beta2, t));
        of_block[2] = (REAL)(decoupled ? 1 - rate * weight_decay : 1.0);
    }
    __syncthreads();
    Moments f = {of_block[0], of_block[1], of_block[2], (REAL)(1 - beta1), (REAL)beta2,
                 (REAL)(1 - beta2), eps, decoupled ? (REAL)0 : (REAL)weight_decay};
    update(f, n0, dw0, {w0, m0, v0});
    update(f, n1, dw1, {w1, m1, v1});
    update(f, n2, dw2, {w2, m2, v2});
    update(f, n3, dw3, {w3, m3, v3});
    update(f, n4, dw4, {w4, m4, v4});
    update(f, n5, dw5, {w5, m5, v5});
    update(f, n6, dw6, {w6, m6, v6});
    update(f, n7, dw7, {w7, m7, v7});
}

// variant: float32
// variant: float64
// The optimiser's update of many tensors at once.
#include "common.cuh"

struct Update {
    REAL lr, momentum, weight_decay;
    bool nesterov;

    __device__ void element(REAL& w, REAL& v, REAL dw) const
    {
        REAL step = lr * (dw + weight_decay * w);
        v = momentum * v - step;
        w += nesterov ? momentum * v - step : v;
    }

    // One tensor, shared among all threads of the grid.
    __device__ void tensor(REAL* w, REAL* v, const REAL* dw, int n) const
    {
        unsigned threads = gridDim.x * blockDim.x, whole = aligned(w) && aligned(v) && aligned(dw) ? n / PACK : 0;
        for (unsigned p = thread_index(); p < whole; p += threads) {
            Pack wp = ((Pack*)w)[p], vp = ((Pack*)v)[p], dwp = ((const Pack*)dw)[p];
            for (int e = 0; e < PACK; e++)
                element(wp.v[e], vp.v[e], dwp.v[e]);
            ((Pack*)w)[p] = wp;
            ((Pack*)v)[p] = vp;
        }
        for (unsigned i = whole * PACK + thread_index(); i < n; i += threads)
            element(w[i], v[i], dw[i]);
    }
};

// lr is read from lr_memory unless that is null.
// A thread updates its share of every tensor i in turn: w, v and dw are dense and in the same order; n0 ... n7 may be 0.
extern "C" __global__ void sgd(REAL lr, const double* lr_memory, REAL momentum, REAL weight_decay, bool nesterov,
                               REAL* w0, REAL* v0, const REAL* dw0, int n0, REAL* w1, REAL* v1, const REAL* dw1, int n1,
                               REAL* w2, REAL* v2, const REAL* dw2, int n2, REAL* w3, REAL* v3, const REAL* dw3, int n3,
                               REAL* w4, REAL* v4, const REAL* dw4, int n4, REAL* w5, REAL* v5, const REAL* dw5, int n5,
                               REAL* w6, REAL* v6, const REAL* dw6, int n6, REAL* w7, REAL* v7, const REAL* dw7, int n7)
{
    Update update = {lr_memory ? (REAL)*lr_memory : lr, momentum, weight_decay, nesterov};
    update.tensor(w0, v0, dw0, n0);
    update.tensor(w1, v1, dw1, n1);
    update.tensor(w2, v2, dw2, n2);
    update.tensor(w3, v3, dw3, n3);
    update.tensor(w4, v4, dw4, n4);
    update.tensor(w5, v5, dw5, n5);
    update.tensor(w6, v6, dw6, n6);
    update.tensor(w7, v7, dw7, n7);
}

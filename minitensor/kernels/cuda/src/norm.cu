// variant: float32
// variant: float64
// Local response normalisation of channels-last arrays (N, H, W, C): one pass forward, one back.
#include "common.cuh"

// s^-beta. AlexNet's beta 0.75 is s^(-1/2) · s^(-1/4), and 1/√s is one instruction.
__device__ inline REAL power(REAL s, REAL beta)
{
    if (beta != (REAL)0.75)
        return pow(s, -beta);
    REAL root = rsqrt(s);
    return root * rsqrt(s < -minus_infinity() ? s * root : s);     // at inf 0, not inf · 0
}

struct Sides { int H, W, C; };

// The sum of f(i) over the neighbours of element `index`: those from `before` ahead of it on,
// size.H x size.W x size.C of them, in the image.
template <class F>
__device__ REAL sum_neighbours(int index, Sides image, Sides size, Sides before, F f)
{
    int c = index % image.C, w = index / image.C % image.W, h = index / image.C / image.W % image.H;
    int base = index - (h * image.W + w) * image.C - c;
    int first_c = max(c - before.C, 0), end_c = min(c - before.C + size.C, image.C);
    REAL total = 0;
    for (int i = max(h - before.H, 0); i < min(h - before.H + size.H, image.H); i++)
        for (int j = max(w - before.W, 0); j < min(w - before.W + size.W, image.W); j++)
            for (int k = first_c; k < end_c; k++)
                total += f(base + (i * image.W + j) * image.C + k);
    return total;
}

// A thread computes one element of scale = k + alpha/n · Σ x² and of y = x / scale^beta.
extern "C" __global__ void local_response_norm(const REAL* x, REAL* y, REAL* scale, int n,
                                               Sides image, Sides size, REAL alpha_per_n, REAL beta,
                                               REAL k)
{
    int i = thread_index();
    if (i >= n)
        return;
    Sides before = {size.H / 2, size.W / 2, size.C / 2};
    REAL total = sum_neighbours(i, image, size, before, [&](int j) { return x[j] * x[j]; });
    REAL s = k + alpha_per_n * total;
    scale[i] = s;
    y[i] = x[i] * power(s, beta);
}

// A thread computes one element of dx = dy / scale^beta
// - 2 alpha beta / n · x · Σ dy x / scale^(beta+1), over the windows that the element is in.
extern "C" __global__ void local_response_norm_backward(const REAL* dy, const REAL* x,
                                                        const REAL* scale, REAL* dx, int n,
                                                        Sides image, Sides size, REAL alpha_per_n,
                                                        REAL beta)
{
    int i = thread_index();
    if (i >= n)
        return;
    Sides before = {size.H - 1 - size.H / 2, size.W - 1 - size.W / 2, size.C - 1 - size.C / 2};
    REAL ratio = sum_neighbours(i, image, size, before, [&](int j) {
        return dy[j] * x[j] * power(scale[j], beta) / scale[j];
    });
    dx[i] = dy[i] * power(scale[i], beta) - 2 * alpha_per_n * beta * x[i] * ratio;
}

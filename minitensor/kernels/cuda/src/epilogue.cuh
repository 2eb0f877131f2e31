#pragma once
// What is done to a product before it leaves fast memory, and the activations it may end with.
#include "common.cuh"

enum Activation { NONE, RELU, TANH, SIGMOID };  // numbered as ACTIVATIONS in kernels/epilogue.py

__device__ inline REAL activate(REAL x, int activation)
{
    switch (activation) {
    case RELU: return x < 0 ? (REAL)0 : x;      // NaN stays NaN
    case TANH: return tanh(x);
    case SIGMOID: return 1 / (1 + exp(-x)); // exp(-x) may be infinite: 1 / inf is 0
    default: return x;
    }
}

// dy times the derivative, which every activation can tell from its result y.
__device__ inline REAL activation_gradient(REAL dy, REAL y, int activation)
{
    switch (activation) {
    case RELU: return y > 0 ? dy : (REAL)0;
    case TANH: return dy * (1 - y * y);
    case SIGMOID: return dy * y * (1 - y);
    default: return dy;
    }
}

// Element i of y = activation(product + bias + residual), in column f; bias and residual may be
// null.
__device__ inline REAL epilogue(REAL product, int f, long long i, const REAL* bias,
                                const REAL* residual, int activation)
{
    if (bias)
        product += bias[f];
    if (residual)
        product += residual[i];
    return activate(product, activation);
}

// variant: float32 -DPRECISION=FULL -DSIDE=128 -DDEPTH=16
// variant: float32 -DPRECISION=TF32 -DSIDE=128 -DDEPTH=16
// variant: float32 -DPRECISION=BF16 -DSIDE=128 -DDEPTH=32
// variant: float64 -DPRECISION=FULL -DSIDE=64 -DDEPTH=16
// Convolution, a ladder. Each rung computes what the one before does:
//
//   1. conv2d_naive      the definition: a thread an output
//   2. im2col, col2im    the numbers under every window as rows of a matrix; a product of cuBLAS
//   3. conv2d and its gradients: implicit GEMM, the same products without the matrix. A block
//      computes a tile of c (M, N) = a (M, K) · b (K, N), as in tile.cuh, and its loaders gather
//      the columns on the way:
//
//   kernel                   M rows         N columns     K             loader of a, of b
//   conv2d                   pixels of y    filters       taps · C      Windows of x,
//                                                                       MatrixAlongK of w
//   conv2d_input_gradient    pixels of x    channels      taps · F      Windows of dy,
//                                                                       FiltersByChannel of w
//   conv2d_weight_gradient   filters        taps · C      pixels of y   MatrixAlongRows of dy,
//                                                                       WindowsByTap of x
//
// taps are the KH · KW cells of a window; of each group there is such a product.
// x (N, H, W, G·C), w (G·F, KH, KW, C), y (N, OH, OW, G·F) are channels-last, with C and F those of
// one group. Rung 3 wants C in multiples of 4, and the gradients F too. With split-K its results
// are (split-K, ...), to be added up.
#include "epilogue.cuh"
#include "windows.cuh"

// A thread computes one element of y.
extern "C" __global__ void conv2d_naive(const REAL* x, const REAL* w, REAL* y, Sizes s,
                                        const REAL* bias, const REAL* residual, int activation)
{
    int index = thread_index(), filters = s.groups * s.F, channels = s.groups * s.C;
    if (index >= pixels(s) * filters)
        return;
    int f = index % filters, ow = index / filters % s.OW, oh = index / filters / s.OW % s.OH;
    int n = index / filters / s.OW / s.OH, first_channel = f / s.F * s.C;
    REAL total = 0;
    for (int i = 0; i < s.KH; i++)
        for (int j = 0; j < s.KW; j++) {
            int row = oh * s.SH - s.PH + i * s.DH, column = ow * s.SW - s.PW + j * s.DW;
            if (row < 0 || row >= s.H || column < 0 || column >= s.W)
                continue;
            const REAL* pixel = x + ((n * s.H + row) * s.W + column) * channels + first_channel;
            const REAL* tap = w + ((f * s.KH + i) * s.KW + j) * s.C;
            for (int c = 0; c < s.C; c++)
                total += pixel[c] * tap[c];
        }
    y[index] = epilogue(total, f, index, bias, residual, activation);
}

// A thread copies one of the n numbers of columns (groups, N·OH·OW, KH·KW·C) from x, 0 outside it.
extern "C" __global__ void im2col(const REAL* x, REAL* columns, int n, Sizes s)
{
    int index = thread_index();
    if (index >= n)
        return;
    int c = index % s.C, rest = index / s.C;
    int j = rest % s.KW, i = (rest /= s.KW) % s.KH;
    int ow = (rest /= s.KH) % s.OW, oh = (rest /= s.OW) % s.OH;
    int image = (rest /= s.OH) % s.N, group = rest / s.N;
    int h = oh * s.SH - s.PH + i * s.DH, w = ow * s.SW - s.PW + j * s.DW;
    bool inside = 0 <= h && h < s.H && 0 <= w && w < s.W;
    int from = (((image * s.H + h) * s.W + w) * s.groups + group) * s.C + c;
    columns[index] = inside ? x[from] : (REAL)0;
}

// A thread gathers one of the n numbers of x: the sum of all that im2col would copy from it.
extern "C" __global__ void col2im(const REAL* columns, REAL* x, int n, Sizes s)
{
    int index = thread_index();
    if (index >= n)
        return;
    int c = index % s.C, rest = index / s.C;
    int group = rest % s.groups, w = (rest /= s.groups) % s.W;
    int h = (rest /= s.W) % s.H, image = rest / s.H;
    REAL total = 0;
    for (int i = 0; i < s.KH; i++) {
        int top = h + s.PH - i * s.DH;      // of the windows that hold this pixel in their row i
        if (top < 0 || top % s.SH || top / s.SH >= s.OH)
            continue;
        for (int j = 0; j < s.KW; j++) {
            int left = w + s.PW - j * s.DW;
            if (left < 0 || left % s.SW || left / s.SW >= s.OW)
                continue;
            int pixel = ((group * s.N + image) * s.OH + top / s.SH) * s.OW + left / s.SW;
            total += columns[((pixel * s.KH + i) * s.KW + j) * s.C + c];
        }
    }
    x[index] = total;
}

// A block computes a tile of y; bias and residual may be null.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
conv2d(const REAL* x, const REAL* w, REAL* y, Sizes s, const REAL* bias, const REAL* residual,
       int activation)
{
    __shared__ __align__(16) Buffers buffers;
    int M = pixels(s), N = s.F, K = window(s);
    Tile tile(N, K);
    Windows windows(x, s, tile);
    MatrixAlongK filters(w + tile.group * N * K, N, K, K, tile.column, tile.first_k);
    Sums sums;
    multiply(windows, filters, tile.steps, buffers, sums);
    for_each_of(sums, tile, M, N, [&](int pixel, int column, REAL sum) {
        int f = tile.group * N + column;
        long long i = ((long long)tile.split * M + pixel) * N * s.groups + f;
        y[i] = epilogue(sum, f, i, bias, residual, activation);
    });
}

// A block computes a tile of dx, the gradient of conv2d's x, for strides SH = SW = 1.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
conv2d_input_gradient(const REAL* dy, const REAL* w, REAL* dx, Sizes s)
{
    __shared__ __align__(16) Buffers buffers;
    int M = s.N * s.H * s.W, N = s.C, K = s.KH * s.KW * s.F;
    Tile tile(N, K);
    Windows windows(dy, reversed(s), tile);
    FiltersByChannel filters(w, s, tile);
    Sums sums;
    multiply(windows, filters, tile.steps, buffers, sums);
    for_each_of(sums, tile, M, N, [&](int pixel, int c, REAL sum) {
        dx[(((long long)tile.split * M + pixel) * s.groups + tile.group) * N + c] = sum;
    });
}

// A block computes a tile of dw, the gradient of conv2d's w.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
conv2d_weight_gradient(const REAL* dy, const REAL* x, REAL* dw, Sizes s)
{
    __shared__ __align__(16) Buffers buffers;
    int M = s.F, N = window(s), K = pixels(s);
    Tile tile(N, K);
    MatrixAlongRows gradient(dy + tile.group * M, M, K, M * s.groups, tile.row, tile.first_k);
    WindowsByTap windows(x, s, tile);
    Sums sums;
    multiply(gradient, windows, tile.steps, buffers, sums);
    for_each_of(sums, tile, M, N, [&](int f, int tap, REAL sum) {
        dw[(((long long)tile.split * s.groups + tile.group) * M + f) * N + tap] = sum;
    });
}

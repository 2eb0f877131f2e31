// variant: float32 -DWINNER=uint8_t
// variant: float32 -DWINNER=int
// variant: float64 -DWINNER=uint8_t
// variant: float64 -DWINNER=int
// Pooling of channels-last arrays: x (N, H, W, C), y (N, OH, OW, C). Gradients are gathered: no two
// threads write the same element. n is the number of elements, and of threads.
#include "common.cuh"

typedef unsigned char uint8_t;

// As in kernels/__init__.py; S is the stride, P the padding. The same in Python: pool.py.
struct Windows { int H, W, C, OH, OW, KH, KW, SH, SW, PH, PW; };

struct Pixel { int n, h, w, c; };

// Where element `index` of a channels-last array of H x W pixels and C channels lies.
__device__ inline Pixel pixel_of(int index, int H, int W, int C)
{
    return {index / C / W / H, index / C / W % H, index / C % W, index % C};
}

struct Range { int start, end; };

// The windows along one side that contain cell i: those whose first cell o · stride - padding is at
// most i and no more than size - 1 before.
__device__ inline Range windows_over(int i, int size, int stride, int padding, int out)
{
    int reach = i + padding - size + 1;
    return {reach > 0 ? ceil_div(reach, stride) : 0, min((i + padding) / stride + 1, out)};
}

// A thread finds the maximum of one window, and in winner (which may be null) the cell that held
// it, the first pixel on ties; NaN wins.
extern "C" __global__ void max_pool2d(const REAL* x, REAL* y, WINNER* winner, int n, Windows s)
{
    int index = thread_index();
    if (index >= n)
        return;
    Pixel o = pixel_of(index, s.OH, s.OW, s.C);
    int top = o.h * s.SH - s.PH, left = o.w * s.SW - s.PW;
    int best_cell = max(-top, 0) * s.KW + max(-left, 0);
    REAL best = minus_infinity();
    for (int h = max(top, 0); h < min(top + s.KH, s.H); h++)
        for (int w = max(left, 0); w < min(left + s.KW, s.W); w++) {
            REAL value = x[((o.n * s.H + h) * s.W + w) * s.C + o.c];
            if (value > best || (value != value && best == best)) {
                best = value;
                best_cell = (h - top) * s.KW + w - left;
            }
        }
    y[index] = best;
    if (winner)
        winner[index] = (WINNER)best_cell;
}

// A thread gathers one element of dx: the dy of every window that it won.
extern "C" __global__ void max_pool2d_backward(const REAL* dy, const WINNER* winner, REAL* dx,
                                               int n, Windows s)
{
    int index = thread_index();
    if (index >= n)
        return;
    Pixel p = pixel_of(index, s.H, s.W, s.C);
    Range rows = windows_over(p.h, s.KH, s.SH, s.PH, s.OH);
    Range columns = windows_over(p.w, s.KW, s.SW, s.PW, s.OW);
    REAL total = 0;
    for (int oh = rows.start; oh < rows.end; oh++) {
        REAL of_row = 0;                // two short sums round less than a long one
        for (int ow = columns.start; ow < columns.end; ow++) {
            int o = ((p.n * s.OH + oh) * s.OW + ow) * s.C + p.c;
            int cell = (p.h + s.PH - oh * s.SH) * s.KW + p.w + s.PW - ow * s.SW;
            if (winner[o] == cell)
                of_row += dy[o];
        }
        total += of_row;
    }
    dx[index] = total;
}

// How many cells of window o along one side count, as counted_cells in kernels/geometry.py.
__device__ inline int counted(int o, int image, int size, int stride, int padding,
                              bool include_padding)
{
    int start = o * stride - padding;
    int end = min(start + size, image + (include_padding ? padding : 0));
    return end - (include_padding ? start : max(start, 0));
}

// The divisor of window (oh, ow).
__device__ inline int cells_of(const Windows& s, int oh, int ow, bool include_padding)
{
    return counted(oh, s.H, s.KH, s.SH, s.PH, include_padding)
           * counted(ow, s.W, s.KW, s.SW, s.PW, include_padding);
}

// A thread computes the mean of one window.
extern "C" __global__ void avg_pool2d(const REAL* x, REAL* y, int n, Windows s,
                                      bool count_include_pad)
{
    int index = thread_index();
    if (index >= n)
        return;
    Pixel o = pixel_of(index, s.OH, s.OW, s.C);
    int top = o.h * s.SH - s.PH, left = o.w * s.SW - s.PW;
    double total = 0;
    for (int h = max(top, 0); h < min(top + s.KH, s.H); h++)
        for (int w = max(left, 0); w < min(left + s.KW, s.W); w++)
            total += x[((o.n * s.H + h) * s.W + w) * s.C + o.c];
    y[index] = (REAL)total / cells_of(s, o.h, o.w, count_include_pad);
}

// A thread gathers one element of dx: its share of every window that contains it.
extern "C" __global__ void avg_pool2d_backward(const REAL* dy, REAL* dx, int n, Windows s,
                                               bool count_include_pad)
{
    int index = thread_index();
    if (index >= n)
        return;
    Pixel p = pixel_of(index, s.H, s.W, s.C);
    Range rows = windows_over(p.h, s.KH, s.SH, s.PH, s.OH);
    Range columns = windows_over(p.w, s.KW, s.SW, s.PW, s.OW);
    REAL total = 0;
    for (int oh = rows.start; oh < rows.end; oh++) {
        REAL of_row = 0;
        for (int ow = columns.start; ow < columns.end; ow++)
            of_row += dy[((p.n * s.OH + oh) * s.OW + ow) * s.C + p.c]
                      / cells_of(s, oh, ow, count_include_pad);
        total += of_row;
    }
    dx[index] = total;
}

// Adaptive window i of `out` along a side of `image` cells, as adaptive_bounds in
// kernels/geometry.py; with the two exchanged, the windows that contain cell i.
__device__ inline Range adaptive(int i, int image, int out)
{
    return {(int)((long long)i * image / out), (int)(((i + 1ll) * image + out - 1) / out)};
}

// A thread computes the mean of one adaptive window.
extern "C" __global__ void adaptive_avg_pool2d(const REAL* x, REAL* y, int n, Windows s)
{
    int index = thread_index();
    if (index >= n)
        return;
    Pixel o = pixel_of(index, s.OH, s.OW, s.C);
    Range rows = adaptive(o.h, s.H, s.OH), columns = adaptive(o.w, s.W, s.OW);
    double total = 0;
    for (int h = rows.start; h < rows.end; h++)
        for (int w = columns.start; w < columns.end; w++)
            total += x[((o.n * s.H + h) * s.W + w) * s.C + o.c];
    y[index] = (REAL)total / ((rows.end - rows.start) * (columns.end - columns.start));
}

// A thread gathers one element of dx: its share of every adaptive window that contains it.
extern "C" __global__ void adaptive_avg_pool2d_backward(const REAL* dy, REAL* dx, int n, Windows s)
{
    int index = thread_index();
    if (index >= n)
        return;
    Pixel p = pixel_of(index, s.H, s.W, s.C);
    Range rows = adaptive(p.h, s.OH, s.H), columns = adaptive(p.w, s.OW, s.W);
    REAL total = 0;
    for (int oh = rows.start; oh < rows.end; oh++)
        for (int ow = columns.start; ow < columns.end; ow++) {
            Range height = adaptive(oh, s.H, s.OH), width = adaptive(ow, s.W, s.OW);
            int cells = (height.end - height.start) * (width.end - width.start);
            total += dy[((p.n * s.OH + oh) * s.OW + ow) * s.C + p.c] / cells;
        }
    dx[index] = total;
}

// variant: float32 -DWINNER=uint8_t
// variant: float32 -DWINNER=int
// variant: float64 -DWINNER=uint8_t
// variant: float64 -DWINNER=int
// Pooling of channels-last arrays: x (N, H, W, C), y (N, OH, OW, C). Gradients are gathered: no two threads write the same element.
#include "common.cuh"

typedef unsigned char uint8_t;

struct Pixel { int n, h, w, c; };

// Where element `index` of a channels-last array of H x W pixels and C channels lies.
__device__ inline Pixel pixel_of(int index, int H, int W, int C)
{
    return {index / C / W / H, index / C / W % H, index / C % W, index % C};
}

struct Range { int start, end; };

// The windows along one side that contain cell i: those whose first cell o · stride - padding is at most i and no more than size - 1 before.
__device__ inline Range windows_over(int i, int size, int stride, int padding, int out)
{
    int reach = i + padding - size + 1;
    return {reach > 0 ? ceil_div(reach, stride) : 0, min((i + padding) / stride + 1, out)};
}

// A thread finds the maximum of one window, and in winner (which may be null) the cell that held it, the first pixel on ties; NaN wins.
extern "C" __global__ void max_pool2d(const REAL* x, REAL* y, WINNER* winner, int n, int H, int W, int C, int OH, int OW, int KH, int KW,
                                      int SH, int SW, int PH, int PW)
{
    int index = thread_index();
    if (index >= n)
        return;
    Pixel o = pixel_of(index, OH, OW, C);
    int top = o.h * SH - PH, left = o.w * SW - PW, best_cell = max(-top, 0) * KW + max(-left, 0);
    REAL best = minus_infinity();
    for (int h = max(top, 0); h < min(top + KH, H); h++)
        for (int w = max(left, 0); w < min(left + KW, W); w++) {
            REAL value = x[((o.n * H + h) * W + w) * C + o.c];
            if (value > best || (value != value && best == best)) {
                best = value;
                best_cell = (h - top) * KW + w - left;
            }
        }
    y[index] = best;
    if (winner)
        winner[index] = (WINNER)best_cell;
}

// A thread gathers one element of dx: the dy of every window that it won.
extern "C" __global__ void max_pool2d_backward(const REAL* dy, const WINNER* winner, REAL* dx, int n, int H, int W, int C, int OH, int OW,
                                               int KH, int KW, int SH, int SW, int PH, int PW)
{
    int index = thread_index();
    if (index >= n)
        return;
    Pixel p = pixel_of(index, H, W, C);
    Range rows = windows_over(p.h, KH, SH, PH, OH), columns = windows_over(p.w, KW, SW, PW, OW);
    REAL total = 0;
    for (int oh = rows.start; oh < rows.end; oh++)
        for (int ow = columns.start; ow < columns.end; ow++) {
            int o = ((p.n * OH + oh) * OW + ow) * C + p.c, cell = (p.h + PH - oh * SH) * KW + p.w + PW - ow * SW;
            if (winner[o] == cell)
                total += dy[o];
        }
    dx[index] = total;
}

// How many cells of window o along one side count: those on the image, and of the padding if it is included.
__device__ inline int counted(int o, int image, int size, int stride, int padding, bool include_padding)
{
    int start = o * stride - padding, end = min(start + size, image + (include_padding ? padding : 0));
    return end - (include_padding ? start : max(start, 0));
}

// A thread computes the mean of one window.
extern "C" __global__ void avg_pool2d(const REAL* x, REAL* y, int n, int H, int W, int C, int OH, int OW, int KH, int KW, int SH, int SW,
                                      int PH, int PW, bool count_include_pad)
{
    int index = thread_index();
    if (index >= n)
        return;
    Pixel o = pixel_of(index, OH, OW, C);
    int top = o.h * SH - PH, left = o.w * SW - PW;
    REAL total = 0;
    for (int h = max(top, 0); h < min(top + KH, H); h++)
        for (int w = max(left, 0); w < min(left + KW, W); w++)
            total += x[((o.n * H + h) * W + w) * C + o.c];
    y[index] = total / (counted(o.h, H, KH, SH, PH, count_include_pad) * counted(o.w, W, KW, SW, PW, count_include_pad));
}

// A thread gathers one element of dx: its share of every window that contains it.
extern "C" __global__ void avg_pool2d_backward(const REAL* dy, REAL* dx, int n, int H, int W, int C, int OH, int OW, int KH, int KW, int SH,
                                               int SW, int PH, int PW, bool count_include_pad)
{
    int index = thread_index();
    if (index >= n)
        return;
    Pixel p = pixel_of(index, H, W, C);
    Range rows = windows_over(p.h, KH, SH, PH, OH), columns = windows_over(p.w, KW, SW, PW, OW);
    REAL total = 0;
    for (int oh = rows.start; oh < rows.end; oh++)
        for (int ow = columns.start; ow < columns.end; ow++)
            total += dy[((p.n * OH + oh) * OW + ow) * C + p.c]
                     / (counted(oh, H, KH, SH, PH, count_include_pad) * counted(ow, W, KW, SW, PW, count_include_pad));
    dx[index] = total;
}

// Adaptive window i of `out` along a side of `image` cells, floor(i·image/out) up to ceil((i+1)·image/out); with the two exchanged, the
// windows that contain cell i.
__device__ inline Range adaptive(int i, int image, int out)
{
    return {(int)((long long)i * image / out), (int)(((i + 1ll) * image + out - 1) / out)};
}

// A thread computes the mean of one adaptive window.
extern "C" __global__ void adaptive_avg_pool2d(const REAL* x, REAL* y, int n, int H, int W, int C, int OH, int OW)
{
    int index = thread_index();
    if (index >= n)
        return;
    Pixel o = pixel_of(index, OH, OW, C);
    Range rows = adaptive(o.h, H, OH), columns = adaptive(o.w, W, OW);
    REAL total = 0;
    for (int h = rows.start; h < rows.end; h++)
        for (int w = columns.start; w < columns.end; w++)
            total += x[((o.n * H + h) * W + w) * C + o.c];
    y[index] = total / ((rows.end - rows.start) * (columns.end - columns.start));
}

// A thread gathers one element of dx: its share of every adaptive window that contains it.
extern "C" __global__ void adaptive_avg_pool2d_backward(const REAL* dy, REAL* dx, int n, int H, int W, int C, int OH, int OW)
{
    int index = thread_index();
    if (index >= n)
        return;
    Pixel p = pixel_of(index, H, W, C);
    Range rows = adaptive(p.h, OH, H), columns = adaptive(p.w, OW, W);
    REAL total = 0;
    for (int oh = rows.start; oh < rows.end; oh++)
        for (int ow = columns.start; ow < columns.end; ow++) {
            Range height = adaptive(oh, H, OH), width = adaptive(ow, W, OW);
            total += dy[((p.n * OH + oh) * OW + ow) * C + p.c] / ((height.end - height.start) * (width.end - width.start));
        }
    dx[index] = total;
}

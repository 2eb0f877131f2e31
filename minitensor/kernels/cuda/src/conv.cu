// variant: float32 -DPRECISION=FULL -DSIDE=128 -DDEPTH=16
// variant: float32 -DPRECISION=TF32 -DSIDE=128 -DDEPTH=16
// variant: float32 -DPRECISION=BF16 -DSIDE=128 -DDEPTH=32
// variant: float64 -DPRECISION=FULL -DSIDE=64 -DDEPTH=16
// Convolution as one matrix product whose columns are never stored (implicit GEMM): a block gathers the pixels it multiplies on the way.
//
// x (N, H, W, G·C), w (G·F, KH, KW, C), y (N, OH, OW, G·F) are channels-last, with C and F those of one group and multiples of 4. A linear
// layer is the convolution of one picture of height 1, whose pixels are the rows, with windows of one pixel.
#include "tile.cuh"

struct Sizes {
    int N, H, W, C, F, OH, OW, KH, KW, SH, SW, PH, PW, DH, DW, groups, splits;
    __device__ int pixels() const { return N * OH * OW; }
    __device__ int window() const { return KH * KW * C; }
};

// Which part of the product a block computes: a tile of c, and with splits > 1 a part of k only.
struct Part {
    int row, column, group, split, first_step, steps;

    __device__ Part(int columns, int depth, int splits)
    {
        int across = ceil_div(columns, SIDE), all_steps = ceil_div(depth, DEPTH), share = ceil_div(all_steps, splits);
        row = blockIdx.x / across * SIDE;               // neighbours in the grid share the rows of a
        column = blockIdx.x % across * SIDE;
        group = blockIdx.y;
        split = blockIdx.z;
        first_step = split * share;
        steps = max(min(all_steps - first_step, share), 0);
    }
};

// A position along k = (i, j, channel), for channels in memory order and windows of KW columns.
struct Tap {
    int i, j, channel;

    __device__ Tap(int k, int channels, int KW) : i(k / channels / KW), j(k / channels % KW), channel(k % channels) {}
    __device__ void advance(int channels, int KW)
    {
        for (channel += DEPTH; channel >= channels; channel -= channels)
            if (++j == KW)
                j = 0, i++;
    }
};

// Rows are pixels of an image, k the numbers under their windows in another. Window (h, w) begins at h · stride - padding and its cells are
// `dilation` apart. A gradient of x reads dy the other way round: with dilation and padding negative.
struct Windows : AlongK {
    const REAL* image;
    int H, W, all_channels, channels, KH, KW, step_h, step_w;
    int top[RUNS], left[RUNS], base[RUNS];
    Tap tap;

    __device__ Windows(const REAL* image, int N, int H, int W, int channels, int groups, int out_h, int out_w, int KH, int KW, int stride_h,
                       int stride_w, int padding_h, int padding_w, int dilation_h, int dilation_w, Part part)
        : image(image), H(H), W(W), all_channels(channels * groups), channels(channels), KH(KH), KW(KW), step_h(dilation_h),
          step_w(dilation_w), tap(part.first_step * DEPTH + k(), channels, KW)
    {
        for (int i = 0; i < RUNS; i++) {
            int pixel = part.row + row(i), n = pixel / out_w / out_h;
            bool exists = n < N;
            top[i] = exists ? pixel / out_w % out_h * stride_h - padding_h : -(1 << 30);    // which no window reaches back from
            left[i] = pixel % out_w * stride_w - padding_w;
            base[i] = exists ? n * H * W * all_channels + part.group * channels : 0;
        }
    }

    __device__ void load(REAL (&numbers)[SHARE])
    {
        for (int i = 0; i < RUNS; i++) {
            int h = top[i] + tap.i * step_h, w = left[i] + tap.j * step_w;
            bool valid = tap.i < KH && h >= 0 && h < H && w >= 0 && w < W;
            load_pack(numbers + i * PACK, image + base[i] + (h * W + w) * all_channels + tap.channel, valid);
        }
        tap.advance(channels, KW);
    }
};

// Rows are filters, k their numbers (i, j, channel).
struct Filters : AlongK {
    const REAL* w;
    int rows, depth, first, position;

    __device__ Filters(const REAL* w, int F, int depth, Part part)
        : w(w + part.group * F * depth), rows(F), depth(depth), first(part.column), position(part.first_step * DEPTH + k()) {}

    __device__ void load(REAL (&numbers)[SHARE])
    {
        for (int i = 0; i < RUNS; i++) {
            int filter = first + row(i);
            load_pack(numbers + i * PACK, w + filter * depth + position, filter < rows && position < depth);
        }
        position += DEPTH;
    }
};

// Rows are channels, k = (i, j, filter).
struct FiltersByChannel : AlongRows {
    const REAL* w;
    int channels, filters, taps, channel;
    int tap[RUNS], filter[RUNS];

    __device__ FiltersByChannel(const REAL* w, int C, int F, int taps, Part part)
        : w(w + part.group * F * taps * C), channels(C), filters(F), taps(taps), channel(part.column + row())
    {
        for (int i = 0; i < RUNS; i++) {
            tap[i] = (part.first_step * DEPTH + k(i)) / F;
            filter[i] = (part.first_step * DEPTH + k(i)) % F;
        }
    }

    __device__ void load(REAL (&numbers)[SHARE])
    {
        for (int i = 0; i < RUNS; i++) {
            load_pack(numbers + i * PACK, w + (filter[i] * taps + tap[i]) * channels + channel, channel < channels && tap[i] < taps);
            for (filter[i] += DEPTH; filter[i] >= filters; filter[i] -= filters)
                tap[i]++;
        }
    }
};

// Rows are filters, k the pixels of dy (pixels, G·F).
struct Gradient : AlongRows {
    const REAL* dy;
    int filters, all_filters, filter, pixels, pixel;

    __device__ Gradient(const REAL* dy, int F, int groups, int pixels, Part part)
        : dy(dy + part.group * F), filters(F), all_filters(F * groups), filter(part.row + row()), pixels(pixels),
          pixel(part.first_step * DEPTH) {}

    __device__ void load(REAL (&numbers)[SHARE])
    {
        for (int i = 0; i < RUNS; i++)
            load_pack(numbers + i * PACK, dy + (pixel + k(i)) * all_filters + filter, filter < filters && pixel + k(i) < pixels);
        pixel += DEPTH;
    }
};

// Rows are the numbers (i, j, channel) under a window of x, k the pixels of dy whose windows they are.
struct WindowsByTap : AlongRows {
    const REAL* x;
    Sizes s;
    Tap tap;
    int n[RUNS], oh[RUNS], ow[RUNS];

    __device__ WindowsByTap(const REAL* x, Sizes s, Part part) : x(x + part.group * s.C), s(s), tap(part.column + row(), s.C, s.KW)
    {
        for (int i = 0; i < RUNS; i++) {
            int pixel = part.first_step * DEPTH + k(i);
            n[i] = pixel / s.OW / s.OH;
            oh[i] = pixel / s.OW % s.OH;
            ow[i] = pixel % s.OW;
        }
    }

    __device__ void load(REAL (&numbers)[SHARE])
    {
        for (int i = 0; i < RUNS; i++) {
            int h = oh[i] * s.SH - s.PH + tap.i * s.DH, w = ow[i] * s.SW - s.PW + tap.j * s.DW;
            bool valid = tap.i < s.KH && n[i] < s.N && h >= 0 && h < s.H && w >= 0 && w < s.W;
            load_pack(numbers + i * PACK, x + ((n[i] * s.H + h) * s.W + w) * s.C * s.groups + tap.channel, valid);
            for (ow[i] += DEPTH; ow[i] >= s.OW; ow[i] -= s.OW)
                if (++oh[i] == s.OH)
                    oh[i] = 0, n[i]++;
        }
    }
};

// A block computes a tile of y = w * x + b, then max(·, 0) if relu; b may be null. With splits > 1 y is (splits, ...), parts to be added up.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
conv2d(const REAL* x, const REAL* w, REAL* y, const REAL* b, bool relu, int N, int H, int W, int C, int F, int OH, int OW, int KH, int KW,
       int SH, int SW, int PH, int PW, int DH, int DW, int groups, int splits)
{
    __shared__ __align__(16) Words shared[4];
    Sizes s = {N, H, W, C, F, OH, OW, KH, KW, SH, SW, PH, PW, DH, DW, groups, splits};
    Part part(F, s.window(), splits);
    Windows windows(x, N, H, W, C, groups, OH, OW, KH, KW, SH, SW, PH, PW, DH, DW, part);
    Filters filters(w, F, s.window(), part);
    Sums sums;
    multiply(windows, filters, part.steps, shared, sums);
    sums.for_each([&](int row, int column, REAL number) {
        int pixel = part.row + row, f = part.column + column;
        if (pixel >= s.pixels() || f >= F)
            return;
        number += b ? b[part.group * F + f] : (REAL)0;
        y[((long long)part.split * s.pixels() + pixel) * F * groups + part.group * F + f] = relu && number < 0 ? (REAL)0 : number;
    });
}

// A block computes a tile of dx, the gradient of conv2d's x, for strides SH = SW = 1.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
conv2d_input_gradient(const REAL* dy, const REAL* w, REAL* dx, int N, int H, int W, int C, int F, int OH, int OW, int KH, int KW, int SH,
                      int SW, int PH, int PW, int DH, int DW, int groups, int splits)
{
    __shared__ __align__(16) Words shared[4];
    Part part(C, KH * KW * F, splits);
    Windows windows(dy, N, OH, OW, F, groups, H, W, KH, KW, 1, 1, -PH, -PW, -DH, -DW, part);
    FiltersByChannel filters(w, C, F, KH * KW, part);
    Sums sums;
    multiply(windows, filters, part.steps, shared, sums);
    sums.for_each([&](int row, int column, REAL number) {
        int pixel = part.row + row, c = part.column + column;
        if (pixel < N * H * W && c < C)
            dx[((long long)part.split * N * H * W + pixel) * C * groups + part.group * C + c] = number;
    });
}

// A block computes a tile of dw, the gradient of conv2d's w, or with splits > 1 the part of it that some of the pixels give.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
conv2d_weight_gradient(const REAL* dy, const REAL* x, REAL* dw, int N, int H, int W, int C, int F, int OH, int OW, int KH, int KW, int SH,
                       int SW, int PH, int PW, int DH, int DW, int groups, int splits)
{
    __shared__ __align__(16) Words shared[4];
    Sizes s = {N, H, W, C, F, OH, OW, KH, KW, SH, SW, PH, PW, DH, DW, groups, splits};
    Part part(s.window(), s.pixels(), splits);
    Gradient gradient(dy, F, groups, s.pixels(), part);
    WindowsByTap windows(x, s, part);
    Sums sums;
    multiply(gradient, windows, part.steps, shared, sums);
    sums.for_each([&](int row, int column, REAL number) {
        int f = part.row + row, tap = part.column + column;
        if (f < F && tap < s.window())
            dw[((long long)part.split * groups * F + part.group * F + f) * s.window() + tap] = number;
    });
}

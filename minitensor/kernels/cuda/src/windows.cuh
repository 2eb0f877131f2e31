#pragma once
// Loaders of images: they gather the columns of im2col on the way into a tile, so that columns are
// never stored. (Those of plain matrices are in tile.cuh.)
#include "tile.cuh"

// C and F are those of one group, H and W the image's, S the stride, P the padding, D the dilation.
// In Python: sizes.py.
struct Sizes { int N, H, W, C, F, OH, OW, KH, KW, SH, SW, PH, PW, DH, DW, groups; };

__device__ inline int pixels(const Sizes& s) { return s.N * s.OH * s.OW; }
__device__ inline int window(const Sizes& s) { return s.KH * s.KW * s.C; }

// The sizes of the convolution that takes dy to dx, for strides of 1: it reads dy the other way
// round, with padding and dilation negative.
__device__ inline Sizes reversed(const Sizes& s)
{
    return {s.N, s.OH, s.OW, s.F, s.C, s.H, s.W, s.KH, s.KW, 1, 1, -s.PH, -s.PW, -s.DH, -s.DW,
            s.groups};
}

// A position along k = (i, j, channel), for channels in memory order and windows of KW columns.
struct Tap {
    int i, j, channel;

    __device__ Tap(int k, int channels, int KW)
        : i(k / channels / KW), j(k / channels % KW), channel(k % channels) {}

    __device__ void advance(int channels, int KW)
    {
        for (channel += DEPTH; channel >= channels; channel -= channels)
            if (++j == KW)
                j = 0, i++;
    }
};

// Rows are output pixels, k the numbers (i, j, channel) under their windows in image.
struct Windows : AlongK {
    static constexpr int NOWHERE = -(1 << 30);          // which no window reaches back from
    const REAL* image;
    Sizes s;
    Tap tap;
    int top[RUNS], left[RUNS], base[RUNS];

    __device__ Windows(const REAL* image, const Sizes& s, const Tile& tile)
        : image(image), s(s), tap(tile.first_k + k(), s.C, s.KW)
    {
        for (int i = 0; i < RUNS; i++) {
            int pixel = tile.row + row(i), n = pixel / s.OW / s.OH;
            bool exists = n < s.N;
            top[i] = exists ? pixel / s.OW % s.OH * s.SH - s.PH : NOWHERE;
            left[i] = pixel % s.OW * s.SW - s.PW;
            base[i] = exists ? n * s.H * s.W * s.C * s.groups + tile.group * s.C : 0;
        }
    }

    __device__ void load(REAL (&numbers)[SHARE])
    {
        for (int i = 0; i < RUNS; i++) {
            int h = top[i] + tap.i * s.DH, w = left[i] + tap.j * s.DW;
            bool valid = tap.i < s.KH && h >= 0 && h < s.H && w >= 0 && w < s.W;
            const REAL* from = image + base[i] + (h * s.W + w) * s.C * s.groups + tap.channel;
            load_pack(numbers + i * PACK, from, valid);
        }
        tap.advance(s.C, s.KW);
    }
};

// Rows are the numbers (i, j, channel) under a window of x, k the output pixels.
struct WindowsByTap : AlongRows {
    const REAL* x;
    Sizes s;
    Tap tap;
    int n[RUNS], oh[RUNS], ow[RUNS];

    __device__ WindowsByTap(const REAL* x, const Sizes& s, const Tile& tile)
        : x(x + tile.group * s.C), s(s), tap(tile.column + row(), s.C, s.KW)
    {
        for (int i = 0; i < RUNS; i++) {
            int pixel = tile.first_k + k(i);
            n[i] = pixel / s.OW / s.OH;
            oh[i] = pixel / s.OW % s.OH;
            ow[i] = pixel % s.OW;
        }
    }

    __device__ void load(REAL (&numbers)[SHARE])
    {
        for (int i = 0; i < RUNS; i++) {
            int h = oh[i] * s.SH - s.PH + tap.i * s.DH, w = ow[i] * s.SW - s.PW + tap.j * s.DW;
            bool inside = h >= 0 && h < s.H && w >= 0 && w < s.W;
            bool valid = tap.i < s.KH && n[i] < s.N && inside;
            const REAL* from = x + ((n[i] * s.H + h) * s.W + w) * s.C * s.groups + tap.channel;
            load_pack(numbers + i * PACK, from, valid);
            for (ow[i] += DEPTH; ow[i] >= s.OW; ow[i] -= s.OW)
                if (++oh[i] == s.OH)
                    oh[i] = 0, n[i]++;
        }
    }
};

// Rows are channels, k = (i, j, filter).
struct FiltersByChannel : AlongRows {
    const REAL* w;
    int channels, filters, taps, channel;
    int tap[RUNS], filter[RUNS];

    __device__ FiltersByChannel(const REAL* w, const Sizes& s, const Tile& tile)
        : w(w + tile.group * s.F * window(s)), channels(s.C), filters(s.F), taps(s.KH * s.KW),
          channel(tile.column + row())
    {
        for (int i = 0; i < RUNS; i++) {
            tap[i] = (tile.first_k + k(i)) / filters;
            filter[i] = (tile.first_k + k(i)) % filters;
        }
    }

    __device__ void load(REAL (&numbers)[SHARE])
    {
        for (int i = 0; i < RUNS; i++) {
            const REAL* from = w + (filter[i] * taps + tap[i]) * channels + channel;
            load_pack(numbers + i * PACK, from, channel < channels && tap[i] < taps);
            for (filter[i] += DEPTH; filter[i] >= filters; filter[i] -= filters)
                tap[i]++;
        }
    }
};

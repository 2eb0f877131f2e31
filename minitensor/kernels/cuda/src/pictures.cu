// variant: float32
// From bytes to the network's input.
#include "common.cuh"

// A thread computes one number of y (N, OH, OW, 3) = pixel · scale - shift from pictures (N, H, W, 3): cropped at (top, left), which may lie
// outside, where pixels are black, and mirrored if flip.
extern "C" __global__ void pictures(const unsigned char* images, const int* tops, const int* lefts, const bool* flips, REAL* y, int n, int H,
                                    int W, int OH, int OW, REAL scale0, REAL scale1, REAL scale2, REAL shift0, REAL shift1, REAL shift2)
{
    int index = thread_index();
    if (index >= n)
        return;
    int colour = index % 3, ow = index / 3 % OW, oh = index / 3 / OW % OH, image = index / 3 / OW / OH;
    int h = tops[image] + oh, w = lefts[image] + (flips[image] ? OW - 1 - ow : ow);
    bool inside = 0 <= h && h < H && 0 <= w && w < W;
    REAL pixel = inside ? images[((image * H + h) * W + w) * 3 + colour] : 0;
    REAL scale = colour == 0 ? scale0 : colour == 1 ? scale1 : scale2, shift = colour == 0 ? shift0 : colour == 1 ? shift1 : shift2;
    y[index] = pixel * scale - shift;
}

// variant: float32
// variant: float64
// The pixels under every window as rows of matrices, and back. x (N, H, W, G·C), columns (G, N·OH·OW, KH·KW·C): one matrix per group.
#include "common.cuh"

// A thread copies one number of columns from x, 0 outside the image.
extern "C" __global__ void im2col(const REAL* x, REAL* columns, int n, int N, int H, int W, int C, int groups, int OH, int OW, int KH, int KW,
                                  int SH, int SW, int PH, int PW, int DH, int DW)
{
    int index = thread_index();
    if (index >= n)
        return;
    int c = index % C, rest = index / C;
    int j = rest % KW, i = (rest /= KW) % KH;
    int ow = (rest /= KH) % OW, oh = (rest /= OW) % OH;
    int image = (rest /= OH) % N, group = rest / N;
    int h = oh * SH - PH + i * DH, w = ow * SW - PW + j * DW;
    bool inside = 0 <= h && h < H && 0 <= w && w < W;
    columns[index] = inside ? x[(((image * H + h) * W + w) * groups + group) * C + c] : (REAL)0;
}

// A thread gathers one number of x: the sum of all numbers of columns that im2col would copy from it.
extern "C" __global__ void col2im(const REAL* columns, REAL* x, int n, int N, int H, int W, int C, int groups, int OH, int OW, int KH, int KW,
                                  int SH, int SW, int PH, int PW, int DH, int DW)
{
    int index = thread_index();
    if (index >= n)
        return;
    int c = index % C, rest = index / C;
    int group = rest % groups, w = (rest /= groups) % W;
    int h = (rest /= W) % H, image = rest / H;
    REAL total = 0;
    for (int i = 0; i < KH; i++) {
        int top = h + PH - i * DH;                      // of the windows that hold this pixel in their row i, were there one
        if (top < 0 || top % SH || top / SH >= OH)
            continue;
        for (int j = 0; j < KW; j++) {
            int left = w + PW - j * DW;
            if (left < 0 || left % SW || left / SW >= OW)
                continue;
            int pixel = ((group * N + image) * OH + top / SH) * OW + left / SW;
            total += columns[((pixel * KH + i) * KW + j) * C + c];
        }
    }
    x[index] = total;
}

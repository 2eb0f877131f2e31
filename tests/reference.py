"""What the ops mean, one element at a time in float64: the oracle of the op tests.

It is slow on purpose, and shares nothing with the engine. Functions that take dy also return
gradients, gathered in the same loops. Sizes are called as in `minitensor.kernels`; pairs are
(vertical, horizontal).
"""
import itertools
import math

import numpy as np


def indices(*sizes):
    return itertools.product(*map(range, sizes))


def conv2d(x, w, b, stride, padding, dilation, groups, dy=None):
    """y, and with dy also dx, dw, db."""
    (N, _, H, W), (F, C_per_group, KH, KW) = x.shape, w.shape
    OH = (H + 2 * padding[0] - dilation[0] * (KH - 1) - 1) // stride[0] + 1
    OW = (W + 2 * padding[1] - dilation[1] * (KW - 1) - 1) // stride[1] + 1
    y, dx, dw, db = np.zeros((N, F, OH, OW)), np.zeros(x.shape), np.zeros(w.shape), np.zeros(F)
    for n, f, oh, ow in indices(N, F, OH, OW):
        y[n, f, oh, ow] = b[f]
        if dy is not None:
            db[f] += dy[n, f, oh, ow]
        for c, i, j in indices(C_per_group, KH, KW):
            channel = f // (F // groups) * C_per_group + c
            row = oh * stride[0] + i * dilation[0] - padding[0]
            column = ow * stride[1] + j * dilation[1] - padding[1]
            if 0 <= row < H and 0 <= column < W:
                y[n, f, oh, ow] += x[n, channel, row, column] * w[f, c, i, j]
                if dy is not None:
                    dx[n, channel, row, column] += dy[n, f, oh, ow] * w[f, c, i, j]
                    dw[f, c, i, j] += dy[n, f, oh, ow] * x[n, channel, row, column]
    return y if dy is None else (y, dx, dw, db)


def im2col(x, kernel_size, stride, padding, dilation):
    (N, C, H, W), (KH, KW) = x.shape, kernel_size
    OH = (H + 2 * padding[0] - dilation[0] * (KH - 1) - 1) // stride[0] + 1
    OW = (W + 2 * padding[1] - dilation[1] * (KW - 1) - 1) // stride[1] + 1
    columns = np.zeros((N, C, KH, KW, OH, OW))
    for n, c, i, j, oh, ow in indices(*columns.shape):
        row = oh * stride[0] + i * dilation[0] - padding[0]
        column = ow * stride[1] + j * dilation[1] - padding[1]
        if 0 <= row < H and 0 <= column < W:
            columns[n, c, i, j, oh, ow] = x[n, c, row, column]
    return columns


def window_starts(image, kernel, stride, padding, ceil_mode):
    """Where the windows along one side begin.

    ceil_mode adds one if cells are left over and it begins before the image ends.
    """
    starts = list(range(-padding, image + padding - kernel + 1, stride)) or [-padding]
    left_over, another = starts[-1] + kernel < image + padding, starts[-1] + stride
    return starts + [another] if ceil_mode and left_over and another < image else starts


def max_pool2d(x, kernel_size, stride, padding, ceil_mode, dy=None):
    """y, and with dy also dx: of equal maxima the first in reading order gets the gradient."""
    (N, C, H, W), (KH, KW) = x.shape, kernel_size
    rows = window_starts(H, KH, stride[0], padding[0], ceil_mode)
    columns = window_starts(W, KW, stride[1], padding[1], ceil_mode)
    y, dx = np.zeros((N, C, len(rows), len(columns))), np.zeros(x.shape)
    for n, c, oh, ow in indices(*y.shape):
        best, winner = -math.inf, None
        for i, j in indices(KH, KW):
            row, column = rows[oh] + i, columns[ow] + j
            if 0 <= row < H and 0 <= column < W and (winner is None or x[n, c, row, column] > best):
                best, winner = x[n, c, row, column], (n, c, row, column)
        y[n, c, oh, ow] = best
        if dy is not None:
            dx[winner] += dy[n, c, oh, ow]
    return y if dy is None else (y, dx)


def avg_pool2d(x, kernel_size, stride, padding, ceil_mode, count_include_pad, dy=None):
    """y, and with dy also dx."""
    (N, C, H, W), (KH, KW) = x.shape, kernel_size
    rows = window_starts(H, KH, stride[0], padding[0], ceil_mode)
    columns = window_starts(W, KW, stride[1], padding[1], ceil_mode)
    y, dx = np.zeros((N, C, len(rows), len(columns))), np.zeros(x.shape)
    for n, c, oh, ow in indices(*y.shape):
        cells = [(rows[oh] + i, columns[ow] + j) for i, j in indices(KH, KW)]
        inside = [(row, column) for row, column in cells if 0 <= row < H and 0 <= column < W]
        padded = [(row, column) for row, column in cells
                  if row < H + padding[0] and column < W + padding[1]]
        divisor = len(padded if count_include_pad else inside)
        for row, column in inside:
            y[n, c, oh, ow] += x[n, c, row, column] / divisor
            if dy is not None:
                dx[n, c, row, column] += dy[n, c, oh, ow] / divisor
    return y if dy is None else (y, dx)


def adaptive_avg_pool2d(x, output_size):
    (N, C, H, W), (OH, OW) = x.shape, output_size
    y = np.zeros((N, C, OH, OW))
    for n, c, oh, ow in indices(*y.shape):
        cells = [x[n, c, row, column]
                 for row in range(math.floor(oh * H / OH), math.ceil((oh + 1) * H / OH))
                 for column in range(math.floor(ow * W / OW), math.ceil((ow + 1) * W / OW))]
        y[n, c, oh, ow] = sum(cells) / len(cells)
    return y


def local_response_norm(x, size, alpha, beta, k, norm_region):
    (_, C, H, W), y = x.shape, np.zeros(x.shape)
    before, after = size // 2, (size - 1) // 2
    for n, c, h, w in indices(*x.shape):
        total = 0.0
        if norm_region == "across_channels":
            for other in range(max(0, c - before), min(C, c + after + 1)):
                total += x[n, other, h, w]**2
            cells = size
        else:
            for row in range(max(0, h - before), min(H, h + after + 1)):
                for column in range(max(0, w - before), min(W, w + after + 1)):
                    total += x[n, c, row, column]**2
            cells = size * size
        y[n, c, h, w] = x[n, c, h, w] / (k + alpha / cells * total)**beta
    return y


def batch_norm(x, w, b, eps, statistics=None, dy=None):
    """y, the mean and the biased variance of the batch; with dy also dx, dw, db.

    statistics: running (mean, variance) to normalise with.
    """
    (N, C, H, W), y, dx = x.shape, np.zeros(x.shape), np.zeros(x.shape)
    mean, variance, dw, db = np.zeros(C), np.zeros(C), np.zeros(C), np.zeros(C)
    for c in range(C):
        cells = list(indices(N, H, W))
        mean[c] = math.fsum(x[n, c, h, w] for n, h, w in cells) / len(cells)
        variance[c] = math.fsum((x[n, c, h, w] - mean[c])**2 for n, h, w in cells) / len(cells)
        center, spread = (s[c] for s in statistics or (mean, variance))
        deviation = math.sqrt(spread + eps)
        z = {(n, h, w): (x[n, c, h, w] - center) / deviation for n, h, w in cells}
        for n, h, w_ in cells:
            y[n, c, h, w_] = w[c] * z[n, h, w_] + b[c]
        if dy is not None:
            dw[c] = math.fsum(dy[n, c, h, w_] * z[n, h, w_] for n, h, w_ in cells)
            db[c] = math.fsum(dy[n, c, h, w_] for n, h, w_ in cells)
            for n, h, w_ in cells:      # every x moves the mean and the deviation of all
                moved = (db[c] + z[n, h, w_] * dw[c]) / len(cells) if statistics is None else 0
                dx[n, c, h, w_] = w[c] / deviation * (dy[n, c, h, w_] - moved)
    return (y, mean, variance) if dy is None else (y, mean, variance, dx, dw, db)


def softmax(x):
    """Along the last axis of x (N, K)."""
    return np.array([[math.exp(value) / sum(math.exp(other) for other in row) for value in row]
                     for row in x])


def cross_entropy(logits, labels, label_smoothing):
    """Losses (N,)."""
    K, losses = logits.shape[1], []
    for row, label in zip(softmax(logits), labels):
        target = [(1 - label_smoothing) * (k == label) + label_smoothing / K for k in range(K)]
        losses.append(-sum(t * math.log(p) for t, p in zip(target, row)))
    return np.array(losses)

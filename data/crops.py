"""Crops from many pictures at once."""
import numpy as np


def crops_of(pictures, indices, top, left, size):
    """size x size pixels of pictures[index] from row top and column left on, for each of indices, top and left, which broadcast.

    pictures (N, H, W, 3), C-contiguous -> (..., size, size, 3). A view of every crop there is, of which the wanted are copied: NumPy then
    moves whole rows of size * 3 values.
    """
    count, height, width, _ = pictures.shape
    picture, row, pixel, value = pictures.strides
    windows = np.lib.stride_tricks.as_strided(pictures, (count, height - size + 1, width - size + 1, size, size * 3),
                                              (picture, row, pixel, row, value), writeable=False)
    cut = windows[indices, top, left]
    return cut.reshape(*cut.shape[:-1], size, 3)

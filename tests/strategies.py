"""Random configurations of the image ops: sizes, windows, dtypes, layouts in memory."""
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from comparing import LAYOUTS, laid_out

dtypes = st.sampled_from((np.float64, np.float32))
few_images = st.sampled_from((1, 1, 2, 2, 3, 3, 0))
sides_of_images = st.sampled_from((3, 4, 5, 6, 7, 8, 9, 10, 1, 2))


class Images(NamedTuple):
    """What an example draws; `new` makes arrays of it."""
    shape: tuple[int, int, int, int]
    dtype: type
    layout: str
    seed: int

    def new(self, *shape, distinct=False):
        """Normal values, or distinct ones so that no two maxima are equal."""
        rng, shape = np.random.default_rng((self.seed, *shape)), shape or self.shape
        if distinct:
            size = np.prod(shape)
            values = rng.permutation(np.arange(size) - 0.4).reshape(shape) / max(1, size)
        else:
            values = rng.standard_normal(shape)
        return laid_out(values.astype(self.dtype), self.layout)


@st.composite
def images(draw, channels=st.integers(1, 5), sides=sides_of_images, batch=few_images):
    shape = draw(batch), draw(channels), draw(sides), draw(sides)
    return Images(shape, draw(dtypes), draw(st.sampled_from(LAYOUTS)), draw(st.integers(0, 999)))


class Window(NamedTuple):
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]


@st.composite
def windows(draw, image_size, pooling=False):
    """A window that fits an image of image_size.

    For pooling the padding is at most half of it, and there is no dilation.
    """
    sides = []
    for image in image_size:
        padding = draw(st.integers(0, 2))
        dilation = 1 if pooling else draw(st.integers(1, min(3, image + 2 * padding)))
        largest = (image + 2 * padding - 1) // dilation + 1
        kernel = min(draw(st.sampled_from((3, 2, 4, 5, 1))), largest)
        stride, padding = draw(st.integers(1, 4)), min(padding, kernel // 2) if pooling else padding
        sides.append((kernel, stride, padding, dilation))
    sides = [(min(k, i + 2 * p), s, p, d) for (k, s, p, d), i in zip(sides, image_size)]
    return Window(*zip(*sides))


@st.composite
def pooled_images(draw, **options):
    x = draw(images(**options))
    return x, draw(windows(x.shape[2:], pooling=True))


class Convolution(NamedTuple):
    x: Images
    w_shape: tuple[int, int, int, int]
    window: Window
    groups: int


@st.composite
def convolutions(draw, **options):
    groups = draw(st.sampled_from((1, 1, 1, 2, 3)))
    x = draw(images(channels=st.integers(1, 3).map(lambda c: c * groups), **options))
    window = draw(windows(x.shape[2:]))
    w_shape = groups * draw(st.integers(1, 4)), x.shape[1] // groups, *window.kernel_size
    return Convolution(x, w_shape, window, groups)

"""Where the windows of a convolution lie."""
from typing import NamedTuple

from ..geometry import output_size
from .layout import Pair


class Geometry(NamedTuple):
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int

    def output_size(self, image_size: Pair, kernel_size: Pair) -> Pair:
        OH, OW = (output_size(*side) for side in zip(image_size, kernel_size, self.stride, self.padding, self.dilation))
        return OH, OW


PIXEL = Geometry((1, 1), (0, 0), (1, 1), 1)         # windows of one pixel

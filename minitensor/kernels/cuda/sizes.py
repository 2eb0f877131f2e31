"""What the kernels of a convolution are told about it."""
from typing import NamedTuple

from ..geometry import Pair, output_sizes


class Sizes(NamedTuple):
    """`struct Sizes` of windows.cuh. C and F are those of one group; S is the stride, P the
    padding, D the dilation."""
    N: int
    H: int
    W: int
    C: int
    F: int
    OH: int
    OW: int
    KH: int
    KW: int
    SH: int
    SW: int
    PH: int
    PW: int
    DH: int
    DW: int
    groups: int

    @property
    def pixels(self) -> int:
        """Of y."""
        return self.N * self.OH * self.OW

    @property
    def window(self) -> int:
        """Numbers of a filter."""
        return self.KH * self.KW * self.C


def sizes_of(x: tuple[int, ...], w: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair,
             groups: int = 1) -> Sizes:
    """Of the shapes x (N, C, H, W) and w (F, C/G, KH, KW)."""
    N, _, H, W = x
    F, C_per_group, KH, KW = w
    out = output_sizes((H, W), (KH, KW), stride, padding, dilation)
    return Sizes(N, H, W, C_per_group, F // groups, *out, KH, KW, *stride, *padding, *dilation,
                 groups)

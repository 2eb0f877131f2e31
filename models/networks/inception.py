"""Inception v3 (Szegedy et al. 2015): AlexNet's large filters cut into chains of small ones, side
by side in GoogLeNet's blocks, to see as far with fewer weights and products.

One of 5 x 5 becomes two of 3 x 3; one of 7 x 7 becomes 1 x 7 and 7 x 1. Where images shrink, a
block joins strided filters and a pool, so that nothing is lost on the way. Batch normalisation
stands behind every convolution.
"""
from .googlenet import conv_bn
from .heads import AuxHead
from .layers import (AdaptiveAvgPool, AvgPool, Concat, Dropout, Flatten, Layer, Linear, MaxPool,
                     Table)


def _row(name: str, channels: int) -> Table:
    return conv_bn(name, channels, (1, 7), padding=(0, 3))


def _column(name: str, channels: int) -> Table:
    return conv_bn(name, channels, (7, 1), padding=(3, 0))


def _pooled(channels: int) -> Table:
    return {"pool": AvgPool(3, 1, padding=1), **conv_bn("", channels, 1)}


def _block35(pooled: int) -> Layer:
    """For 35 x 35: 5 x 5, and two of 3 x 3."""
    return Concat(
        branch1x1=conv_bn("", 64, 1),
        branch5x5={**conv_bn("1", 48, 1), **conv_bn("2", 64, 5, padding=2)},
        branch3x3dbl={**conv_bn("1", 64, 1), **conv_bn("2", 96, 3, padding=1),
                      **conv_bn("3", 96, 3, padding=1)},
        branch_pool=_pooled(pooled))


def _to17() -> Layer:
    return Concat(
        branch3x3=conv_bn("", 384, 3, stride=2),
        branch3x3dbl={**conv_bn("1", 64, 1), **conv_bn("2", 96, 3, padding=1),
                      **conv_bn("3", 96, 3, stride=2)},
        branch_pool={"pool": MaxPool(3, 2)})


def _block17(narrow: int) -> Layer:
    """For 17 x 17: one of 7 x 7, and two, each as a row and a column."""
    return Concat(
        branch1x1=conv_bn("", 192, 1),
        branch7x7={**conv_bn("1", narrow, 1), **_row("2", narrow), **_column("3", 192)},
        branch7x7dbl={**conv_bn("1", narrow, 1), **_column("2", narrow), **_row("3", narrow),
                      **_column("4", narrow), **_row("5", 192)},
        branch_pool=_pooled(192))


def _to8() -> Layer:
    return Concat(
        branch3x3={**conv_bn("1", 192, 1), **conv_bn("2", 320, 3, stride=2)},
        branch7x7x3={**conv_bn("1", 192, 1), **_row("2", 192), **_column("3", 192),
                     **conv_bn("4", 192, 3, stride=2)},
        branch_pool={"pool": MaxPool(3, 2)})


def _row_and_column() -> Layer:
    """Side by side: 1 x 3 and 3 x 1."""
    return Concat(a=conv_bn("", 384, (1, 3), padding=(0, 1)),
                  b=conv_bn("", 384, (3, 1), padding=(1, 0)))


def _block8() -> Layer:
    """For 8 x 8, the coarsest images: wide."""
    return Concat(
        branch1x1=conv_bn("", 320, 1),
        branch3x3={**conv_bn("1", 384, 1), "2": _row_and_column()},
        branch3x3dbl={**conv_bn("1", 448, 1), **conv_bn("2", 384, 3, padding=1),
                      "3": _row_and_column()},
        branch_pool=_pooled(192))


_HEAD = AuxHead({                                       # of 768 x 17 x 17
    "pool": AvgPool(5, 3),                              # 768 x 5 x 5
    **conv_bn("conv0", 128, 1),                         # 128 x 5 x 5
    **conv_bn("conv1", 768, 5),                         # 768 x 1 x 1
    "average": AdaptiveAvgPool(1),                      # 768 x 1 x 1, for images of other sizes
    "flatten": Flatten(),                               # 768
    "fc": Linear(1000, activation=None),                # 1000 logits
}, weight=0.4)

INCEPTION_V3: Table = {                                 # output at 299 px
    **conv_bn("Conv2d_1a_3x3", 32, 3, stride=2),        # 32 x 149 x 149
    **conv_bn("Conv2d_2a_3x3", 32, 3),                  # 32 x 147 x 147
    **conv_bn("Conv2d_2b_3x3", 64, 3, padding=1),       # 64 x 147 x 147
    "maxpool1": MaxPool(3, 2),                          # 64 x 73 x 73
    **conv_bn("Conv2d_3b_1x1", 80, 1),                  # 80 x 73 x 73
    **conv_bn("Conv2d_4a_3x3", 192, 3),                 # 192 x 71 x 71
    "maxpool2": MaxPool(3, 2),                          # 192 x 35 x 35
    "Mixed_5b": _block35(32),                           # 256 x 35 x 35
    "Mixed_5c": _block35(64),                           # 288 x 35 x 35
    "Mixed_5d": _block35(64),                           # 288 x 35 x 35
    "Mixed_6a": _to17(),                                # 768 x 17 x 17
    "Mixed_6b": _block17(128),                          # 768 x 17 x 17
    "Mixed_6c": _block17(160),                          # 768 x 17 x 17
    "Mixed_6d": _block17(160),                          # 768 x 17 x 17
    "Mixed_6e": _block17(192),                          # 768 x 17 x 17
    "AuxLogits": _HEAD,                                 # 768 x 17 x 17
    "Mixed_7a": _to8(),                                 # 1280 x 8 x 8
    "Mixed_7b": _block8(),                              # 2048 x 8 x 8
    "Mixed_7c": _block8(),                              # 2048 x 8 x 8
    "avgpool": AdaptiveAvgPool(1),                      # 2048 x 1 x 1
    "dropout": Dropout(0.5),
    "flatten": Flatten(),                               # 2048
    "fc": Linear(1000, activation=None),                # 1000 logits
}

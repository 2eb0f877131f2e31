"""GoogLeNet (Szegedy et al. 2014): filters of several sizes side by side where AlexNet has one a
layer, to see detail and context at once, with a ninth of its parameters.

An inception block joins 1 x 1, 3 x 3 and 5 x 5 filters and a pool; 1 x 1 filters before them keep
that cheap. A mean over the image takes the place of AlexNet's linear layers, which have most of its
parameters. For 22 layers, two auxiliary heads bring gradients to the lower ones.
"""
from .heads import AuxHead
from .layers import (LRN, AdaptiveAvgPool, AvgPool, BatchNorm, Concat, Conv, Dropout, Flatten,
                     Layer, Linear, MaxPool, Table)

# Of each block: 1 x 1; 3 x 3's reduction and 3 x 3; 5 x 5's reduction and 5 x 5; the pool's 1 x 1.
FILTERS = {
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
}


# ---- torchvision's, with batch normalisation -----------------------------------------------------

def conv_bn(name: str, channels: int, kernel: int | tuple[int, int], stride: int = 1,
            padding: int | tuple[int, int] = 0) -> Table:
    """A convolution, whose bias BatchNorm's makes useless; name stands before both with a dot."""
    return {f"{name}.conv".lstrip("."): Conv(channels, kernel, stride, padding, activation=None,
                                             bias=False),
            f"{name}.bn".lstrip("."): BatchNorm(1e-3)}


SLIP = "Where the paper has 5 x 5 filters, these are 3 x 3: torchvision's slip, in its weights."


def _block(ones: int, reduce3: int, threes: int, reduce5: int, fives: int, pooled: int) -> Layer:
    return Concat(
        branch1=conv_bn("", ones, 1),
        branch2={**conv_bn("0", reduce3, 1), **conv_bn("1", threes, 3, padding=1)},
        branch3={**conv_bn("0", reduce5, 1), **conv_bn("1", fives, 3, padding=1)},
        branch4={"0": MaxPool(3, 1, padding=1, ceil=True), **conv_bn("1", pooled, 1)})


_HEAD = AuxHead({                                       # of 512 x 14 x 14; 528 x 14 x 14
    "average": AdaptiveAvgPool(4),                      # 512 x 4 x 4; 528 x 4 x 4
    **conv_bn("conv", 128, 1),                          # 128 x 4 x 4
    "flatten": Flatten(),                               # 2048
    "fc1": Linear(1024),                                # 1024
    "dropout": Dropout(0.7),
    "fc2": Linear(1000, activation=None),               # 1000 logits
}, weight=0.3)

GOOGLENET: Table = {                                    # output at 224 px
    **conv_bn("conv1", 64, 7, stride=2, padding=3),     # 64 x 112 x 112
    "maxpool1": MaxPool(3, 2, ceil=True),               # 64 x 56 x 56
    **conv_bn("conv2", 64, 1),                          # 64 x 56 x 56
    **conv_bn("conv3", 192, 3, padding=1),              # 192 x 56 x 56
    "maxpool2": MaxPool(3, 2, ceil=True),               # 192 x 28 x 28
    "inception3a": _block(*FILTERS["3a"]),              # 256 x 28 x 28
    "inception3b": _block(*FILTERS["3b"]),              # 480 x 28 x 28
    "maxpool3": MaxPool(3, 2, ceil=True),               # 480 x 14 x 14
    "inception4a": _block(*FILTERS["4a"]),              # 512 x 14 x 14
    "aux1": _HEAD,                                      # 512 x 14 x 14
    "inception4b": _block(*FILTERS["4b"]),              # 512 x 14 x 14
    "inception4c": _block(*FILTERS["4c"]),              # 512 x 14 x 14
    "inception4d": _block(*FILTERS["4d"]),              # 528 x 14 x 14
    "aux2": _HEAD,                                      # 528 x 14 x 14
    "inception4e": _block(*FILTERS["4e"]),              # 832 x 14 x 14
    "maxpool4": MaxPool(2, 2, ceil=True),               # 832 x 7 x 7
    "inception5a": _block(*FILTERS["5a"]),              # 832 x 7 x 7
    "inception5b": _block(*FILTERS["5b"]),              # 1024 x 7 x 7
    "avgpool": AdaptiveAvgPool(1),                      # 1024 x 1 x 1
    "flatten": Flatten(),                               # 1024
    "dropout": Dropout(0.2),
    "fc": Linear(1000, activation=None),                # 1000 logits
}


# ---- the paper's, as Caffe has it ----------------------------------------------------------------
# Caffe calls a layer by the first and the last part of its name here: "conv1/7x7_s2",
# "inception_3a/3x3_reduce", "loss1/fc".

def _caffe_block(ones: int, reduce3: int, threes: int, reduce5: int, fives: int,
                 pooled: int) -> Layer:
    branches: dict[str, Table] = {
        "1x1": {"1x1": Conv(ones, 1)},
        "3x3": {"3x3_reduce": Conv(reduce3, 1), "3x3": Conv(threes, 3, padding=1)},
        "5x5": {"5x5_reduce": Conv(reduce5, 1), "5x5": Conv(fives, 5, padding=2)},
        "pool": {"pool": MaxPool(3, 1, padding=1, ceil=True), "pool_proj": Conv(pooled, 1)}}
    return Concat(**branches)


_CAFFE_HEAD = AuxHead({                                     # of 512 x 14 x 14; 528 x 14 x 14
    "ave_pool": AvgPool(5, 3, ceil=True),                   # 512 x 4 x 4; 528 x 4 x 4
    "conv": Conv(128, 1),                                   # 128 x 4 x 4
    "flatten": Flatten(),                                   # 2048
    "fc": Linear(1024),                                     # 1024
    "drop_fc": Dropout(0.7),
    "classifier": Linear(1000, activation=None),            # 1000 logits
}, weight=0.3)

CAFFE_GOOGLENET: Table = {                                  # output at 224 px
    "conv1.7x7_s2": Conv(64, 7, stride=2, padding=3),       # 64 x 112 x 112
    "pool1.3x3_s2": MaxPool(3, 2, ceil=True),               # 64 x 56 x 56
    "pool1.norm1": LRN(),                                   # 64 x 56 x 56
    "conv2.3x3_reduce": Conv(64, 1),                        # 64 x 56 x 56
    "conv2.3x3": Conv(192, 3, padding=1),                   # 192 x 56 x 56
    "conv2.norm2": LRN(),                                   # 192 x 56 x 56
    "pool2.3x3_s2": MaxPool(3, 2, ceil=True),               # 192 x 28 x 28
    "inception_3a": _caffe_block(*FILTERS["3a"]),           # 256 x 28 x 28
    "inception_3b": _caffe_block(*FILTERS["3b"]),           # 480 x 28 x 28
    "pool3.3x3_s2": MaxPool(3, 2, ceil=True),               # 480 x 14 x 14
    "inception_4a": _caffe_block(*FILTERS["4a"]),           # 512 x 14 x 14
    "loss1": _CAFFE_HEAD,                                   # 512 x 14 x 14
    "inception_4b": _caffe_block(*FILTERS["4b"]),           # 512 x 14 x 14
    "inception_4c": _caffe_block(*FILTERS["4c"]),           # 512 x 14 x 14
    "inception_4d": _caffe_block(*FILTERS["4d"]),           # 528 x 14 x 14
    "loss2": _CAFFE_HEAD,                                   # 528 x 14 x 14
    "inception_4e": _caffe_block(*FILTERS["4e"]),           # 832 x 14 x 14
    "pool4.3x3_s2": MaxPool(3, 2, ceil=True),               # 832 x 7 x 7
    "inception_5a": _caffe_block(*FILTERS["5a"]),           # 832 x 7 x 7
    "inception_5b": _caffe_block(*FILTERS["5b"]),           # 1024 x 7 x 7
    "pool5.7x7_s1": AdaptiveAvgPool(1),                     # 1024 x 1 x 1, of any image size
    "flatten": Flatten(),                                   # 1024
    "pool5.drop_7x7_s1": Dropout(0.4),
    "loss3.classifier": Linear(1000, activation=None),      # 1000 logits
}

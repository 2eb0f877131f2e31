"""VGG: deeper than AlexNet, and of 3 x 3 filters alone (Simonyan and Zisserman 2014).

AlexNet's first filters are 11 x 11 with a stride of 4. Two layers of 3 x 3 see as much as one of
5 x 5, three as much as one of 7 x 7, with fewer weights and a nonlinearity more each; so the five
stages grow by layers, not by filters. The names are Caffe's: stage, then layer.
"""
from dataclasses import replace

from .layers import AdaptiveAvgPool, BatchNorm, Conv, Dropout, Flatten, Linear, MaxPool, Table

VGG19: Table = {                                        # output at 224 px
    "conv1_1": Conv(64, 3, padding=1),                  # 64 x 224 x 224
    "conv1_2": Conv(64, 3, padding=1),                  # 64 x 224 x 224
    "pool1": MaxPool(2, 2),                             # 64 x 112 x 112
    "conv2_1": Conv(128, 3, padding=1),                 # 128 x 112 x 112
    "conv2_2": Conv(128, 3, padding=1),                 # 128 x 112 x 112
    "pool2": MaxPool(2, 2),                             # 128 x 56 x 56
    "conv3_1": Conv(256, 3, padding=1),                 # 256 x 56 x 56
    "conv3_2": Conv(256, 3, padding=1),                 # 256 x 56 x 56
    "conv3_3": Conv(256, 3, padding=1),                 # 256 x 56 x 56
    "conv3_4": Conv(256, 3, padding=1),                 # 256 x 56 x 56
    "pool3": MaxPool(2, 2),                             # 256 x 28 x 28
    "conv4_1": Conv(512, 3, padding=1),                 # 512 x 28 x 28
    "conv4_2": Conv(512, 3, padding=1),                 # 512 x 28 x 28
    "conv4_3": Conv(512, 3, padding=1),                 # 512 x 28 x 28
    "conv4_4": Conv(512, 3, padding=1),                 # 512 x 28 x 28
    "pool4": MaxPool(2, 2),                             # 512 x 14 x 14
    "conv5_1": Conv(512, 3, padding=1),                 # 512 x 14 x 14
    "conv5_2": Conv(512, 3, padding=1),                 # 512 x 14 x 14
    "conv5_3": Conv(512, 3, padding=1),                 # 512 x 14 x 14
    "conv5_4": Conv(512, 3, padding=1),                 # 512 x 14 x 14
    "pool5": MaxPool(2, 2),                             # 512 x 7 x 7
    "average": AdaptiveAvgPool(7),                      # 512 x 7 x 7, for images of other sizes
    "flatten": Flatten(),                               # 25088
    "fc6": Linear(4096),                                # 4096
    "drop6": Dropout(),
    "fc7": Linear(4096),                                # 4096
    "drop7": Dropout(),
    "fc8": Linear(1000, activation=None),               # 1000 logits
}

# Three pairs for CIFAR-10, to compare with single layers of 5 x 5.
CIFAR10_VGG: Table = {                                  # output at 32 px
    "conv1_1": Conv(32, 3, padding=1),                  # 32 x 32 x 32
    "conv1_2": Conv(32, 3, padding=1),                  # 32 x 32 x 32
    "pool1": MaxPool(2, 2),                             # 32 x 16 x 16
    "conv2_1": Conv(64, 3, padding=1),                  # 64 x 16 x 16
    "conv2_2": Conv(64, 3, padding=1),                  # 64 x 16 x 16
    "pool2": MaxPool(2, 2),                             # 64 x 8 x 8
    "conv3_1": Conv(128, 3, padding=1),                 # 128 x 8 x 8
    "conv3_2": Conv(128, 3, padding=1),                 # 128 x 8 x 8
    "pool3": MaxPool(2, 2),                             # 128 x 4 x 4
    "flatten": Flatten(),                               # 2048
    "fc4": Linear(10, activation=None),                 # 10 logits
}


def _without(table: Table, *left_out: str) -> Table:
    return {name: layer for name, layer in table.items() if name not in left_out}


VGG16 = _without(VGG19, "conv3_4", "conv4_4", "conv5_4")
VGG13 = _without(VGG16, "conv3_3", "conv4_3", "conv5_3")
VGG11 = _without(VGG13, "conv1_2", "conv2_2")


def with_batch_norm(table: Table) -> Table:
    """A BatchNorm behind every convolution, before its ReLU; the biases stay, as torchvision's."""
    result: Table = {}
    for name, layer in table.items():
        is_conv = isinstance(layer, Conv)
        result[name] = replace(layer, activation=None) if is_conv else layer
        if is_conv:
            result[name.replace("conv", "bn")] = BatchNorm()
    return result

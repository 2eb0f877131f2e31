"""Networks for CIFAR-10: cuda-convnet's, and a small VGG."""
from .layers import LRN, AvgPool, Conv, Flatten, Linear, MaxPool, Table

# Published with cuda-convnet's code as layers-18pct.cfg, for its 18 % test error.
WITHIN = LRN(3, alpha=5e-5, region="within_channel")
CIFAR10_18PCT: Table = {                                # output at 32 px
    "conv1": Conv(32, 5, padding=2),                    # 32 x 32 x 32
    "pool1": MaxPool(3, 2, ceil=True),                  # 32 x 16 x 16
    "norm1": WITHIN,                                    # 32 x 16 x 16
    "conv2": Conv(32, 5, padding=2),                    # 32 x 16 x 16
    "pool2": AvgPool(3, 2, ceil=True),                  # 32 x 8 x 8
    "norm2": WITHIN,                                    # 32 x 8 x 8
    "conv3": Conv(64, 5, padding=2),                    # 64 x 8 x 8
    "pool3": AvgPool(3, 2, ceil=True),                  # 64 x 4 x 4
    "flatten": Flatten(),                               # 1024
    "fc10": Linear(10, activation=None),                # 10 logits
}

# VGG's pairs of 3 x 3 in three stages, to compare with single layers of 5 x 5.
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

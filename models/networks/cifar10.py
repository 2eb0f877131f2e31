"""cuda-convnet's network: a small AlexNet for CIFAR-10 (Krizhevsky 2012)."""
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

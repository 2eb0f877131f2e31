"""AlexNet: convolutions, ReLU and dropout, learned from a million images (Krizhevsky et al. 2012).

Five of them, each as one table of named layers.
"""
from .layers import LRN, AdaptiveAvgPool, Conv, Dropout, Flatten, Linear, MaxPool, Table

# AlexNet as one tower: no groups, no normalisation.
ALEXNET: Table = {                                      # output at 227 px
    "conv1": Conv(96, 11, stride=4),                    # 96 x 55 x 55
    "pool1": MaxPool(3, 2),                             # 96 x 27 x 27
    "conv2": Conv(256, 5, padding=2),                   # 256 x 27 x 27
    "pool2": MaxPool(3, 2),                             # 256 x 13 x 13
    "conv3": Conv(384, 3, padding=1),                   # 384 x 13 x 13
    "conv4": Conv(384, 3, padding=1),                   # 384 x 13 x 13
    "conv5": Conv(256, 3, padding=1),                   # 256 x 13 x 13
    "pool5": MaxPool(3, 2),                             # 256 x 6 x 6
    "flatten": Flatten(),                               # 9216
    "drop6": Dropout(),
    "fc6": Linear(4096),                                # 4096
    "drop7": Dropout(),
    "fc7": Linear(4096),                                # 4096
    "fc8": Linear(1000, activation=None),               # 1000 logits
}

# Krizhevsky, Sutskever, Hinton 2012: two towers, which meet in conv3, fc6, fc7 and fc8;
# normalisation before the pools.
ALEXNET_PAPER: Table = {                                # output at 227 px
    "conv1": Conv(96, 11, stride=4),                    # 96 x 55 x 55
    "norm1": LRN(k=2.0),                                # 96 x 55 x 55
    "pool1": MaxPool(3, 2),                             # 96 x 27 x 27
    "conv2": Conv(256, 5, padding=2, groups=2),         # 256 x 27 x 27
    "norm2": LRN(k=2.0),                                # 256 x 27 x 27
    "pool2": MaxPool(3, 2),                             # 256 x 13 x 13
    "conv3": Conv(384, 3, padding=1),                   # 384 x 13 x 13
    "conv4": Conv(384, 3, padding=1, groups=2),         # 384 x 13 x 13
    "conv5": Conv(256, 3, padding=1, groups=2),         # 256 x 13 x 13
    "pool5": MaxPool(3, 2),                             # 256 x 6 x 6
    "flatten": Flatten(),                               # 9216
    "fc6": Linear(4096),                                # 4096
    "drop6": Dropout(),
    "fc7": Linear(4096),                                # 4096
    "drop7": Dropout(),
    "fc8": Linear(1000, activation=None),               # 1000 logits
}

# Caffe's bvlc_alexnet: the paper's, with k = 1 in the normalisation.
CAFFE_ALEXNET: Table = {**ALEXNET_PAPER, "norm1": LRN(), "norm2": LRN()}

# Caffe's bvlc_reference_caffenet: the normalisation comes after the pools, where it costs less.
CAFFENET: Table = {name: CAFFE_ALEXNET[name] for name in (
    "conv1", "pool1", "norm1",                          # 96 x 55 x 55, 96 x 27 x 27, 96 x 27 x 27
    "conv2", "pool2", "norm2",                          # 256 x 27 x 27, then 256 x 13 x 13
    "conv3", "conv4", "conv5", "pool5", "flatten", "fc6", "drop6", "fc7", "drop7", "fc8")}

# torchvision's, after Krizhevsky 2014, "One weird trick for parallelizing convolutional neural
# networks".
TORCHVISION: Table = {                                  # output at 224 px
    "conv1": Conv(64, 11, stride=4, padding=2),         # 64 x 55 x 55
    "pool1": MaxPool(3, 2),                             # 64 x 27 x 27
    "conv2": Conv(192, 5, padding=2),                   # 192 x 27 x 27
    "pool2": MaxPool(3, 2),                             # 192 x 13 x 13
    "conv3": Conv(384, 3, padding=1),                   # 384 x 13 x 13
    "conv4": Conv(256, 3, padding=1),                   # 256 x 13 x 13
    "conv5": Conv(256, 3, padding=1),                   # 256 x 13 x 13
    "pool5": MaxPool(3, 2),                             # 256 x 6 x 6
    "average": AdaptiveAvgPool(6),                      # 256 x 6 x 6
    "flatten": Flatten(),                               # 9216
    "drop6": Dropout(),
    "fc6": Linear(4096),                                # 4096
    "drop7": Dropout(),
    "fc7": Linear(4096),                                # 4096
    "fc8": Linear(1000, activation=None),               # 1000 logits
}

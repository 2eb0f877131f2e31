"""Claims of the 2012 paper and of its code, put to the test: `python -m models reproduce NAME`."""
from .augmentation import AUGMENTATION
from .cifar10_18pct import CIFAR10_18PCT
from .dropout import DROPOUT
from .experiment import Experiment
from .filters import FILTERS
from .lrn import LRN
from .overlapping_pooling import OVERLAPPING_POOLING
from .relu_vs_tanh import RELU_VS_TANH

EXPERIMENTS: dict[str, Experiment] = {
    "relu-vs-tanh": RELU_VS_TANH,
    "overlapping-pooling": OVERLAPPING_POOLING,
    "lrn": LRN,
    "dropout": DROPOUT,
    "augmentation": AUGMENTATION,
    "filters": FILTERS,
    "cifar10-18pct": CIFAR10_18PCT,
}

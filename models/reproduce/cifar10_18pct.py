"""The network that Krizhevsky published with cuda-convnet for its 18 % test error on CIFAR-10."""
from .errors_at_end import TestError
from .experiment import PLAIN, Experiment

SETTINGS = {**PLAIN, "flip": True, "init": "he", "lr": 0.05, "weight_decay": 0.001, "layer_weight_decay": {"fc10": 0.01}}
FULL = {"epochs": 80}
QUICK = {"pictures": 1000, "epochs": 10, "batch_size": 32, "lr": 0.02, "warmup": 50}

CIFAR10_18PCT = Experiment(
    claim="three convolutions and a linear layer err on 18 % of CIFAR-10's test pictures, in one view (cuda-convnet, layers-18pct.cfg)",
    published="18 % test error",
    departures="80 epochs for 140; a learning rate of 0.05 that falls along a cosine for 0.001 cut twice; He's initial values; less weight "
               "decay; half of the training pictures mirrored; one mean and deviation a colour for the mean image",
    settings=SETTINGS,
    variants={"cifar10-18pct": {}},
    measure=TestError(),
    full=FULL,
    quick=QUICK,
    seeds=1,
)

"""Section 4.2: dropout."""
from .errors_at_end import Gain
from .experiment import COMPARED, PLAIN, Experiment

DROPOUT = Experiment(
    claim="dropout in the first two fully connected layers prevents substantial overfitting (2012 paper, section 4.2)",
    published="substantial overfitting without it, no figure",
    departures="on CIFAR-10 enlarged to 67 pixels, a quarter of AlexNet's width, no augmentation",
    settings={**PLAIN, "network": "alexnet", "image_size": 67, "resize": 67, "width": 0.25},
    variants={"no dropout": {"dropout": 0.0}, "dropout 0.5": {"dropout": 0.5}},
    measure=Gain("no dropout", "dropout 0.5"),
    full=COMPARED,
    quick={"pictures": 1000, "epochs": 15, "batch_size": 32, "warmup": 50},
)

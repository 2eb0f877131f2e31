"""Figure 1: ReLU learns several times faster than tanh."""
from .experiment import PLAIN, Experiment
from .speed import Sooner

RELU_VS_TANH = Experiment(
    claim="with ReLU a four-layer network reaches 25 % training error on CIFAR-10 sooner than with tanh (2012 paper, 3.1, Figure 1)",
    published="6 times sooner",
    departures="cuda-convnet's three convolutions and one linear layer without normalisation; no regularisation, as published; He's "
               "initial values; for each a constant learning rate, as fast as a few short trainings showed; training error while "
               "learning, interpolated between epochs",
    settings={**PLAIN, "init": "he", "weight_decay": 0.0, "schedule": "constant", "target_error": 0.25},
    variants={"ReLU": {"ablations": ["no-lrn"], "lr": 0.03}, "tanh": {"ablations": ["no-lrn", "tanh"], "lr": 0.03}},
    measure=Sooner("ReLU", "tanh", target=25),
    full={"epochs": 40},
    quick={"pictures": 1000, "epochs": 30, "batch_size": 32, "lr": 0.01, "warmup": 50},
)

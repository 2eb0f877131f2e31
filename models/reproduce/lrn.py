"""Section 3.3: local response normalisation."""
from .errors_at_end import Gain
from .experiment import COMPARED, PLAIN, Experiment

LRN = Experiment(
    claim="local response normalisation lowers the test error of a four-layer network on CIFAR-10 (2012 paper, section 3.3)",
    published="2 points of test error less, 13 % without and 11 % with it",
    departures="cuda-convnet's smaller network, which normalises within channels, by its own recipe, but 20 epochs for 140 and a "
               "learning rate of 0.005 that falls along a cosine for 0.001 cut twice",
    settings={**PLAIN, "normalize": "mean-image", "init": "cuda-convnet", "lr": 0.005,
              "weight_decay": 0.004, "layer_weight_decay": {"fc10": 1.0}},
    variants={"without": {"ablations": ["no-lrn"]}, "with": {}},
    measure=Gain("without", "with"),
    full=COMPARED,
    quick={"pictures": 1000, "epochs": 15, "batch_size": 32, "warmup": 50},
)

"""The experiments, each as a table: claim, published figure, settings, and what is measured.

Here those of the 2012 paper; its heirs' are in heirs.py.
"""
from .experiment import Experiment
from .heirs import HEIRS
from .measures import Filters, Gain, Speedup, TestError

# cuda-convnet's network sees CIFAR-10's images as they are: no crops, no mirroring, no noise. Its
# update is the paper's.
PLAIN = {"network": "cifar10-18pct", "image_size": 32, "resize": 32, "random_crop": False,
         "flip": False, "pca_noise": 0.0, "lr_in_velocity": True}
COMPARED = {"epochs": 20}           # on CIFAR-10, of trainings that are compared with one another
SETTINGS = {**PLAIN, "flip": True, "init": "he", "lr": 0.05, "weight_decay": 0.001,
            "layer_weight_decay": {"fc10": 0.01}}
FULL = {"epochs": 80}
QUICK = {"pictures": 1000, "epochs": 10, "batch_size": 32, "lr": 0.02, "warmup": 50}
QUICK_COMPARED = {"pictures": 1000, "epochs": 15, "batch_size": 32, "warmup": 50}

# Figure 1.
RELU_VS_TANH = Experiment(
    claim="with ReLU a four-layer network reaches 25 % training error on CIFAR-10 sooner than with "
          "tanh (2012 paper, 3.1, Figure 1)",
    published="6 times sooner",
    differs="cuda-convnet's three convolutions and one linear layer without normalisation; no "
            "regularisation, as published; He's initial values; for each a constant learning rate, "
            "as fast as a few short trainings showed; training error while learning, interpolated "
            "between epochs",
    settings={**PLAIN, "init": "he", "weight_decay": 0.0, "schedule": "constant",
              "target_error": 0.25},
    variants={"ReLU": {"ablations": ["no-lrn"], "lr": 0.03},
              "tanh": {"ablations": ["no-lrn", "tanh"], "lr": 0.03}},
    measure=Speedup("ReLU", "tanh", target=25),
    full={"epochs": 40},
    quick={"pictures": 1000, "epochs": 30, "batch_size": 32, "lr": 0.01, "warmup": 50},
)

# Section 3.4: pools whose windows overlap.
OVERLAPPING_POOLING = Experiment(
    claim="pools of 3 x 3 every 2 pixels err less than pools of 2 x 2 every 2 pixels "
          "(2012 paper, section 3.4)",
    published="0.4 points of top-1 error less, on ImageNet",
    differs="on CIFAR-10, in all three pools of cuda-convnet's network, trained as in "
            "cifar10-18pct",
    settings=SETTINGS,
    variants={"2 x 2": {"ablations": ["no-overlap"]}, "3 x 3": {}},
    measure=Gain("2 x 2", "3 x 3"),
    full=COMPARED,
    quick=QUICK,
)

# Section 3.3: local response normalisation.
LRN = Experiment(
    claim="local response normalisation lowers the test error of a four-layer network on CIFAR-10 "
          "(2012 paper, section 3.3)",
    published="2 points of test error less, 13 % without and 11 % with it",
    differs="cuda-convnet's smaller network, which normalises within channels, by its own recipe, "
            "but 20 epochs for 140 and a learning rate of 0.005 that falls along a cosine for "
            "0.001 cut twice",
    settings={**PLAIN, "normalize": "mean-image", "init": "cuda-convnet", "lr": 0.005,
              "weight_decay": 0.004, "layer_weight_decay": {"fc10": 1.0}},
    variants={"without": {"ablations": ["no-lrn"]}, "with": {}},
    measure=Gain("without", "with"),
    full=COMPARED,
    quick=QUICK_COMPARED,
)

# Section 4.2.
DROPOUT = Experiment(
    claim="dropout in the first two fully connected layers prevents substantial overfitting "
          "(2012 paper, section 4.2)",
    published="substantial overfitting without it, no figure",
    differs="on CIFAR-10 enlarged to 67 pixels, a quarter of AlexNet's width, no augmentation",
    settings={**PLAIN, "network": "alexnet", "image_size": 67, "resize": 67, "width": 0.25},
    variants={"no dropout": {"dropout": 0.0}, "dropout 0.5": {"dropout": 0.5}},
    measure=Gain("no dropout", "dropout 0.5"),
    full=COMPARED,
    quick=QUICK_COMPARED,
)

# Section 4.1.
AUGMENTATION = Experiment(
    claim="random crops and mirroring reduce overfitting (2012 paper, section 4.1)",
    published="substantial overfitting without them, no figure",
    differs="on CIFAR-10, crops of 28 of 32 pixels and mirroring against central crops, in "
            "cuda-convnet's network; one view in the test",
    settings={**SETTINGS, "image_size": 28},
    variants={"central crops": {"flip": False},
              "random crops, mirrored": {"random_crop": True, "flip": True}},
    measure=Gain("central crops", "random crops, mirrored"),
    full=COMPARED,
    quick=QUICK,
)

# Figure 3.
FILTERS = Experiment(
    claim="conv1's filters become edges of many orientations and frequencies, and blobs of colour "
          "(2012 paper, section 6.1, Figure 3)",
    published="a picture of 96 smooth filters of 11 x 11, no figure",
    differs="the 32 filters of 5 x 5 of cuda-convnet's network for CIFAR-10, in the training of "
            "cifar10-18pct",
    settings=SETTINGS,
    variants={"cifar10-18pct": {}},
    measure=Filters(),
    full=FULL,
    quick=QUICK,
    seeds=1,
)

# The network that Krizhevsky published with cuda-convnet for its 18 % test error on CIFAR-10.
CIFAR10_18PCT = Experiment(
    claim="three convolutions and a linear layer err on 18 % of CIFAR-10's test pictures, in one "
          "view (cuda-convnet, layers-18pct.cfg)",
    published="18 % test error",
    differs="80 epochs for 140; a learning rate of 0.05 that falls along a cosine for 0.001 cut "
            "twice; He's initial values; less weight decay; half of the training pictures "
            "mirrored; one mean and deviation a colour for the mean image",
    settings=SETTINGS,
    variants={"cifar10-18pct": {}},
    measure=TestError(),
    full=FULL,
    quick=QUICK,
    seeds=1,
)

EXPERIMENTS = {
    "relu-vs-tanh": RELU_VS_TANH,
    "overlapping-pooling": OVERLAPPING_POOLING,
    "lrn": LRN,
    "dropout": DROPOUT,
    "augmentation": AUGMENTATION,
    "filters": FILTERS,
    "cifar10-18pct": CIFAR10_18PCT,
    **HEIRS,
}

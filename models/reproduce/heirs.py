"""Claims of AlexNet's heirs as experiments: depth, normalisation, small filters, transfer.

Trainings are shorter than published ones, so that an experiment ends within two hours on two cores.
"""
from typing import Any

from .experiment import Experiment
from .measures import AgainstPictures, Deepening, Gain, Speedup

# He et al. 2015, section 4.2: 4 black pixels around each picture, crops, mirroring.
CIFAR = {"image_size": 32, "resize": 32, "crop_padding": 4, "init": "he", "warmup": 390}
RESIDUAL_NETS = {**CIFAR, "lr": 0.1, "weight_decay": 1e-4, "schedule": "multistep"}
# Images of 16 x 16 take a quarter of the time.
SMALL = {"pictures": 1000, "image_size": 16, "resize": 16, "crop_padding": 2, "epochs": 8,
         "batch_size": 32, "warmup": 50}

RESIDUAL = Experiment(
    claim="plain networks learn their training pictures worse the deeper they are, residual ones "
          "better (He et al. 2015, section 4.2, Figure 6)",
    published="more training error with 56 layers than with 20 in plain networks, less in residual "
              "ones; test error 8.75 % with 20 layers and 6.97 % with 56 in residual ones",
    differs="4 epochs for 164, the learning rate cut after 2 and 3, a warm-up over the first; "
            "one mean and deviation a colour for the mean image; biases learn twice as fast and do "
            "not decay; training error while learning",
    settings=RESIDUAL_NETS,
    variants={name: {"network": name} for name in ("plain20", "plain56", "resnet20", "resnet56")},
    measure=Deepening({"plain": ("plain20", "plain56"), "residual": ("resnet20", "resnet56")}),
    full={"epochs": 4},
    quick=SMALL,
    seeds=1,
)

BATCHNORM = Experiment(
    claim="with batch normalisation a network reaches the same error in a fraction of the steps, "
          "at a higher learning rate (Ioffe and Szegedy 2015, sections 4.1 and 4.2, Figures 1 and "
          "2)",
    published="14 times fewer steps to the same accuracy, with Inception on ImageNet",
    differs="25 % training error on CIFAR-10, of six convolutions as VGG's; constant learning "
            "rates, 0.05 with and 0.02 without, the fastest of a few short trainings of each; "
            "padded crops, mirroring; training error while learning, interpolated between "
            "epochs of 391 steps",
    settings={**CIFAR, "weight_decay": 1e-4, "schedule": "constant", "target_error": 0.25},
    variants={"with": {"network": "cifar10-vgg_bn", "lr": 0.05},
              "without": {"network": "cifar10-vgg", "lr": 0.02}},
    measure=Speedup("with", "without", target=25),
    full={"epochs": 30},
    quick={"pictures": 1000, "crop_padding": 2, "epochs": 20, "batch_size": 32, "warmup": 50,
           "target_error": 0.25, "lr": 0.01},
    seeds=1,
)

SMALL_FILTERS = Experiment(
    claim="two layers of 3 x 3 err less than one of 5 x 5, which sees as much (Simonyan and "
          "Zisserman 2014, section 2.3)",
    published="7 points of top-1 error less, on ImageNet, VGG's network B against its twin of "
              "5 x 5",
    differs="on CIFAR-10, six layers of 3 x 3 against three of 5 x 5, the latter wider (37, 75 and "
            "150 channels for 32, 64 and 128), so that both take 38.6 million multiplications, "
            "where VGG's twin takes fewer; 20 epochs; padded crops, mirroring",
    settings={**CIFAR, "network": "cifar10-vgg", "lr": 0.03},
    variants={"5 x 5": {"ablations": ["one-5x5"], "width": 1.17}, "3 x 3": {}},
    measure=Gain("5 x 5", "3 x 3"),
    full={"epochs": 20},
    quick={"pictures": 1000, "crop_padding": 2, "epochs": 15, "batch_size": 32, "warmup": 50,
           "lr": 0.01},
    seeds=1,
)

# Transfer. The six classes and the four, in the order of CIFAR-10's names: airplane, automobile,
# cat, deer, frog, ship; bird, dog, horse, truck, each of which has a relative among the six.
SIX, FOUR = [0, 1, 3, 4, 6, 8], [2, 5, 7, 9]
WAYS: dict[str, dict[str, Any]] = {
    "from scratch": {"lr": 0.05},
    "frozen": {"weights": "six classes", "freeze": "features", "lr": 0.01},
    "fine-tuned": {"weights": "six classes", "lr": 0.01, "new_lr_multiplier": 5.0},
}
EPOCHS = {50: 80, 100: 60, 200: 40, 500: 30}    # by pictures a class: 560 to 1,890 steps of 32

TRANSFER = Experiment(
    claim="what a network learned of some classes helps it to learn others from few pictures "
          "(Yosinski et al. 2014; the 2012 paper's heirs live on it)",
    published="no figure for so small a network",
    differs="a residual network of 20 layers, trained for 12 epochs on six of CIFAR-10's classes, "
            "then on the other four (bird, dog, horse, truck) with 50 to 500 pictures of each; "
            "frozen trains the last layer alone; the same epochs, crops and mirroring for all; "
            "4,000 test pictures, looked at once, at the end",
    settings={**CIFAR, "network": "resnet20", "validation": 0.0},
    variants={"six classes": {"classes": SIX, "lr": 0.1, "epochs": 12},
              **{f"{way}, {count}": {"classes": FOUR, "pictures_per_class": count,
                                     "epochs": epochs, "batch_size": 32, "warmup": 50, **own}
                 for count, epochs in EPOCHS.items() for way, own in WAYS.items()}},
    measure=AgainstPictures(tuple(WAYS), tuple(EPOCHS)),
    full={},
    quick=SMALL | {"pictures": 5000, "epochs": 4},
    seeds=1,
)

HEIRS = {
    "residual": RESIDUAL,
    "batchnorm": BATCHNORM,
    "small-filters": SMALL_FILTERS,
    "transfer": TRANSFER,
}

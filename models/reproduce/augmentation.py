"""Section 4.1: random crops and mirrored pictures."""
from .cifar10_18pct import QUICK, SETTINGS
from .errors_at_end import Gain
from .experiment import COMPARED, Experiment

AUGMENTATION = Experiment(
    claim="random crops and mirroring reduce overfitting (2012 paper, section 4.1)",
    published="substantial overfitting without them, no figure",
    departures="on CIFAR-10, crops of 28 of 32 pixels and mirroring against central crops, in cuda-convnet's network; one view in the test",
    settings={**SETTINGS, "image_size": 28},
    variants={"central crops": {"flip": False}, "random crops, mirrored": {"random_crop": True, "flip": True}},
    measure=Gain("central crops", "random crops, mirrored"),
    full=COMPARED,
    quick=QUICK,
)

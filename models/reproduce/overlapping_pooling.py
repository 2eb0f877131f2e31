"""Section 3.4: pools whose windows overlap."""
from .cifar10_18pct import QUICK, SETTINGS
from .errors_at_end import Gain
from .experiment import COMPARED, Experiment

OVERLAPPING_POOLING = Experiment(
    claim="pools of 3 x 3 every 2 pixels err less than pools of 2 x 2 every 2 pixels (2012 paper, section 3.4)",
    published="0.4 points of top-1 error less, on ImageNet",
    departures="on CIFAR-10, in all three pools of cuda-convnet's network, trained as in cifar10-18pct",
    settings=SETTINGS,
    variants={"2 x 2": {"ablations": ["no-overlap"]}, "3 x 3": {}},
    measure=Gain("2 x 2", "3 x 3"),
    full=COMPARED,
    quick=QUICK,
)

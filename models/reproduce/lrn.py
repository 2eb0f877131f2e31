"""Section 3.3: local response normalisation."""
from .cifar10_18pct import FULL, QUICK, SETTINGS
from .errors_at_end import Gain
from .experiment import Experiment

LRN = Experiment(
    claim="local response normalisation lowers the test error of a four-layer network on CIFAR-10 (2012 paper, section 3.3)",
    published="2 points of test error less, 13 % without and 11 % with it",
    departures="cuda-convnet's smaller network, which normalises within channels, trained as in cifar10-18pct, without augmentation",
    settings=SETTINGS,
    variants={"without": {"ablations": ["no-lrn"]}, "with": {}},
    measure=Gain("without", "with"),
    full=FULL,
    quick=QUICK,
)

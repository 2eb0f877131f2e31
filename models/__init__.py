"""Networks built from minitensor, and the command line that trains and uses them: `python -m models --help`."""
from .alexnet import AlexNet as AlexNet

NETWORKS = {"alexnet": AlexNet}

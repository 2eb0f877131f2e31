"""Networks built from minitensor, and the command line that trains and uses them: `python -m models --help`."""
from .family import FAMILY as FAMILY
from .family import AlexNet as AlexNet
from .family import build as build

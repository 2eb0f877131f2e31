"""Networks built from minitensor, and the command line: `python -m models --help`."""
import signal
import sys

if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    # This is the start of `python -m models`: until its main begins, Ctrl-C ends it without a
    # traceback of half-imported modules.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from .networks.build import FAMILY as FAMILY
from .networks.build import AlexNet as AlexNet
from .networks.build import build as build

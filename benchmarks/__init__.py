"""Benchmarks: kernels and networks, against the textbook kernels and PyTorch.

`python -m benchmarks --help`
"""
import signal
import sys

if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    # This is the start of `python -m benchmarks`: until its main begins, Ctrl-C ends it without a
    # traceback of half-imported modules.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

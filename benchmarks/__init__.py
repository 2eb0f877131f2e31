"""Benchmarks: kernels and networks, against the textbook kernels and PyTorch. `python -m benchmarks --help`."""

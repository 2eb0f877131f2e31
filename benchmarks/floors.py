"""What the GPU does at best, measured, and the least seconds that work takes by that."""
from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minitensor.backend import cupy, to_device
from minitensor.kernels import PRECISIONS

from .cases import Arrays, Case
from .contestants.torch import pin_tf32
from .job import Network
from .layers import gflop
from .timing import OnDevice, alternate, summary

Rates = dict[str, float]    # "copy": bytes/s; "fp32", "tf32", "bf16": FLOP/s


def measured_rates(torch: Any, quick: bool = False) -> Rates:
    """Of a large copy, bytes read and written, and of a large matrix product by cuBLAS.

    The products are PyTorch's; without it only fp32's is measured, through CuPy.
    """
    size, nbytes = (256, 2**20) if quick else (8192, 2**30)
    source, target = (cupy().zeros(nbytes, np.uint8) for _ in range(2))
    rates = {"copy": 2 * nbytes / _median(partial(target.__setitem__, Ellipsis, source))}
    for precision in PRECISIONS if torch else ("fp32",):
        rates[precision] = 2 * size**3 / _median(_product(torch, precision, size))
    return rates


def _product(torch: Any, precision: str, size: int) -> Callable[[], Any]:
    a, b = (np.random.default_rng(i).standard_normal((size, size), np.float32) for i in range(2))
    if torch is None:
        return partial(cupy().matmul, to_device(a, "cuda"), to_device(b, "cuda"))
    pin_tf32(torch, precision)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return partial(torch.matmul, *(torch.from_numpy(x).to("cuda", dtype) for x in (a, b)))


def _median(work: Callable[[], Any]) -> float:
    return summary(alternate({"it": OnDevice(work)}, 0.1, (3, 20))["it"])["median"]


def layer_floor(case: Case, one: str, precision: str, a: Arrays, y: Any,
                rates: Rates) -> float | None:
    """Seconds that this pass takes at least: its fewest bytes or its FLOPs, whichever is longer."""
    gradients = sum(a[name].nbytes for name in case.differentiated)
    operands = sum(a[name].nbytes for name in ("x", "w") if name in a)
    if one == "forward":
        nbytes = operands + y.nbytes
    else:
        nbytes = a["dy"].nbytes + gradients + (operands if case.macs else 0)
    flop = 1e9 * gflop(case, one, len(a["x"]))
    if flop and precision not in rates:
        return None
    return max(nbytes / rates["copy"], flop / rates[precision] if flop else 0.0)


def update_floor(parameters: int, states: int, rates: Rates) -> float:
    """Seconds to read gradients, and to read and write float32 parameters and their states."""
    return 4 * (1 + 2 * (1 + states)) * parameters / rates["copy"]


def size_of(network: Network) -> tuple[list[int], int]:
    """Multiplications per image of each layer that is a product, and parameters in all."""
    from models.networks.tables import walk
    places = [place for place in walk(network.table, network.input_shape)
              if place.layer.parameters(place.input)]
    parameters = sum(math.prod(shape) for place in places
                     for shape in place.layer.parameters(place.input).values())
    return [place.layer.macs(place.input) for place in places], parameters


def network_floor(design: Network, mode: str, batch: int, precision: str,
                  rates: Rates) -> float | None:
    """Seconds for the products alone, and for the update in training.

    The first layer needs no gradient of the images.
    """
    if precision not in rates:
        return None
    macs, parameters = size_of(design)
    if mode == "infer":
        return 2 * batch * sum(macs) / rates[precision]
    products = 3 * sum(macs) - macs[0]
    return 2 * batch * products / rates[precision] + update_floor(parameters, 1, rates)

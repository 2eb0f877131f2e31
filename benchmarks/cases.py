"""What is timed: the layers of the seed network (AlexNet as one tower, 227 px), and the normalisation of the paper's.

A case knows its arrays and how to run forward and backward on a kernel set and in PyTorch. Shapes and names are in `minitensor.kernels`.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


def images(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Normal float32 values (N, C, H, W) in channels-last memory."""
    N, C, H, W = shape
    return rng.standard_normal((N, H, W, C), np.float32).transpose(0, 3, 1, 2)


def rows(rng: np.random.Generator, N: int, C: int) -> Arrays:
    return {"x": rng.standard_normal((N, C), np.float32), "dy": rng.standard_normal((N, C), np.float32)}


@dataclass
class Case:
    """One layer. forward(K, a) -> results, first y; backward(K, a, results) -> gradients; torch(torch, a) -> y, of tensors a.

    K is a kernel set, a the dict of arrays that `arrays(rng, N)` makes; gradients are those of the arrays that `differentiated` names.
    macs are multiplications per image, forward; the backward pass needs as many per gradient.
    """
    name: str
    kernel: str
    arrays: Callable[[np.random.Generator, int], Arrays]
    forward: Callable[[SimpleNamespace, Arrays], tuple]
    backward: Callable[[SimpleNamespace, Arrays, tuple], tuple]
    torch: Callable[[Any, dict[str, Any]], Any]
    differentiated: tuple[str, ...] = ("x",)
    macs: int = 0
    tolerance: float = 1e-4                     # relative to the largest value of a result
    shape: str = ""


def conv(name: str, C: int, side: int, F: int, kernel: int, stride: int, padding: int) -> Case:
    """relu(conv2d(x)); the first layer needs no gradient of the picture."""
    out, first = (side + 2 * padding - kernel) // stride + 1, C == 3
    geometry = (stride, stride), (padding, padding), (1, 1), 1

    def arrays(rng, N):
        # Whole numbers plus a bias of one half: no rounding moves a sum across the kink of the relu, where gradients would differ for good.
        x, w = np.rint(images(rng, N, C, side, side)), np.rint(images(rng, F, C, kernel, kernel))
        b = np.rint(rng.standard_normal(F, np.float32)) + np.float32(0.5)
        return {"x": x, "w": w, "b": b, "dy": images(rng, N, F, out, out)}

    def backward(K, a, results):
        gradients = K.conv2d_backward(a["dy"], a["x"], a["w"], results[0], *geometry, (not first, True, True))
        return gradients[first:]

    return Case(name, "conv2d", arrays, lambda K, a: (K.conv2d(a["x"], a["w"], a["b"], *geometry, True),), backward,
                lambda torch, a: torch.relu(torch.conv2d(a["x"], a["w"], a["b"], stride, padding)),
                ("w", "b") if first else ("x", "w", "b"), C * kernel**2 * F * out**2,
                shape=f"{C}x{side}x{side} -> {F}x{out}x{out}")


def linear(name: str, C: int, F: int) -> Case:
    def arrays(rng, N):
        return {"x": rng.standard_normal((N, C), np.float32), "w": rng.standard_normal((F, C), np.float32) * np.float32(C**-0.5),
                "b": rng.standard_normal(F, np.float32), "dy": rng.standard_normal((N, F), np.float32)}

    return Case(name, "linear", arrays, lambda K, a: (K.linear(a["x"], a["w"], a["b"]),),
                lambda K, a, _: K.linear_backward(a["dy"], a["x"], a["w"], (True, True, True)),
                lambda torch, a: torch.nn.functional.linear(a["x"], a["w"], a["b"]), ("x", "w", "b"), C * F, shape=f"{C} -> {F}")


def max_pool(name: str, C: int, side: int) -> Case:
    out, window = (side - 3) // 2 + 1, ((3, 3), (2, 2), (0, 0))
    return Case(name, "max_pool2d", lambda rng, N: {"x": images(rng, N, C, side, side), "dy": images(rng, N, C, out, out)},
                lambda K, a: K.max_pool2d(a["x"], *window, False, True),
                lambda K, a, results: (K.max_pool2d_backward(a["dy"], results[1], (side, side), *window),),
                lambda torch, a: torch.max_pool2d(a["x"], 3, 2), shape=f"{C}x{side}x{side} -> {C}x{out}x{out}")


def normalisation(name: str, C: int, side: int) -> Case:
    def backward(K, a, results):
        return K.local_response_norm_backward(a["dy"], a["x"], results[1], 5, 1e-4, 0.75, (1,)),

    return Case(name, "local_response_norm", lambda rng, N: {"x": images(rng, N, C, side, side), "dy": images(rng, N, C, side, side)},
                lambda K, a: K.local_response_norm(a["x"], 5, 1e-4, 0.75, 2.0, (1,)), backward,
                lambda torch, a: torch.nn.functional.local_response_norm(a["x"], 5, 1e-4, 0.75, 2.0), shape=f"{C}x{side}x{side}, n = 5")


def relu(name: str, C: int) -> Case:
    return Case(name, "relu", lambda rng, N: rows(rng, N, C), lambda K, a: (K.relu(a["x"]),),
                lambda K, a, results: (K.relu_backward(a["dy"], results[0]),), lambda torch, a: torch.relu(a["x"]), shape=f"{C}")


def dropout(name: str, C: int) -> Case:
    """PyTorch draws another mask, so its result is not compared."""
    key = (1, 2)
    return Case(name, "dropout", lambda rng, N: rows(rng, N, C),
                lambda K, a: (K.dropout(a["x"], 0.5, key),), lambda K, a, _: (K.dropout(a["dy"], 0.5, key),),
                lambda torch, a: torch.dropout(a["x"], 0.5, True), shape=f"{C}, p = 0.5")


def cross_entropy(name: str, K: int) -> Case:
    def arrays(rng, N):
        return {"x": rng.standard_normal((N, K), np.float32), "labels": rng.integers(0, K, N), "dy": np.ones(N, np.float32)}

    return Case(name, "cross_entropy", arrays, lambda K, a: K.cross_entropy(a["x"], a["labels"], 0.0),
                lambda K, a, results: (K.cross_entropy_backward(a["dy"], results[1], a["labels"], 0.0),),
                lambda torch, a: torch.nn.functional.cross_entropy(a["x"], a["labels"], reduction="none"), shape=f"{K} classes")


CASES = [
    conv("conv1", 3, 227, 96, 11, 4, 0), normalisation("norm1", 96, 55), max_pool("pool1", 96, 55),
    conv("conv2", 96, 27, 256, 5, 1, 2), normalisation("norm2", 256, 27), max_pool("pool2", 256, 27),
    conv("conv3", 256, 13, 384, 3, 1, 1), conv("conv4", 384, 13, 384, 3, 1, 1), conv("conv5", 384, 13, 256, 3, 1, 1),
    max_pool("pool5", 256, 13), dropout("drop6", 9216), linear("fc6", 9216, 4096), relu("relu6", 4096), linear("fc7", 4096, 4096),
    linear("fc8", 4096, 1000), cross_entropy("loss", 1000),
]
QUICK_CASES = [
    conv("conv", 3, 19, 8, 5, 2, 1), normalisation("norm", 8, 9), max_pool("pool", 8, 9), dropout("drop", 64), linear("fc", 64, 32),
    relu("relu", 32), cross_entropy("loss", 10),
]

"""What is timed: the layers of the seed network (AlexNet as one tower, 227 px), and the paper's
normalisation.

A case knows its arrays and how to run forward and backward on a kernel set and in PyTorch. Shapes
and names are in `minitensor.kernels`.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minitensor.kernels import Epilogue
from minitensor.kernels.geometry import output_size

Arrays = dict[str, np.ndarray]
Generator = np.random.Generator


@dataclass
class Case:
    """One layer.

    forward         (K, a) -> results, first y; K is a kernel set, a what `arrays(rng, N)` makes
    backward        (K, a, results) -> gradients, of the arrays that `differentiated` names
    torch           (torch, a) -> y, of tensors a
    macs            multiplications per image, forward; the backward pass needs as many per gradient
    tolerance       relative to the largest value of a result
    """

    name: str
    kernel: str
    arrays: Callable[[Generator, int], Arrays]
    forward: Callable[[Any, Arrays], tuple]
    backward: Callable[[Any, Arrays, tuple], tuple]
    torch: Callable[[Any, dict[str, Any]], Any]
    differentiated: tuple[str, ...] = ("x",)
    macs: int = 0
    tolerance: float = 1e-4
    shape: str = ""


def images(rng: Generator, *shape: int) -> np.ndarray:
    """Normal float32 values (N, C, H, W) in channels-last memory."""
    N, C, H, W = shape
    return rng.standard_normal((N, H, W, C), np.float32).transpose(0, 3, 1, 2)


def rows(rng: Generator, N: int, C: int) -> Arrays:
    return {name: rng.standard_normal((N, C), np.float32) for name in ("x", "dy")}


def conv(name: str, C: int, side: int, F: int, kernel: int, stride: int, padding: int) -> Case:
    """relu(conv2d(x)); the first layer needs no gradient of the image."""
    out, first = output_size(side, kernel, stride, padding), C == 3
    geometry = (stride, stride), (padding, padding), (1, 1), 1

    def arrays(rng: Generator, N: int) -> Arrays:
        # Whole numbers plus a bias of one half: no rounding moves a sum across the kink of the
        # relu, where gradients would differ for good.
        x, w = np.rint(images(rng, N, C, side, side)), np.rint(images(rng, F, C, kernel, kernel))
        b = np.rint(rng.standard_normal(F, np.float32)) + np.float32(0.5)
        return {"x": x, "w": w, "b": b, "dy": images(rng, N, F, out, out)}

    def forward(K: Any, a: Arrays) -> tuple:
        return K.conv2d(a["x"], a["w"], Epilogue(a["b"], activation="relu"), *geometry),

    def backward(K: Any, a: Arrays, results: tuple) -> tuple:
        needs = not first, True, True, False
        dx, dw, db, _ = K.conv2d_backward(a["dy"], a["x"], a["w"], results[0], *geometry, "relu",
                                          needs)
        return (dw, db) if first else (dx, dw, db)

    def torch(torch: Any, a: dict[str, Any]) -> Any:
        return torch.relu(torch.conv2d(a["x"], a["w"], a["b"], stride, padding))

    return Case(name, "conv2d", arrays, forward, backward, torch,
                ("w", "b") if first else ("x", "w", "b"), C * kernel**2 * F * out**2,
                shape=f"{C}x{side}x{side} -> {F}x{out}x{out}")


def linear(name: str, C: int, F: int) -> Case:
    def arrays(rng: Generator, N: int) -> Arrays:
        return {"x": rng.standard_normal((N, C), np.float32),
                "w": rng.standard_normal((F, C), np.float32) * np.float32(C**-0.5),
                "b": rng.standard_normal(F, np.float32),
                "dy": rng.standard_normal((N, F), np.float32)}

    def forward(K: Any, a: Arrays) -> tuple:
        return K.linear(a["x"], a["w"], Epilogue(a["b"])),

    def backward(K: Any, a: Arrays, results: tuple) -> tuple:
        needs = True, True, True, False
        return K.linear_backward(a["dy"], a["x"], a["w"], None, None, needs)[:3]

    def torch(torch: Any, a: dict[str, Any]) -> Any:
        return torch.nn.functional.linear(a["x"], a["w"], a["b"])

    return Case(name, "linear", arrays, forward, backward, torch, ("x", "w", "b"), C * F,
                shape=f"{C} -> {F}")


def max_pool(name: str, C: int, side: int) -> Case:
    out, window = output_size(side, 3, 2), ((3, 3), (2, 2), (0, 0))

    def arrays(rng: Generator, N: int) -> Arrays:
        return {"x": images(rng, N, C, side, side), "dy": images(rng, N, C, out, out)}

    def forward(K: Any, a: Arrays) -> tuple:
        return K.max_pool2d(a["x"], *window, False, True)

    def backward(K: Any, a: Arrays, results: tuple) -> tuple:
        return K.max_pool2d_backward(a["dy"], results[1], (side, side), *window),

    return Case(name, "max_pool2d", arrays, forward, backward,
                lambda torch, a: torch.max_pool2d(a["x"], 3, 2),
                shape=f"{C}x{side}x{side} -> {C}x{out}x{out}")


def normalisation(name: str, C: int, side: int) -> Case:
    size, alpha, beta, k = 5, 1e-4, 0.75, 2.0

    def arrays(rng: Generator, N: int) -> Arrays:
        return {"x": images(rng, N, C, side, side), "dy": images(rng, N, C, side, side)}

    def forward(K: Any, a: Arrays) -> tuple:
        return K.local_response_norm(a["x"], size, alpha, beta, k, (1,))

    def backward(K: Any, a: Arrays, results: tuple) -> tuple:
        return K.local_response_norm_backward(a["dy"], a["x"], results[1], size, alpha, beta,
                                              (1,)),

    def torch(torch: Any, a: dict[str, Any]) -> Any:
        return torch.nn.functional.local_response_norm(a["x"], size, alpha, beta, k)

    return Case(name, "local_response_norm", arrays, forward, backward, torch,
                shape=f"{C}x{side}x{side}, n = {size}")


def relu(name: str, C: int) -> Case:
    return Case(name, "relu", lambda rng, N: rows(rng, N, C), lambda K, a: (K.relu(a["x"]),),
                lambda K, a, results: (K.relu_backward(a["dy"], results[0]),),
                lambda torch, a: torch.relu(a["x"]), shape=f"{C}")


def dropout(name: str, C: int) -> Case:
    """PyTorch draws another mask, so its result is not compared."""
    key = 1, 2
    return Case(name, "dropout", lambda rng, N: rows(rng, N, C),
                lambda K, a: (K.dropout(a["x"], 0.5, key),),
                lambda K, a, results: (K.dropout(a["dy"], 0.5, key),),
                lambda torch, a: torch.dropout(a["x"], 0.5, True), shape=f"{C}, p = 0.5")


def cross_entropy(name: str, classes: int) -> Case:
    def arrays(rng: Generator, N: int) -> Arrays:
        return {"x": rng.standard_normal((N, classes), np.float32),
                "labels": rng.integers(0, classes, N), "dy": np.ones(N, np.float32)}

    def forward(K: Any, a: Arrays) -> tuple:
        return K.cross_entropy(a["x"], a["labels"], 0.0)

    def backward(K: Any, a: Arrays, results: tuple) -> tuple:
        return K.cross_entropy_backward(a["dy"], results[1], a["labels"], 0.0),

    def torch(torch: Any, a: dict[str, Any]) -> Any:
        return torch.nn.functional.cross_entropy(a["x"], a["labels"], reduction="none")

    return Case(name, "cross_entropy", arrays, forward, backward, torch,
                shape=f"{classes} classes")


CASES = [
    conv("conv1", 3, 227, 96, 11, 4, 0), normalisation("norm1", 96, 55), max_pool("pool1", 96, 55),
    conv("conv2", 96, 27, 256, 5, 1, 2), normalisation("norm2", 256, 27),
    max_pool("pool2", 256, 27), conv("conv3", 256, 13, 384, 3, 1, 1),
    conv("conv4", 384, 13, 384, 3, 1, 1), conv("conv5", 384, 13, 256, 3, 1, 1),
    max_pool("pool5", 256, 13), dropout("drop6", 9216), linear("fc6", 9216, 4096),
    relu("relu6", 4096), linear("fc7", 4096, 4096), linear("fc8", 4096, 1000),
    cross_entropy("loss", 1000),
]
QUICK_CASES = [
    conv("conv", 3, 19, 8, 5, 2, 1), normalisation("norm", 8, 9), max_pool("pool", 8, 9),
    dropout("drop", 64), linear("fc", 64, 32), relu("relu", 32), cross_entropy("loss", 10),
]

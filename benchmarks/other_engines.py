"""DeZero and MyGrad, other engines on NumPy, as contestants in a training step of a network without normalisation."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

from .network import LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, Job, pictures, weights


MISSING = "no other engine is installed; install them with: pip install dezero mygrad"


def installed() -> list[str]:
    return [name for name in ENGINES if find_spec(name)]


def _forward(job: Job, ops: dict[str, Callable], parameters: list, x: Any, train: bool) -> Any:
    """The network's logits in the terms of one engine: ops by the name of the layer's specification."""
    remaining = iter(parameters)
    for spec in job.network.table.values():
        kind = type(spec).__name__
        if kind in ("Conv", "Linear"):
            x = ops[kind](x, next(remaining), next(remaining), spec)
            x = ops["relu"](x) if spec.activation else x
        elif kind != "Dropout" or train:
            x = ops[kind](x, spec)
    return x


def _arrays(job: Job) -> Iterator[np.ndarray]:
    """Weight and bias of every layer that has them, linear weights as (in, out)."""
    shape, index = (3, job.network.image_size, job.network.image_size), 0
    for spec in job.network.table.values():
        kind = type(spec).__name__
        if kind in ("Conv", "Linear"):
            features = spec.channels if kind == "Conv" else spec.features
            w = weights((features, shape[0], *(2 * [spec.kernel] if kind == "Conv" else [])), index)
            yield w if kind == "Conv" else np.ascontiguousarray(w.T)
            yield weights((features,), index + 1)
            index += 2
        shape = spec.output(shape)


# ---- engines: from a job to (logits of an evaluation, one training step) ---------------------------------------------------------

def _dezero(job: Job) -> tuple[Callable[[], np.ndarray], Callable[[], None]]:
    np.int = int                                        # type: ignore[attr-defined]    # DeZero 0.0.13 is older than NumPy 1.24
    import dezero
    from dezero import functions as F

    ops: dict[str, Any] = {
        "Conv": lambda x, w, b, s: F.conv2d(x, w, b, s.stride, s.padding), "Linear": lambda x, w, b, s: F.linear(x, w, b), "relu": F.relu,
        "MaxPool": lambda x, s: F.pooling(x, s.kernel, s.stride), "Flatten": lambda x, s: F.reshape(x, (len(x), -1)),
        "Dropout": lambda x, s: F.dropout(x, s.p)}
    parameters: list[Any] = [dezero.Parameter(a) for a in _arrays(job)]
    x, labels = pictures(job)
    x = np.ascontiguousarray(x)
    optimiser = dezero.optimizers.MomentumSGD(LEARNING_RATE, MOMENTUM)

    def logits() -> np.ndarray:
        with dezero.no_grad():
            return _forward(job, ops, parameters, dezero.as_variable(x), False).data

    def step() -> None:
        F.softmax_cross_entropy(_forward(job, ops, parameters, dezero.as_variable(x), True), labels).backward()
        for p in parameters:
            p.grad.data += WEIGHT_DECAY * p.data
            optimiser.update_one(p)
            p.cleargrad()

    return logits, step


def _mygrad(job: Job) -> tuple[Callable[[], np.ndarray], Callable[[], None]]:
    import mygrad
    from mygrad.nnet import activations, layers, losses

    mygrad.turn_memory_guarding_off()                   # as its manual advises for speed
    rng = np.random.default_rng(0)
    ops: dict[str, Any] = {
        "Conv": lambda x, w, b, s: layers.conv_nd(x, w, stride=s.stride, padding=s.padding) + b.reshape(1, -1, 1, 1),
        "Linear": lambda x, w, b, s: mygrad.matmul(x, w) + b, "relu": activations.relu,
        "MaxPool": lambda x, s: layers.max_pool(x, (s.kernel, s.kernel), s.stride), "Flatten": lambda x, s: x.reshape(len(x), -1),
        "Dropout": lambda x, s: x * ((rng.random(x.shape, np.float32) >= s.p) / np.float32(1 - s.p))}
    parameters: list[Any] = [mygrad.tensor(a) for a in _arrays(job)]
    velocities = [np.zeros_like(p.data) for p in parameters]
    x, labels = pictures(job)
    x = np.ascontiguousarray(x)

    def logits() -> np.ndarray:
        with mygrad.no_autodiff:
            return np.asarray(_forward(job, ops, parameters, mygrad.tensor(x, constant=True), False))

    def step() -> None:
        losses.softmax_crossentropy(_forward(job, ops, parameters, mygrad.tensor(x, constant=True), True), labels).backward()
        for p, v in zip(parameters, velocities):
            v *= MOMENTUM
            v -= LEARNING_RATE * (p.grad + WEIGHT_DECAY * p.data)
            p.data += v
            p.null_grad()

    return logits, step


ENGINES = {"dezero": _dezero, "mygrad": _mygrad}

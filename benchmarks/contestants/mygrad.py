"""MyGrad, on NumPy: a training step of a network without normalisation."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..job import LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, Job, Logits, Work, images
from . import functional


def contestant(job: Job) -> tuple[Logits, Work]:
    """The engine "mygrad"."""
    import mygrad
    from mygrad.nnet import activations, layers, losses

    mygrad.turn_memory_guarding_off()                   # as its manual advises for speed
    rng = np.random.default_rng(0)

    def conv(x: Any, w: Any, b: Any, spec: Any) -> Any:
        y = layers.conv_nd(x, w, stride=spec.stride, padding=spec.padding)
        return y + b.reshape(1, -1, 1, 1)

    def dropout(x: Any, spec: Any) -> Any:
        return x * ((rng.random(x.shape, np.float32) >= spec.p) / np.float32(1 - spec.p))

    functions: functional.Functions = {
        "Conv": conv,
        "Linear": lambda x, w, b, spec: mygrad.matmul(x, w) + b,
        "relu": activations.relu,
        "MaxPool": lambda x, spec: layers.max_pool(x, (spec.kernel, spec.kernel), spec.stride),
        "Flatten": lambda x, spec: x.reshape(len(x), -1),
        "Dropout": dropout,
    }
    parameters = [mygrad.tensor(array) for array in functional.parameters(job.network)]
    velocities = [np.zeros_like(p.data) for p in parameters]
    x, labels = images(job)
    x = np.ascontiguousarray(x)

    def forward(train: bool) -> mygrad.Tensor:
        constant = mygrad.tensor(x, constant=True)
        return functional.logits(job.network, functions, parameters, constant, train)

    def logits() -> np.ndarray:
        with mygrad.no_autodiff:
            return np.asarray(forward(train=False))

    def step() -> None:
        losses.softmax_crossentropy(forward(train=True), labels).backward()
        for p, v in zip(parameters, velocities):
            v *= MOMENTUM
            v -= LEARNING_RATE * (p.grad + WEIGHT_DECAY * p.data)
            p.data += v
            p.null_grad()

    return logits, step

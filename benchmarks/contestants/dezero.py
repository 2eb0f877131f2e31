"""DeZero, on NumPy: a training step of a network without normalisation."""
from __future__ import annotations

import numpy as np

from ..job import LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, Job, Logits, Work, images
from . import functional


def contestant(job: Job) -> tuple[Logits, Work]:
    """The engine "dezero"."""
    np.int = int            # type: ignore[attr-defined]    # DeZero 0.0.13 is older than NumPy 1.24
    import dezero
    from dezero import functions as F

    functions: functional.Functions = {
        "Conv": lambda x, w, b, spec: F.conv2d(x, w, b, spec.stride, spec.padding),
        "Linear": lambda x, w, b, spec: F.linear(x, w, b),
        "relu": F.relu,
        "MaxPool": lambda x, spec: F.pooling(x, spec.kernel, spec.stride),
        "Flatten": lambda x, spec: F.reshape(x, (len(x), -1)),
        "Dropout": lambda x, spec: F.dropout(x, spec.p),
    }
    parameters = [dezero.Parameter(array) for array in functional.parameters(job.network)]
    x, labels = images(job)
    x = np.ascontiguousarray(x)
    optimizer = dezero.optimizers.MomentumSGD(LEARNING_RATE, MOMENTUM)

    def forward(train: bool) -> dezero.Variable:
        return functional.logits(job.network, functions, parameters, dezero.as_variable(x), train)

    def logits() -> np.ndarray:
        with dezero.no_grad():
            return forward(train=False).data

    def step() -> None:
        F.softmax_cross_entropy(forward(train=True), labels).backward()
        for p in parameters:
            p.grad.data += WEIGHT_DECAY * p.data
            optimizer.update_one(p)
            p.cleargrad()

    return logits, step

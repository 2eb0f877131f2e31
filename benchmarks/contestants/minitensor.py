"""minitensor on the CPU, with the textbook kernels or the fast ones."""
from __future__ import annotations

import numpy as np

from ..job import LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, Job, Logits, Work, evaluated, images


def contestant(job: Job) -> tuple[Logits, Work]:
    """Engines "reference" and "cpu": the names of kernel sets."""
    import minitensor as mt
    from minitensor.kernels import cpu

    cpu.set_num_threads(job.threads)
    network = job.network.built(mt.Generator(0))
    x, labels = images(job)
    optimizer = mt.optim.SGD(network.parameters(), LEARNING_RATE, MOMENTUM,
                             weight_decay=WEIGHT_DECAY)

    def infer() -> np.ndarray:
        with mt.use_kernels(job.engine), mt.no_grad():
            return network(mt.Tensor(x)).data

    def step() -> None:
        with mt.use_kernels(job.engine):
            optimizer.zero_grad()
            mt.cross_entropy(network(mt.Tensor(x)), labels).backward()
            optimizer.step()

    network.train(job.mode == "train")
    work = step if job.mode == "train" else infer
    return lambda: evaluated(network, infer, job.mode), work

"""What every engine is given: a network, its weights, images, and the optimizer's numbers."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 1e-4, 0.9, 5e-4

Logits = Callable[[], np.ndarray]       # of an evaluation, (N, classes)
Work = Callable[[], Any]                # a step of training, or an inference


class Network(NamedTuple):
    """The arguments of models.build. Auxiliary heads are left out."""
    num_classes: int = 1000
    image_size: int = 227
    width: float = 1.0
    name: str = "alexnet"

    @classmethod
    def called(cls, name: str, quick: bool) -> Network:
        """As the family designs it; quick: tiny."""
        from models import FAMILY
        from models.networks.tables import smallest_image
        design = FAMILY[name]
        if quick:
            size = min(design.image_size, max(67, smallest_image(design.table)))
            return cls(10, size, 1 / 32, name)
        return cls(design.num_classes, design.image_size, 1.0, name)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return 3, self.image_size, self.image_size

    @property
    def table(self) -> dict[str, Any]:
        """The network's layers, as models/networks/tables.py walks them."""
        from models.networks.build import table_of
        return table_of(self.name, self.num_classes, self.image_size, self.width,
                        ablations=["no-heads"])

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        from models.networks.tables import walk
        return sum(place.layer.macs(place.input) for place in walk(self.table, self.input_shape))

    @property
    def activations(self) -> int:
        """Bytes that a step of training keeps of one image."""
        from models.networks.tables import activations
        return activations(self.table, self.image_size)

    def built(self, generator: Any) -> Any:
        """minitensor's network, with the weights that every engine begins with."""
        from models import build
        network = build(self.name, self.num_classes, self.image_size, self.width,
                        ablations=["no-heads"], generator=generator)
        for index, (name, parameter) in enumerate(network.named_parameters()):
            parameter.data[...] = weights(name, parameter.shape, index)
        return network


class Job(NamedTuple):
    engine: str             # a name in contestants/__init__.py or, on a GPU, in contestants/gpu.py
    mode: str               # "train", "infer"
    batch: int
    threads: int
    network: Network
    device: str = "cpu"
    precision: str = "fp32"


def images(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """-> float32 (N, 3, side, side), channels last in memory, and labels (N,)"""
    rng, side = np.random.default_rng(0), job.network.image_size
    x = rng.standard_normal((job.batch, side, side, 3), np.float32).transpose(0, 3, 1, 2)
    return x, rng.integers(0, job.network.num_classes, job.batch)


def weights(name: str, shape: tuple[int, ...], index: int) -> np.ndarray:
    """The initial values of parameter number index: He's weights (F, C, ...), small biases (F,),
    scales (F,) about 1, as BatchNorm's weights are."""
    std = (2 / np.prod(shape[1:]))**0.5 if len(shape) > 1 else 0.01
    values = np.random.default_rng(index).standard_normal(shape, np.float32) * np.float32(std)
    return values + np.float32(len(shape) == 1 and name.endswith("weight"))


def evaluated(network: Any, infer: Callable[[], np.ndarray], mode: str) -> np.ndarray:
    """What infer gives in evaluation; then network, minitensor's or PyTorch's, is as mode says."""
    network.eval()
    logits = infer()
    network.train(mode == "train")
    return logits

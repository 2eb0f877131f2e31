"""A network in training: one step at a time, and all that it takes to go on where it stopped."""
from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from minitensor import Generator, Tensor, cross_entropy, optim
from minitensor.backend import Array, to_numpy, xp_of

from ..errors import SettingError, UserError, as_user_error
from ..networks.build import build
from ..networks.heads import auxiliary_logits
from ..networks.initial import depart
from ..networks.transfer import freeze
from ..settings import Settings
from .checkpoints import OPTIMIZER, arrays_of, metadata_of, without_arrays
from .optimizers import OPTIMIZERS, SCHEDULES
from .parameter_groups import parameter_groups


# What moves in a schedule; the rest follows from the settings.
SCHEDULE_STATE = ("epoch", "best", "bad_epochs", "reductions")


class Diverged(UserError):
    """The loss or a parameter is no longer a finite number."""


@dataclass
class Counters:
    """How far training has come. Sums are over the images of the current epoch."""

    epoch: int = 0          # epochs finished
    batch: int = 0          # batches done of the epoch after those
    step: int = 0           # batches done in all
    loss_sum: float = 0.0
    right: int = 0
    seen: int = 0
    best_top1: float = -1.0
    best_epoch: int = 0
    seconds: float = 0.0

    @property
    def loss(self) -> float:
        return self.loss_sum / self.seen

    @property
    def top1(self) -> float:
        return self.right / self.seen

    def add(self, loss: float, right: int, images: int) -> None:
        """A batch more."""
        self.batch, self.step = self.batch + 1, self.step + 1
        self.loss_sum += loss * images
        self.right, self.seen = self.right + right, self.seen + images

    def next_epoch(self) -> None:
        self.epoch += 1
        self.batch, self.loss_sum, self.right, self.seen = 0, 0.0, 0, 0


class Training:
    """Network, optimizer, schedules and counters.

    classes         names of the classes, in the order of their labels
    preprocessing   what is done to an image (see preprocessing.preprocessing), for the metadata
    metadata        of its checkpoints, but for what moves; "colours" is preprocessing.colour_noise,
                    and "class_weights" what class_weights.py makes of the setting, once known
    learner         what steps run: the network, or only what follows its frozen layers, if their
                    features are at hand (see feature_cache.py)
    """

    def __init__(self, settings: Settings, classes: list[str], preprocessing: dict[str, Any]):
        self.settings, self.counters = settings, Counters()
        self.generator = Generator(settings.seed)
        with as_user_error(ValueError):
            self.network = build(settings.network, len(classes), **settings.network_config,
                                 generator=self.generator, init=settings.init)
        depart(self.network, settings.departures)
        self.network.to(settings.device)
        self.metadata = {**metadata_of(self.network, classes, preprocessing),
                         "settings": asdict(settings), "colours": {}, "class_weights": None}
        try:
            freeze(self.network, settings.freeze)
        except ValueError as error:
            raise SettingError("freeze", str(error).removeprefix("freeze")) from error
        self.names, groups = parameter_groups(self.network, settings)
        self.learner: Any = self.network
        self.optimizer = OPTIMIZERS[settings.optimizer](groups, settings)
        self.warmup = optim.LinearWarmup(self.optimizer, settings.warmup)       # by steps
        self.schedule = SCHEDULES[settings.schedule](self.optimizer, settings)  # by epochs

    @property
    def lr(self) -> float:
        """The learning rate of the next step, of the weights.

        With weights to begin with, of the old ones that learn, else of the new.
        """
        return self.optimizer.groups[0]["lr"] * self.optimizer.lr_factor

    def step(self, images: Array, labels: np.ndarray) -> tuple[float, float]:
        """Learn from a batch -> its loss, those of auxiliary heads included, and top-1 accuracy.

        images: what learner takes, (N, 3, H, W) say; labels (N,). Raises Diverged before the
        update.
        """
        with auxiliary_logits() as heads:
            logits = self.learner(Tensor(images).to(self.settings.device))
        loss = self._loss(logits, labels)
        for weight, head in heads:
            loss = loss + weight * self._loss(head, labels)
        value = loss.item()
        if not math.isfinite(value):
            c = self.counters
            raise Diverged(f"the loss became {value} in epoch {c.epoch + 1}, step {c.step + 1};"
                           " try a lower learning rate")
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.warmup.step()
        right = int((to_numpy(logits.data).argmax(axis=1) == labels).sum())
        self.counters.add(value, right, len(labels))
        return value, right / len(labels)

    def _loss(self, logits: Tensor, labels: np.ndarray) -> Tensor:
        return cross_entropy(logits, labels, self.metadata["class_weights"],
                             label_smoothing=self.settings.label_smoothing)

    def end_epoch(self, error: float | None) -> None:
        """error: of the validation images, which the plateau schedule watches; None without any."""
        if isinstance(self.schedule, optim.ReduceLROnPlateau) and error is not None:
            self.schedule.step(error)
        else:
            self.schedule.step()
        self.counters.next_epoch()

    # ---- saving and going on -------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """(arrays, metadata) for a checkpoint, not copies.

        Raises Diverged rather than let a broken network replace a good one.
        """
        network, optimizer = self.network.state_dict(), self.optimizer.state_dict()
        if not all(xp_of(array).isfinite(array).all() for array in network.values()):
            raise Diverged(f"a parameter became infinite or nan by step {self.counters.step}; "
                           "try a lower learning rate")
        kept = {f"{OPTIMIZER}{kind}.{name}": array
                for kind, arrays in optimizer.pop("state").items()
                for name, array in zip(self.names, arrays)}
        metadata = {**without_arrays(self.metadata), "progress": asdict(self.counters),
                    "generator_step": self.generator.step, "optimizer": optimizer,
                    "schedule": self.schedule.state_dict()}
        return {**network, **kept, **arrays_of(self.metadata)}, metadata

    def load_state(self, arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> None:
        """Go on from `state()`.

        Raises ValueError or KeyError when it is that of another network or optimizer.
        """
        self.network.load_state_dict({name: array for name, array in arrays.items()
                                      if not name.startswith(OPTIMIZER)})
        state = {kind: [arrays[f"{OPTIMIZER}{kind}.{name}"] for name in self.names]
                 for kind in self.optimizer.state}
        self.optimizer.load_state_dict({**metadata["optimizer"], "state": state})
        moves = {name: metadata["schedule"][name] for name in vars(self.schedule)
                 if name in SCHEDULE_STATE}
        self.schedule.load_state_dict(moves)
        self.counters = Counters(**metadata["progress"])
        if any(type(value) not in (int, type(getattr(Counters, name)))
               for name, value in vars(self.counters).items()):
            raise ValueError(f"its progress is {metadata['progress']}")
        self.warmup.load_state_dict({"done": self.counters.step})
        self.generator.step = metadata["generator_step"]
        self.metadata["colours"] = metadata.get("colours", {})
        self.metadata["class_weights"] = metadata.get("class_weights")

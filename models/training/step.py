"""A network in training: one step at a time, and all that it takes to go on where it stopped."""
from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from minitensor import Generator, Tensor, cross_entropy, optim
from minitensor.backend import Array, to_numpy, xp_of

from ..errors import UsageError, UserError, as_user_error
from ..networks.build import build
from ..networks.initial import depart
from ..networks.transfer import freeze
from ..settings import Settings
from .checkpoints import VELOCITY, arrays_of, metadata_of, without_arrays
from .parameter_groups import parameter_groups


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
    """Network, optimizer, schedule and counters.

    classes         names of the classes, in the order of their labels
    preprocessing   what is done to an image (see preprocessing.preprocessing), for the metadata
    metadata        of its checkpoints, but for what moves; "colours" is preprocessing.colour_noise,
                    once it is known
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
                         "settings": asdict(settings), "colours": {}}
        with as_user_error(ValueError, error=UsageError):
            freeze(self.network, settings.freeze)
            self.names, groups = parameter_groups(self.network, settings)
        self.learner: Any = self.network
        self.optimizer = optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)
        self.schedule = make_schedule(settings, self.optimizer)

    @property
    def warmup_factor(self) -> float:
        """What the next step's learning rate is multiplied by.

        It rises to 1 over the first steps, in which large ones would kill ReLUs.
        """
        return min(1.0, (self.counters.step + 1) / max(1, self.settings.warmup))

    @property
    def lr(self) -> float:
        """The learning rate of the next step, of the weights.

        With weights to begin with, of the old ones that learn, else of the new.
        """
        return self.optimizer.groups[0]["lr"] * self.warmup_factor

    def step(self, images: Array, labels: np.ndarray) -> tuple[float, float]:
        """Learn from a batch -> its loss and top-1 accuracy.

        images: what learner takes, (N, 3, H, W) say; labels (N,). Raises Diverged before the
        update.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # an overflow shows in the loss
            logits = self.learner(Tensor(images).to(self.settings.device))
            loss = cross_entropy(logits, labels, label_smoothing=self.settings.label_smoothing)
            value = loss.item()
            if not math.isfinite(value):
                c = self.counters
                raise Diverged(f"the loss became {value} in epoch {c.epoch + 1}, step {c.step + 1};"
                               " try a lower --lr")
            loss.backward()
            self._update()
        right = int((to_numpy(logits.data).argmax(axis=1) == labels).sum())
        self.counters.add(value, right, len(labels))
        return value, right / len(labels)

    def _update(self) -> None:
        lrs = [group["lr"] for group in self.optimizer.groups]
        for group in self.optimizer.groups:
            group["lr"] *= self.warmup_factor
        self.optimizer.step()
        self.optimizer.zero_grad()
        for group, lr in zip(self.optimizer.groups, lrs):
            group["lr"] = lr

    def end_epoch(self, error: float) -> None:
        """error: of the validation images, which the plateau schedule watches."""
        if isinstance(self.schedule, optim.ReduceLROnPlateau):
            self.schedule.step(error)
        else:
            self.schedule.step()
        self.counters.next_epoch()

    # ---- saving and going on -------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """(arrays, metadata) for a checkpoint, not copies.

        Raises Diverged rather than let a broken network replace a good one.
        """
        parameters = self.network.state_dict()
        if not all(xp_of(array).isfinite(array).all() for array in parameters.values()):
            raise Diverged(f"a parameter became infinite or nan by step {self.counters.step}; "
                           "try a lower --lr")
        optimizer = self.optimizer.state_dict()
        velocities = {VELOCITY + name: v
                      for name, v in zip(self.names, optimizer["state"]["velocity"])}
        metadata = {**without_arrays(self.metadata), "progress": asdict(self.counters),
                    "generator_step": self.generator.step, "optimizer": optimizer["groups"],
                    "schedule": self.schedule.state_dict()}
        return {**parameters, **velocities, **arrays_of(self.metadata)}, metadata

    def load_state(self, arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> None:
        """Go on from `state()`.

        Raises ValueError or KeyError when it is that of another network or optimizer.
        """
        self.network.load_state_dict({name: array for name, array in arrays.items()
                                      if not name.startswith(VELOCITY)})
        self.optimizer.load_state_dict({
            "state": {"velocity": [arrays[VELOCITY + name] for name in self.names]},
            "groups": metadata["optimizer"]})
        moves = {name: metadata["schedule"][name] for name in vars(self.schedule)
                 if name in SCHEDULE_STATE}
        self.schedule.load_state_dict(moves)
        self.counters = Counters(**metadata["progress"])
        self.generator.step = metadata["generator_step"]
        self.metadata["colours"] = metadata.get("colours", {})


# ---- schedules ---------------------------------------------------------------------------------

# What moves in a schedule; the rest follows from the settings.
SCHEDULE_STATE = ("epoch", "best", "bad_epochs", "reductions")


def make_schedule(settings: Settings, optimizer: optim.SGD) -> optim.Schedule:
    """One of the command line's names, settings.schedule."""
    epochs, gamma = settings.epochs, settings.gamma
    if settings.schedule == "step":
        return optim.StepLR(optimizer, settings.step_size or math.ceil(epochs / 3), gamma)
    if settings.schedule == "multistep":
        usual = [math.ceil(epochs / 2), math.ceil(3 * epochs / 4)]
        return optim.MultiStepLR(optimizer, settings.milestones or usual, gamma)
    if settings.schedule == "plateau":
        return optim.ReduceLROnPlateau(optimizer, gamma, settings.patience,
                                       max_reductions=settings.cuts)
    if settings.schedule == "cosine":
        return optim.CosineAnnealingLR(optimizer, epochs)
    return optim.Schedule(optimizer)

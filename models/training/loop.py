"""The loop of a training: epochs of steps, a log, checkpoints, plots, and a clean stop."""
from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from minitensor import checkpoint, uploaded
from minitensor.backend import to_numpy

from ..evaluation.plots import draw_filters, draw_run
from ..evaluation.scores import Scores, has_top5, scores_of
from ..files import write_file
from ..inputs.sources import batches, numbered_batches
from .checkpoints import OPTIMIZER
from .interruption import Interruption
from .run_folder import RunFolder
from .step import Diverged, Training
from .view import TrainingProgress

STUCK_STEPS = 100       # as many steps whose mean loss is within 1 % of ln(classes) earn a warning


class Interrupted(Exception):
    """The user asked to stop; training is between two steps."""


class Trainer:
    """Runs a training to its end, or until it is interrupted.

    loaders: of the training images and of the validation images. progress: what the user sees, of
    which nothing here depends.
    """

    def __init__(self, training: Training, loaders: tuple[Any, Any], folder: RunFolder,
                 progress: TrainingProgress):
        self.training, self.counters, self.folder = training, training.counters, folder
        self.train_loader, self.validation_loader = loaders
        self.progress = progress
        self.started = time.monotonic() - self.counters.seconds
        self.saved = time.monotonic()
        self.saved_step = self.counters.step if folder.latest.exists() else None
        self.stop = Interruption()

    def run(self) -> int:
        """Returns the exit status: 0, or 128 + the signal that stopped it."""
        images, validation = len(self.train_loader.dataset), len(self.validation_loader.dataset)
        self.progress.begin(images, validation, self._is_over())
        try:
            with self.stop, self.progress:
                while not self._is_over():
                    self._epoch()
        except Interrupted:
            self._save_latest()
            self.progress.stopped()
            return 128 + (self.stop.signal or 0)
        except Diverged as error:
            raise Diverged(f"{error}; {self._what_is_saved()}") from error
        self.progress.finished(len(self.train_loader.skipped) + len(self.validation_loader.skipped))
        return 0

    def _is_over(self) -> bool:
        settings = self.training.settings
        return (self.counters.epoch >= settings.epochs
                or self.folder.reached(settings.target_error))

    # ---- an epoch ------------------------------------------------------------------------------

    def _epoch(self) -> None:
        began, c, device = time.monotonic(), self.counters, self.training.settings.device
        self.progress.learning()
        numbered = numbered_batches(self.train_loader, self.progress.warn, c.epoch, c.batch)
        for images, (number, labels) in uploaded(
                ((images, (number, labels)) for number, images, labels in numbered), device):
            c.batch = number            # those without a readable image are passed over
            self._step(images, labels)
            self._check_interruption()
        self.progress.validating()
        validation = self._interruptible(batches(self.validation_loader, self.progress.warn))
        with np.errstate(over="ignore", invalid="ignore"):      # an overflow shows in the loss
            scores = scores_of(self.training.learner, validation, device)
        self._end_epoch(scores, time.monotonic() - began)

    def _step(self, images: Any, labels: Any) -> None:
        began, lr = time.monotonic(), self.training.lr
        loss, top1 = self.training.step(images, labels)
        c = self.counters
        self.folder.record("step", epoch=c.epoch + 1, step=c.step, loss=loss, top1=top1, lr=lr,
                           seconds=round(time.monotonic() - began, 4))
        self.progress.step(len(labels))
        self._notice_if_stuck()
        if time.monotonic() - self.saved > 60 * self.training.settings.save_minutes:
            self._save_latest()

    def _notice_if_stuck(self) -> None:
        """Once in a run: when its loss stays that of guessing."""
        losses = list(self.folder.losses)[-STUCK_STEPS:]
        classes, c = len(self.training.metadata["classes"]), self.counters
        chance = math.log(classes)
        if self.folder.warned or len(losses) < STUCK_STEPS:
            return
        if abs(sum(losses) / STUCK_STEPS - chance) <= 0.01 * chance:
            message = (f"for {STUCK_STEPS} steps the loss has been near ln({classes}) = "
                       f"{chance:.4f}, that of guessing")
            self.folder.record("warning", epoch=c.epoch + 1, step=c.step, message=message)
            self.progress.stuck(message)

    def _end_epoch(self, scores: Scores, seconds: float) -> None:
        c, epoch = self.counters, self.counters.epoch + 1
        if not math.isfinite(scores.loss):
            raise Diverged(f"the validation loss became {scores.loss} in epoch {epoch}, "
                           f"step {c.step}; try a lower learning rate")
        self.progress.epoch(scores, seconds)
        self.folder.record("epoch", epoch=epoch, step=c.step, lr=self.training.lr,
                           train_loss=c.loss, train_top1=c.top1, test_loss=scores.loss,
                           test_top1=scores.top1, test_top5=scores.top5,
                           seconds=round(seconds, 2))
        is_best = scores.top1 > c.best_top1
        if is_best:
            c.best_top1, c.best_epoch = scores.top1, epoch
        self.training.end_epoch(1 - scores.top1)
        if is_best:
            self._save_best()
        self._save_latest()
        self._draw()

    # ---- files ---------------------------------------------------------------------------------

    def _save_latest(self) -> None:
        self.counters.seconds = time.monotonic() - self.started
        checkpoint.save(self.folder.latest, *self.training.state())
        self.saved, self.saved_step = time.monotonic(), self.counters.step

    def _save_best(self) -> None:
        """For use, not for resuming: without what the optimizer keeps."""
        arrays, metadata = self.training.state()
        kept = {name: a for name, a in arrays.items() if not name.startswith(OPTIMIZER)}
        checkpoint.save(self.folder.best, kept, metadata)

    def _what_is_saved(self) -> str:
        if self.saved_step is None:
            return "no checkpoint was written yet"
        return f"{self.folder.latest} still holds step {self.saved_step}"

    def _draw(self) -> None:
        top5 = has_top5(len(self.training.metadata["classes"]))
        write_file(self.folder.curves, lambda path: draw_run(path, self.folder.epochs, top5))
        convs = (p for p in self.training.network.parameters() if p.ndim == 4)
        first = next(convs, None)
        if first is not None:
            filters = to_numpy(first.data)
            write_file(self.folder.filters, lambda path: draw_filters(path, filters))

    # ---- stopping ------------------------------------------------------------------------------

    def _check_interruption(self) -> None:
        if self.stop.signal:
            raise Interrupted

    def _interruptible(self, items: Iterable) -> Iterator:
        for item in items:
            yield item
            self._check_interruption()

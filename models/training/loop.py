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
from ..inputs.sources import Parts, batches, numbered_batches
from .checkpoints import OPTIMIZER, checkpoint_path, load_network
from .interruption import Interruption
from .run_folder import RunFolder
from .step import Diverged, Training
from .view import TrainingProgress

# Whole epochs after the warm-up, at least so many and of at least so many steps, whose losses are
# all that of guessing, earn a warning. Less than guessing is learning, however slow.
STUCK_EPOCHS, STUCK_STEPS = 2, 300
NEAR = 0.998, 1.01


class Interrupted(Exception):
    """The user asked to stop; training is between two steps."""


class Trainer:
    """Runs a training to its end, or until it is interrupted.

    loaders: of the training, validation and test images; None where there are none. progress: what
    the user sees, of which nothing here depends.
    """

    def __init__(self, training: Training, loaders: Parts, folder: RunFolder,
                 progress: TrainingProgress):
        self.training, self.counters, self.folder = training, training.counters, folder
        self.loaders, self.progress = loaders, progress
        self.started = time.monotonic() - self.counters.seconds
        self.saved = time.monotonic()
        self.saved_step = self.counters.step if folder.latest.exists() else None
        self.stop = Interruption()

    def run(self) -> int:
        """Returns the exit status: 0, or 128 + the signal that stopped it."""
        self.progress.begin(self._is_over())
        try:
            return self._run()
        except Diverged as error:
            c = self.counters
            self.folder.record("diverged", epoch=c.epoch + 1, step=c.step + 1, message=str(error))
            raise Diverged(f"{error}; {self._what_is_saved()}") from error

    def _run(self) -> int:
        try:
            with self.stop, self.progress:
                while not self._is_over():
                    self._epoch()
                self._test()
        except Interrupted:
            self._save_latest()
            self.progress.stopped()
            return 128 + (self.stop.signal or 0)
        self.progress.finished(sum(len(loader.skipped) for loader in self.loaders
                                   if loader is not None))
        return 0

    def _is_over(self) -> bool:
        settings = self.training.settings
        return (self.counters.epoch >= settings.epochs
                or self.folder.reached(settings.target_error))

    # ---- an epoch ------------------------------------------------------------------------------

    def _epoch(self) -> None:
        began, c, device = time.monotonic(), self.counters, self.training.settings.device
        self.progress.learning()
        numbered = numbered_batches(self.loaders.training, self.progress.warn, c.epoch, c.batch)
        for images, (number, labels) in uploaded(
                ((images, (number, labels)) for number, images, labels in numbered), device):
            c.batch = number            # those without a readable image are passed over
            self._step(images, labels)
            self._check_interruption()
        scores = None
        if self.loaders.validation is not None:
            self.progress.validating()
            scores = self._scores(self.training.learner, self.loaders.validation)
        self._end_epoch(scores, time.monotonic() - began)

    def _step(self, images: Any, labels: Any) -> None:
        began, lr = time.monotonic(), self.training.lr
        loss, top1 = self.training.step(images, labels)
        c = self.counters
        self.folder.record("step", epoch=c.epoch + 1, step=c.step, loss=loss, top1=top1, lr=lr,
                           seconds=round(time.monotonic() - began, 4))
        self.progress.step(len(labels))
        if time.monotonic() - self.saved > 60 * self.training.settings.save_minutes:
            self._save_latest()

    def _scores(self, network: Any, loader: Any) -> Scores:
        images = self._interruptible(batches(loader, self.progress.warn))
        return scores_of(network, images, self.training.settings.device)

    def _end_epoch(self, scores: Scores | None, seconds: float) -> None:
        """scores: of the validation images, if there are any."""
        c, epoch = self.counters, self.counters.epoch + 1
        if scores and not math.isfinite(scores.loss):
            raise Diverged(f"the validation loss became {scores.loss} in epoch {epoch}, "
                           f"step {c.step}; try a lower learning rate")
        self.progress.epoch(scores, seconds)
        validation = {"validation_loss": scores.loss, "validation_top1": scores.top1,
                      "validation_top5": scores.top5} if scores else {}
        self.folder.record("epoch", epoch=epoch, step=c.step, lr=self.training.lr,
                           train_loss=c.loss, train_top1=c.top1, **validation,
                           seconds=round(seconds, 2))
        self._notice_if_stuck()
        is_best = scores is not None and scores.top1 > c.best_top1
        if scores and is_best:
            c.best_top1, c.best_epoch = scores.top1, epoch
        self.training.end_epoch(1 - scores.top1 if scores else None)
        if is_best:
            self._save_best()
        self._save_latest()
        self._draw()

    def _notice_if_stuck(self) -> None:
        """Once in a run: when its loss stays that of guessing."""
        c, epochs = self.counters, self.folder.epochs
        began = [0, *(epoch["step"] for epoch in epochs[:-1])]
        stuck = 0
        for epoch, step in zip(reversed(epochs), reversed(began)):
            if step < self.training.settings.warmup or not self._guessed(epoch["train_loss"]):
                break
            stuck += 1
        if self.folder.warned or stuck < STUCK_EPOCHS or c.step - began[-stuck] < STUCK_STEPS:
            return
        message = (f"for {stuck} epochs the loss has been near {self._guessed(c.loss):.4f}, that "
                   f"of guessing among {len(self.training.metadata['classes'])} classes")
        self.folder.record("warning", epoch=c.epoch + 1, step=c.step, message=message)
        self.progress.stuck(message)

    def _guessed(self, loss: float) -> float:
        """The loss of guessing that loss is near, else 0.

        That is ln(classes), or, of one who knows how frequent each class is, their entropy.
        """
        counts = np.bincount(self.loaders.training.dataset.labels)
        shares = counts[counts > 0] / counts.sum()
        levels = math.log(len(self.training.metadata["classes"])), -(shares * np.log(shares)).sum()
        low, high = NEAR
        return next((float(level) for level in levels if low * level <= loss <= high * level), 0.0)

    # ---- the end -------------------------------------------------------------------------------

    def _test(self) -> None:
        """Score the network of the best epoch, of the last where nothing chose, unless it is done.

        It is the only time that the test images are looked at.
        """
        tested, step = self.folder.tested, self.counters.step
        if self.loaders.test is None or tested and tested["step"] == step:
            return
        self.progress.testing()
        network, metadata = load_network(checkpoint_path(str(self.folder.path)),
                                         self.training.settings.device)
        scores = self._scores(network, self.loaders.test)
        self.folder.record("test", epoch=metadata["progress"]["epoch"], step=step,
                           **scores._asdict())

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
            return f"no checkpoint was written yet, and {self.folder.path} can be given again"
        return (f"{self.folder.latest} still holds step {self.saved_step}, "
                f"{self.progress.way_on()}")

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

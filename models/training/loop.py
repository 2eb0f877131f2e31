"""The run of a training: epochs of steps, with a progress bar, a log, checkpoints, plots, and a clean stop."""
from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from minitensor import checkpoint, uploaded
from minitensor.backend import to_numpy

from ..evaluation import plots
from ..inputs.sources import batches
from ..networks.initial import DEPARTURES
from .interruption import Interruption
from .run_folder import RunFolder, write_file
from .checkpoints import VELOCITY
from ..evaluation.scores import Scores, scores_of, tells_top5
from ..settings import Settings
from .step import Diverged, Training

STUCK_STEPS = 100           # as many steps in a row whose mean loss is within 1 % of ln(classes) earn a warning


class Interrupted(Exception):
    """The user asked to stop; training is between two steps."""


class Trainer:
    """Runs a training to its end, or until it is interrupted; a context manager that stops the loaders' workers."""

    def __init__(self, training: Training, loaders: tuple[Any, Any], folder: RunFolder):
        self.training, self.progress, self.folder = training, training.progress, folder
        self.train_loader, self.test_loader = loaders
        self.started = time.monotonic() - self.progress.seconds
        self.saved = time.monotonic()
        self.stop = Interruption()

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, *exception) -> None:
        self.train_loader.close()
        self.test_loader.close()

    def run(self) -> int:
        pictures, epochs = len(self.train_loader.dataset), self.training.settings.epochs
        self.say(f"{len(self.training.header['classes'])} classes, {pictures:,} pictures to train on, "
                 f"{len(self.test_loader.dataset):,} held out; "
                 f"{self.training.network.name} with {self.training.network.num_parameters():,} parameters{self._what_learns()}; "
                 f"run folder: {self.folder.path}")
        if end := self._end():
            self.say(f"nothing is left to do: {end}")
        try:
            with self.stop, self._progress_bar(pictures * epochs) as self.bar:
                while not self._end():
                    self._epoch()
        except Interrupted:
            self._save_latest()
            print(f"stopped after step {self.progress.step}, in epoch {self.progress.epoch + 1}; go on with: "
                  f"python -m models train --resume {self.folder.path}", file=sys.stderr)
            return 128 + self.stop.signal
        except Diverged as error:
            raise Diverged(f"{error}; {self._what_is_saved()}") from error
        print(f"best held-out accuracy {self.progress.best_top1:.2%} (epoch {self.progress.best_epoch}), "
              f"after {_duration(self.progress.seconds)}\nrun folder: {self.folder.path}")
        return 0

    def _end(self) -> str:
        """Why there is no epoch left; "" while there is one."""
        done, settings = self.progress.epoch, self.training.settings
        if done >= settings.epochs:
            return f"this run has trained for {_epochs(done)}; --resume {self.folder.path} --epochs N goes on, with N above {done}"
        if self.folder.reached(settings.target_error):
            return f"in epoch {done} the training error reached the --target-error of {settings.target_error:g}"
        return ""

    # ---- an epoch ---------------------------------------------------------------------------------------------------------------

    def _epoch(self) -> None:
        began = time.monotonic()
        p = self.progress
        self.bar.set_description(f"epoch {p.epoch + 1}/{self.training.settings.epochs}")
        for images, labels in uploaded(batches(self.train_loader, p.epoch, p.batch, self.warn), self.training.settings.device):
            self._step(images, labels)
            self._check_interruption()
        self.bar.set_description(f"epoch {p.epoch + 1}, held out")
        held_out = self._interruptible(batches(self.test_loader, report=self.warn))
        with np.errstate(over="ignore", invalid="ignore"):          # what overflows ends in the loss, which is checked
            scores = scores_of(self.training.learner, held_out, self.training.settings.device)
        self._end_epoch(scores, time.monotonic() - began)

    def _step(self, images: Any, labels: Any) -> None:
        began = time.monotonic()
        lr = self.training.lr
        loss, top1 = self.training.step(images, labels)
        p = self.progress
        self.folder.record("step", epoch=p.epoch + 1, step=p.step, loss=loss, top1=top1, lr=lr, seconds=round(time.monotonic() - began, 4))
        self.bar.set_postfix({"loss": f"{p.loss:.4f}", "top-1": f"{p.top1:.1%}"}, refresh=False)
        self.bar.update(len(labels))
        self._warn_if_stuck()
        if time.monotonic() - self.saved > 60 * self.training.settings.save_minutes:
            self._save_latest()

    def _end_epoch(self, scores: Scores, seconds: float) -> None:
        p = self.progress
        if not math.isfinite(scores.loss):
            raise Diverged(f"the held-out loss became {scores.loss} in epoch {p.epoch + 1}, step {p.step}; try a lower --lr")
        epoch, classes = p.epoch + 1, len(self.training.header["classes"])
        self.say(f"epoch {epoch}: training loss {p.loss:.4f}, top-1 {p.top1:.2%}; held out: {scores.among(classes)} ({seconds:.0f} s)")
        self.folder.record("epoch", epoch=epoch, step=p.step, lr=self.training.lr, train_loss=p.loss, train_top1=p.top1,
                           test_loss=scores.loss, test_top1=scores.top1, test_top5=scores.top5, seconds=round(seconds, 2))
        is_best = scores.top1 > p.best_top1
        if is_best:
            p.best_top1, p.best_epoch = scores.top1, epoch
        self.training.end_epoch(1 - scores.top1)
        if is_best:
            self._save_best()
        self._save_latest()
        write_file(self.folder.curves, lambda path: plots.draw_curves(path, self.folder.epochs(), tells_top5(classes)))
        conv1 = self.training.network.state_dict()["conv1.weight"]
        write_file(self.folder.filters, lambda path: plots.draw_filters(path, to_numpy(conv1)))

    # ---- checkpoints ------------------------------------------------------------------------------------------------------------

    def _save_latest(self) -> None:
        self.progress.seconds = time.monotonic() - self.started
        checkpoint.save(self.folder.latest, *self.training.state())
        self.saved = time.monotonic()

    def _save_best(self) -> None:
        """For use, not for resuming: without the velocities."""
        arrays, info = self.training.state()
        checkpoint.save(self.folder.best, {name: a for name, a in arrays.items() if not name.startswith(VELOCITY)}, info)

    def _what_is_saved(self) -> str:
        if not self.folder.latest.exists():
            return "no checkpoint was written yet"
        _, info = checkpoint.load(self.folder.latest)
        return f"{self.folder.latest} still holds step {info['progress']['step']}"

    # ---- what the user sees and says ----------------------------------------------------------------------------------------------

    def _what_learns(self) -> str:
        learning = sum(p.numel() for p in self.training.network.parameters() if p.requires_grad)
        return "" if learning == self.training.network.num_parameters() else f", of which {learning:,} learn"

    def _progress_bar(self, pictures: int) -> Any:
        """Over all epochs, so that the time left is that of the whole run; only on a terminal."""
        from tqdm import tqdm
        done = self.progress.epoch * len(self.train_loader.dataset) + self.progress.seen
        return tqdm(total=pictures, initial=done, unit=" images", dynamic_ncols=True, disable=None)

    def say(self, line: str, file: Any = None) -> None:
        """A line on standard output, or in file, above the progress bar."""
        from tqdm import tqdm
        tqdm.write(line, file or sys.stdout)
        (file or sys.stdout).flush()

    def warn(self, line: str) -> None:
        self.say(f"warning: {line}", sys.stderr)

    def _check_interruption(self) -> None:
        if self.stop.signal:
            raise Interrupted

    def _interruptible(self, items: Iterable) -> Iterator:
        for item in items:
            yield item
            self._check_interruption()

    def _warn_if_stuck(self) -> None:
        records, classes = self.folder.records, len(self.training.header["classes"])
        losses = [r["loss"] for r in records[-2 * STUCK_STEPS:] if r["event"] == "step"][-STUCK_STEPS:]
        chance = math.log(classes)
        if len(losses) < STUCK_STEPS or abs(sum(losses) / STUCK_STEPS - chance) > 0.01 * chance:
            return
        if not any(r["event"] == "warning" for r in records):
            message = (f"for {STUCK_STEPS} steps the loss has been near ln({classes}) = {chance:.4f}, that of guessing; "
                       f"if it stays, {advice(self.training.settings)}")
            self.warn(message)
            self.folder.record("warning", epoch=self.progress.epoch + 1, step=self.progress.step, message=message)


def advice(settings: Settings) -> str:
    """What may help a training whose loss does not move."""
    if settings.init == "paper" and len(settings.departures) < len(DEPARTURES):
        return f"try --departures {' '.join(DEPARTURES)}, for the paper's own initial values are known for it, or --init he"
    return f"try another --lr than {settings.lr:g}, most often a lower one" + (", or --init he" if settings.init == "paper" else "")


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' * (count != 1)}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours} h " if hours else "") + (f"{minutes} min " if minutes or hours else "") + f"{seconds} s"

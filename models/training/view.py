"""What the user sees of a training: a bar over all its epochs, a line an epoch, advice."""
from __future__ import annotations

from shlex import quote
from typing import Any

from ..evaluation.scores import Scores, with_interval
from ..networks.initial import DEPARTURES
from ..progress import Progress
from ..settings import Settings
from .run_folder import RunFolder
from .step import Training


class TrainingProgress:
    """Told by the loop what happens; says it on a Progress. A context manager: the bar's life."""

    def __init__(self, progress: Progress, training: Training, folder: RunFolder):
        self.warn, self._say, self._bar = progress.warn, progress.say, progress.bar
        self.training, self.counters, self.folder = training, training.counters, folder
        self.classes = len(training.metadata["classes"])
        self._run = quote(str(folder.path))         # as a shell takes it

    def begin(self, is_over: bool) -> None:
        """is_over: whether no epoch is left."""
        images, network = self.training.metadata["images"], self.training.network
        learning = sum(p.numel() for p in network.parameters() if p.requires_grad)
        total = network.num_parameters()
        others = "".join(f", {images[part]:,} to {verb} on"
                         for part, verb in (("validation", "validate"), ("test", "test"))
                         if images[part])
        self._say(f"{self.classes} classes, {images['training']:,} pictures to train on{others}; "
                  f"{network.name} with {total:,} parameters"
                  + (f", of which {learning:,} learn" if learning < total else "")
                  + f"; run folder: {self.folder.path}")
        if is_over:
            self._say(f"nothing is left to do: {self._why_over()}")

    def _why_over(self) -> str:
        done, settings = self.counters.epoch, self.training.settings
        if done >= settings.epochs:
            return (f"this run has trained for {done} epoch{'s' * (done != 1)}; "
                    f"--resume {self._run} --epochs N goes on, with N above {done}")
        return (f"in epoch {done} the training error reached the --target-error "
                f"of {settings.target_error:g}")

    # ---- while it learns -----------------------------------------------------------------------

    def __enter__(self) -> None:
        """The bar is over all epochs, so that the time left is that of the whole run."""
        images = self.training.metadata["images"]["training"]
        self._opened = self._bar(images * self.training.settings.epochs, leave=True,
                                 initial=self.counters.epoch * images + self.counters.seen)
        self.bar = self._opened.__enter__()

    def __exit__(self, *exception: Any) -> None:
        self._opened.__exit__(*exception)

    def learning(self) -> None:
        epochs = self.training.settings.epochs
        self.bar.set_description(f"epoch {self.counters.epoch + 1}/{epochs}")

    def step(self, images: int) -> None:
        c = self.counters
        self.bar.set_postfix({"loss": f"{c.loss:.4f}", "top-1": f"{c.top1:.1%}"}, refresh=False)
        self.bar.update(images)

    def stuck(self, message: str) -> None:
        """message: how long the loss has been that of guessing."""
        self.warn(f"{message}; if it stays, {advice(self.training.settings)}")

    def validating(self) -> None:
        self.bar.set_description(f"epoch {self.counters.epoch + 1}, validation")

    def testing(self) -> None:
        self.bar.set_description("test")

    def epoch(self, scores: Scores | None, seconds: float) -> None:
        """scores: of the validation images, if there are any."""
        c = self.counters
        validation = f"; validation: {scores.in_words(self.classes)}" if scores else ""
        self._say(f"epoch {c.epoch + 1}: training loss {c.loss:.4f}, top-1 {c.top1:.2%}"
                  f"{validation} ({seconds:.0f} s)")

    # ---- afterwards ----------------------------------------------------------------------------

    def stopped(self) -> None:
        c = self.counters
        self._say(f"stopped after step {c.step}, in epoch {c.epoch + 1}; go on with: "
                  f"python -m models train --resume {self._run}", error=True)

    def way_on(self) -> str:
        """For a run that diverged."""
        return f"from which --resume {self._run} goes on, with --lr as low as you like"

    def finished(self, skipped: int) -> None:
        """skipped: how many images could not be read."""
        c, tested = self.counters, self.folder.tested
        if skipped:
            self.warn(f"{skipped:,} picture{'s' * (skipped > 1)} skipped")
        lines = [f"trained for {_duration(c.seconds)}"]
        if c.best_epoch:
            best = with_interval(c.best_top1, self.training.metadata["images"]["validation"])
            lines.append(f"best validation accuracy {best}, in epoch {c.best_epoch}, "
                         "which was chosen on these pictures")
        if tested:
            top1 = with_interval(tested["top1_count"] / tested["images"], tested["images"])
            lines.append(f"test accuracy {top1}, of epoch {tested['epoch']} on "
                         f"{tested['images']:,} pictures that chose nothing")
        self._say("\n".join([*lines, f"run folder: {self.folder.path}"]))

    def samples(self) -> None:
        """Where there are samples: how to classify them."""
        if self.folder.samples.exists():
            self._say("see what it says of pictures that it did not learn from: python -m models "
                      f"classify {self._run} {quote(str(self.folder.samples))}")


def advice(settings: Settings) -> str:
    """What may help a training whose loss does not move."""
    if settings.init == "paper" and len(settings.departures) < len(DEPARTURES):
        return (f"try --departures {' '.join(DEPARTURES)}, for the paper's own initial values are "
                "known for it, or --init he")
    return (f"try another --lr than {settings.lr:g}, most often a lower one"
            + (", or --init he" if settings.init == "paper" else ""))


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return ((f"{hours} h " if hours else "") + (f"{minutes} min " if minutes or hours else "")
            + f"{seconds} s")

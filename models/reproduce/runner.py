"""Runs an experiment's trainings one after the other, and tells what they show.

What is finished already is not trained again.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import write_file, write_text
from ..inputs.sources import open_data
from ..progress import Progress
from ..settings import CHANGEABLE, Settings
from ..training import start
from ..training.checkpoints import load_parameters
from ..training.run_folder import RunFolder
from .experiment import QUICK_SEEDS, Experiment, Run, Runs
from .experiments import EXPERIMENTS
from .statistics import counted


def reproduce(name: str, quick: bool, given: dict[str, Any], progress: Progress,
              seeds: int | None = None, out: str | None = None) -> int:
    """Train what is not trained yet in the folder out; say and write there the finding so far.

    After every seed. given: the settings data and epochs, and those of the computer (workers,
    device ...). Returns the exit status: 0, or that of an interrupted training.
    """
    experiment = EXPERIMENTS[name]
    folder = Path(out or f"runs/{name}{'-quick' if quick else ''}")
    seeds = seeds or (min(experiment.seeds, QUICK_SEEDS) if quick else experiment.seeds)
    runs = [run._replace(settings=_settings(run, folder, given))
            for run in experiment.runs(given["data"], quick, seeds)]
    _check_data(runs[-1].settings)
    progress.say(heading(name, experiment))
    for number, run in enumerate(runs, 1):
        progress.say(f"\n[{number}/{len(runs)}] {run.variant}, seed {run.seed}")
        status = _train(folder / run.folder, run.settings, progress)
        if status:
            progress.say("the same `reproduce` command goes on with the whole experiment",
                         error=True)
            return status
        if number % len(experiment.variants) == 0:
            progress.say("\n" + _conclude(name, experiment, runs[:number], folder, quick))
    return 0


def _settings(run: Run, folder: Path, given: dict[str, Any]) -> dict[str, Any]:
    """With what is given, and the weights' place within the experiment's folder."""
    weights = run.settings.get("weights")
    return {**run.settings, **given, **({"weights": str(folder / weights)} if weights else {})}


def _check_data(settings: dict[str, Any]) -> None:
    """Raises UserError, before anything is trained, for data without the images of a last test."""
    last = Settings(**settings)
    if last.validation != "test" and open_data(last).test is None:
        raise UserError(f"{last.data} has pictures to train on but none to test on: "
                        "give a folder with train/ and test/")


def heading(name: str, experiment: Experiment) -> str:
    return (f"{name}: {experiment.claim}\npublished: {experiment.published}\n"
            f"here: {experiment.differs}")


# ---- a training --------------------------------------------------------------------------------

def _train(path: Path, given: dict[str, Any], progress: Progress) -> int:
    """From the beginning, from where it stopped, or not at all.

    Raises UserError where path holds a training with other settings.
    """
    folder = RunFolder(path)
    if not folder.latest.exists():
        if folder.log.exists():                 # of a process killed before its first checkpoint
            with folder.alone():
                folder.log.unlink()
                folder.best.unlink(missing_ok=True)
        weights = given.get("weights")
        begin_with = start.Trained(*load_parameters(weights)) if weights else None
        return start.start(Settings(**given), progress, str(path), begin_with)
    stopped = start.stopped(str(path))
    settings = start.changed(stopped.settings, given, set(CHANGEABLE) - {"lr"})
    is_trained = (folder.read().reached(settings.target_error)
                  or stopped.epochs >= settings.epochs)
    if is_trained and (settings.validation == "test" or folder.tested):
        progress.say(f"already trained: {path}")
        return 0
    return start.resume(stopped, settings, progress)


# ---- what it shows -----------------------------------------------------------------------------

def _conclude(name: str, experiment: Experiment, runs: list[Run], folder: Path, quick: bool) -> str:
    """Writes NAME.png and NAME.json; returns the words to print."""
    by_variant: Runs = {variant: [] for variant in experiment.variants}
    for run in runs:
        by_variant[run.variant].append(folder / run.folder)
    finding = experiment.measure.finding(by_variant)
    seeds = len(runs) // len(experiment.variants)
    figure, measurements = folder / f"{name}.png", folder / f"{name}.json"
    title = f"{name}{', quick, on built-in pictures' if quick else ''}: {counted(seeds)}"
    write_file(figure, lambda file: experiment.measure.draw(file, by_variant, title))
    record = {"experiment": name, "claim": experiment.claim, "published": experiment.published,
              "here": finding.text, "departures": experiment.differs, "quick": quick,
              "seeds": seeds, "measured": finding.numbers,
              "runs": [{**run._asdict(), "epochs": RunFolder(folder / run.folder).read().epochs}
                       for run in runs]}
    write_text(measurements, json.dumps(record, indent=2) + "\n")
    mode = " (quick, on built-in pictures, which is no test of the claim)" if quick else ""
    return (f"{name}: published {experiment.published}, here {finding.text}{mode}\n"
            f"{figure}\n{measurements}")

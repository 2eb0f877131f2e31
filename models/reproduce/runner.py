"""Runs an experiment's trainings one after the other, and tells what they show; what is finished already is not trained again."""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..training.run_folder import RunFolder, write_file, write_text
from ..training.checkpoints import load_checkpoint
from ..settings import Settings, resumed_settings
from ..training.start import train
from . import EXPERIMENTS
from .experiment import BUILTIN, QUICK_SEEDS, Experiment, Run
from .logs import epochs
from .statistics import counted


def reproduce(name: str, quick: bool, seeds: int | None, out: str | None, given: dict[str, Any]) -> int:
    """Train what is not trained yet in the folder out; print, and write to out, the finding so far after every seed.

    given: the settings data and epochs, and those of the machine (workers, device ...).
    Returns the exit status: 0, or that of an interrupted training.
    """
    experiment = EXPERIMENTS[name]
    given = dict(given)
    source = _source(quick, given.pop("data", None))
    folder = Path(out or f"runs/{name}{'-quick' if quick else ''}")
    seeds = seeds or (min(experiment.seeds, QUICK_SEEDS) if quick else experiment.seeds)
    runs = [run._replace(settings={**run.settings, **given}) for run in experiment.runs(source, quick, seeds)]
    print(heading(name, experiment), flush=True)
    for number, run in enumerate(runs, 1):
        print(f"\n[{number}/{len(runs)}] {run.variant}, seed {run.seed}", flush=True)
        status = _train(folder / run.folder, run.settings)
        if status:
            print("the same `reproduce` command goes on with the whole experiment", file=sys.stderr)
            return status
        if number % len(experiment.variants) == 0:
            print("\n" + _conclude(name, experiment, runs[:number], folder, quick), flush=True)
    return 0


def _source(quick: bool, source: str | None) -> str:
    if quick and source not in (None, BUILTIN):
        raise UsageError(f"--quick draws its own pictures: leave out --data {source}, or --quick")
    if not quick and source in (None, BUILTIN):
        raise UsageError("--data is required: a folder with CIFAR-10; --quick draws pictures instead")
    return source or BUILTIN


def heading(name: str, experiment: Experiment) -> str:
    return f"{name}: {experiment.claim}\npublished: {experiment.published}\nhere: {experiment.departures}"


# ---- a training ----------------------------------------------------------------------------------------------------------------

def _train(path: Path, settings: dict[str, Any]) -> int:
    """From the beginning, from where it stopped, or not at all. Raises UserError where path holds a training with other settings."""
    folder = RunFolder(path)
    if not folder.latest.exists():
        folder.log.unlink(missing_ok=True)              # of a process that was killed before its first checkpoint
        return train({"out": str(path), **settings})
    _, info = load_checkpoint(str(folder.latest))
    if _is_finished(info["progress"]["epoch"], resumed_settings(info["settings"], settings), folder):
        print(f"already trained: {path}")
        return 0
    return train({"resume": str(path), **settings})


def _is_finished(epoch: int, settings: Settings, folder: RunFolder) -> bool:
    return epoch >= settings.epochs or (settings.target_error is not None and folder.reached(settings.target_error))


# ---- what it shows ---------------------------------------------------------------------------------------------------------------

def _conclude(name: str, experiment: Experiment, runs: list[Run], folder: Path, quick: bool) -> str:
    """Writes NAME.png and NAME.json; returns the words to print."""
    by_variant: dict[str, list[Path]] = {variant: [] for variant in experiment.variants}
    for run in runs:
        by_variant[run.variant].append(folder / run.folder)
    finding = experiment.measure.finding(by_variant)
    seeds = len(runs) // len(experiment.variants)
    picture, measurements = folder / f"{name}.png", folder / f"{name}.json"
    title = f"{name}{', quick, on built-in pictures' if quick else ''}: {counted(seeds)}"
    write_file(picture, lambda file: experiment.measure.draw(file, by_variant, title))
    record = {"experiment": name, "claim": experiment.claim, "published": experiment.published, "here": finding.text,
              "departures": experiment.departures, "quick": quick, "seeds": seeds, "measured": finding.numbers,
              "runs": [{**run._asdict(), "epochs": epochs(folder / run.folder)} for run in runs]}
    write_text(measurements, json.dumps(record, indent=2) + "\n")
    mode = " (quick, on built-in pictures, which is no test of the claim)" if quick else ""
    return f"{name}: published {experiment.published}, here {finding.text}{mode}\n{picture}\n{measurements}"

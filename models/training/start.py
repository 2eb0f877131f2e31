"""`train`: from the command line's options to a training that runs, begun anew or where a checkpoint left it."""
from __future__ import annotations

from shlex import quote
from typing import Any

from . import feature_cache as cache
from ..inputs.sources import make_loader, open_data
from ..errors import UsageError, UserError, told
from ..networks.transfer import take_over
from ..compute import machine
from ..inputs.preprocessing import colour_noise, preprocessing, test_transform, train_transform
from .run_folder import RunFolder
from .samples import write_samples
from .checkpoints import in_json, load_checkpoint, load_parameters
from ..settings import new_settings, resumed_settings
from .loop import Trainer
from .step import Training


def train(given: dict[str, Any]) -> int:
    """given: the options of the command line that were given. Returns the exit status: 0, or 128 + the signal that stopped it."""
    given = dict(given)
    out, resume, recipe = (given.pop(name, None) for name in ("out", "resume", "recipe"))
    if resume and (out or recipe):
        raise UsageError("--resume goes on in its own folder with its own settings: leave out --out and --recipe")
    return _resume(resume, given) if resume else _start(out, given, recipe)


def _start(out: str | None, given: dict[str, Any], recipe: str | None) -> int:
    arrays, info = load_parameters(given["weights"]) if "weights" in given else ({}, {})
    settings = new_settings(given, recipe, inherited={"network": info["network"], **info["config"]} if info else None)
    with machine(**settings.machine):
        pictures = open_data(settings)
        training = Training(settings, pictures[0].classes, info.get("preprocessing") or preprocessing(settings, pictures[0]))
        if settings.weights:
            with told(ValueError, what=f"{settings.weights} cannot be begun with: "):
                take_over(training.network, arrays)
        loaders = _loaders(training, pictures)
        folder = RunFolder.create(out, in_json(training.header))             # last, when nothing else can be wrong
        if settings.data == "builtin":
            write_samples(folder.samples, pictures[1])
        return _run(training, loaders, folder)


def _resume(path: str, given: dict[str, Any]) -> int:
    folder = RunFolder.reopen(path)
    arrays, info = load_checkpoint(str(folder.latest))
    cannot = f"{folder.latest} cannot be resumed: "
    with told(KeyError, TypeError, what=cannot):
        settings = resumed_settings(info["settings"], given)
        done = info["progress"]["epoch"]
    if settings.epochs < done:
        raise UsageError(f"--epochs {settings.epochs} cannot be: {path} has trained for {done} already; give a number above {done}")
    with machine(**settings.machine):
        with told(ValueError, KeyError, TypeError, what=cannot):
            training = Training(settings, info["classes"], info["preprocessing"])
            training.load_state(arrays, info)
        pictures = open_data(settings)
        if list(pictures[0].classes) != info["classes"]:
            raise UserError(f"{settings.data} no longer has the {len(info['classes'])} classes that {path} was trained on")
        loaders = _loaders(training, pictures)
        folder.rewind(training.progress.step, training.progress.epoch)
        return _run(training, loaders, folder)


def _run(training: Training, loaders: tuple[Any, Any], folder: RunFolder) -> int:
    features = cache.Cache(folder.features, training) if cache.is_possible(training) else None
    if features:
        loaders = features.loader("train", loaders[0]), features.loader("test", loaders[1])
        training.learner = features.learner
    with Trainer(training, loaders, folder) as trainer:
        status = trainer.run()
    if status == 0:
        if features:
            features.remove()
        if folder.samples.exists():
            print("see what it says of held-out pictures: "
                  f"python -m models classify {quote(str(folder.path))} {quote(str(folder.samples))}")
    return status


def _loaders(training: Training, pictures: tuple[Any, Any]) -> tuple[Any, Any]:
    settings, p = training.settings, training.header["preprocessing"]
    train_pictures, test_pictures = pictures
    if settings.pca_noise and not training.header["colours"]:           # those of a resumed run are known
        training.header["colours"] = colour_noise(settings, train_pictures)
    with told(ValueError, TypeError):
        return (make_loader(train_pictures, train_transform(settings, p, training.header["colours"]), settings, shuffle=True),
                make_loader(test_pictures, test_transform(p), settings, shuffle=False))

"""The command line as the tests of models use it: small networks, small pictures, in this process.
"""
import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from minitensor import checkpoint
from models.commands import main
from models.progress import Progress

ROOT = Path(__file__).parent.parent
TINY = ("--image-size", "67", "--width", "1/32", "--workers", "0", "--batch-size", "20")
BUILTIN = ("train", "--data", "builtin", "--pictures", "100", *TINY)


def models(*arguments):
    """Exit status of `python -m models ARGUMENTS`."""
    try:
        return main([str(a) for a in arguments])
    except SystemExit as stop:          # argparse's way
        return stop.code


def start_models(*arguments):
    """The same in a process of its own."""
    return subprocess.Popen([sys.executable, "-m", "models", *map(str, arguments)], cwd=ROOT,
                            text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def log(run):
    """The log without its timings."""
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


def complaint(capsys):
    """The one line on standard error."""
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    return lines[0]


def read_csv(path):
    """Its rows, as lists of text."""
    with open(path, newline="") as file:
        return list(csv.reader(file))


def picture_size(path):
    with Image.open(path) as picture:
        return picture.size


def make_folder(root, classes=("cat", "dog"), pictures=6, size=40):
    """Folders of noisy pictures, each class of a colour of its own."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(pictures):
            pixels = rng.integers(0, 60, (size, size + 10, 3), np.uint8)
            pixels[..., number % 3] += 150
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


class Said(Progress):
    """What a user would have read, in lines."""

    def __init__(self):
        self.lines = []

    def say(self, line, error=False):
        self.lines.append(line)


class StopAfter:
    """In place of the signal handler: Ctrl-C at the time of a training step or of an evaluation
    batch."""

    def __init__(self, checks):
        self.checks = checks

    @property
    def signal(self):
        self.checks -= 1
        return signal.SIGINT if self.checks < 0 else None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


def assert_resumes_to_the_same_bits(train, whole, stopped, checks, monkeypatch):
    """train(stopped), stopped after so many checks and resumed, leaves the log and the arrays that
    train(whole) left; returns the arrays."""
    with monkeypatch.context() as patch:
        patch.setattr("models.training.loop.Interruption", lambda: StopAfter(checks))
        assert train(stopped) == 130
    assert models("train", "--resume", stopped) == 0
    assert log(stopped) == log(whole)
    ours, theirs = (checkpoint.load(run / "latest.safetensors")[0] for run in (whole, stopped))
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    return ours

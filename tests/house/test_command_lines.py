"""Ctrl-C while a command line is still importing its modules."""
import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
START = ("import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
         "os.execv(sys.executable, sys.argv[1:])")


@pytest.mark.parametrize("package", ["benchmarks", "models", "data"])
def test_ctrl_c_during_the_imports_ends_the_program_in_silence(package, tmp_path):
    numpy = tmp_path / "numpy.py"               # Python finds it before the real one
    numpy.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    ended = subprocess.run([sys.executable, "-c", START, sys.executable, "-m", package], cwd=ROOT,
                           env={**os.environ, "PYTHONPATH": str(tmp_path)},
                           capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")   # 130 in sh


@pytest.mark.parametrize("command, words, meant", [
    ("models", ["train", "--netwrk", "alexnet"], "--network"),
    ("models", ["trian"], "train"),
    ("models", ["train", "--network", "resnet81", "--data", "builtin"], "resnet18"),
    ("models", ["classify", "--figre=a.png", "run", "x.jpg"], "--figure"),
    ("data", ["pakc", "of", "to"], "pack"),
    ("data", ["pack", "--sise", "32", "of", "to"], "--size"),
    ("benchmarks", ["cpuu"], "cpu"),
    ("benchmarks", ["cpu", "--thread", "2"], "--threads"),
    ("minitensor.gradcheck", ["--qick"], "--quick"),
    ("minitensor.gradcheck", ["--op", "conv2"], "conv2d")])
def test_a_misspelt_word_is_told_with_what_was_meant(command, words, meant, capsys):
    main = importlib.import_module(f"{command}.__main__").main
    with pytest.raises(SystemExit) as ended:
        main(words)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.count("\n") == 1
    assert f"(did you mean {meant}?)" in error

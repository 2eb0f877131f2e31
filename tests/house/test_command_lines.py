"""Ctrl-C while a command line is still importing its modules."""
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

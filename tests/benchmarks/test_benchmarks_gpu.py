"""`python -m benchmarks gpu` without a GPU.

Its tables come from made-up figures, its loops run on a stand-in for CuPy (see fake_cupy.py).
"""
import json
from types import SimpleNamespace

import numpy as np
import pytest

import emulator
import fake_cupy
from benchmarks import floors, gpu, gpu_layers, gpu_report, gpu_tables, network, timing
from benchmarks.__main__ import main
from benchmarks.cases import CASES, QUICK_CASES
from benchmarks.contestants import answers, torch
from benchmarks.errors import DeadEngine, WrongResult
from benchmarks.every_kernel import run_every_kernel
from benchmarks.job import Job, Network
from benchmarks.layers import check_case
from minitensor import kernels
from minitensor.backend import gpu_available, gpu_problem
from minitensor.kernels.cuda import launcher


@pytest.fixture
def stand_in(monkeypatch):
    """CuPy's arrays on NumPy; the textbook kernels play the part of the CUDA ones."""
    fake_cupy.install(monkeypatch)
    monkeypatch.setitem(kernels._sets, "cuda", kernels.kernel_set("reference"))
    monkeypatch.setattr(gpu_layers, "NAIVE", kernels.kernel_set("reference"))
    monkeypatch.setattr(torch, "load", lambda threads: None)
    monkeypatch.setattr(timing.OnDevice, "SPAN", 1e-6)


@pytest.mark.skipif(gpu_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_is_one_sentence(capsys, tmp_path):
    assert main(["gpu", "--json", str(tmp_path / "b.json")]) == 1
    assert capsys.readouterr() == ("", f"python -m benchmarks: {gpu_problem()}\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["cpu"], ["gpu"], ["data"], ["gpu-report", "--out", "x"]],
                         ids=lambda arguments: arguments[0])
def test_an_interrupt_is_no_traceback(monkeypatch, capsys, arguments):
    def interrupted(*_):
        raise KeyboardInterrupt
    for place in ("benchmarks.contestants.torch.load", "benchmarks.gpu.gpu_problem",
                  "benchmarks.data.measure", "benchmarks.gpu_report.main"):
        monkeypatch.setattr(place, interrupted)
    assert main(arguments) == 130 and capsys.readouterr().err == "interrupted\n"


def test_kernels_end_in_a_table_json_and_a_picture(stand_in, tmp_path, capsys):
    assert main(["gpu", "--quick", "--only", "kernels", "--json", str(tmp_path / "b.json"),
                 "--png", str(tmp_path / "b.png")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "All results match. Starting benchmarks." in printed
    results = json.loads((tmp_path / "b.json").read_text())
    assert results["machine"]["gpu"] == "stand-in" and set(results["rates"]) == {"copy", "fp32"}
    rows = [(row["layer"], row["pass"], row["precision"]) for row in results["kernels"]]
    products = [case.name for case in QUICK_CASES if case.macs]
    passes = "forward", "backward"
    assert rows == [*((case.name, one, "fp32") for case in QUICK_CASES for one in passes),
                    *((name, one, precision) for precision in ("tf32", "bf16")
                      for name in products for one in passes),
                    ("sgd", "step", "fp32"), ("adam", "step", "fp32")]
    for row in results["kernels"]:
        assert all(0 < t["fastest"] <= t["median"] <= t["slowest"] for t in row["times"].values())
        assert row["precision"] != "fp32" or row["floor"] > 0
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("precision, wrong_by", [("fp32", 1e-3), ("tf32", 1e-2), ("bf16", 0.1)])
def test_a_wrong_kernel_is_not_timed(stand_in, monkeypatch, precision, wrong_by):
    case = next(case for case in QUICK_CASES if case.kernel == "linear")
    arrays = case.arrays(np.random.default_rng(0), 2)
    linear = kernels.kernel_set("reference").linear
    tolerance = gpu_layers.TOLERANCES[precision]
    check_case(case, gpu_layers.contestants(case, arrays, None, precision), tolerance)
    wrong = SimpleNamespace(**{**vars(kernels.kernel_set("reference")),
                               "linear": lambda *a: linear(*a) * (1 + wrong_by)})
    monkeypatch.setitem(kernels._sets, "cuda", wrong)
    with pytest.raises(WrongResult, match="fc forward, cuda: off by"):
        check_case(case, gpu_layers.contestants(case, arrays, None, precision), tolerance)


@pytest.mark.parametrize("engine", ["reference", "cuda", "cuda graph"])
@pytest.mark.parametrize("mode", ["train", "infer"])
def test_an_engine_answers(stand_in, engine, mode):
    job = Job(engine, mode, 2, 1, Network(10, 67, 1 / 32), "cuda")
    ask = answers(job)
    logits = ask["logits"]()
    assert logits.shape == (2, 10) and np.isfinite(logits).all()
    assert ask["run"]() > 0 and ask["first"]() > 0 and ask["memory"]() == 0


def test_replays_train(stand_in):
    """Every run of the graph is a step: the loss falls."""
    job = Job("cuda graph", "train", 2, 1, Network(10, 67, 1 / 32), "cuda")
    ask = answers(job)
    before = ask["logits"]()
    ask["run"]()
    assert (ask["logits"]() != before).any()


def test_floors():
    case = next(case for case in CASES if case.name == "conv3")
    shapes = {"x": (128, 256, 13, 13), "w": (384, 256, 3, 3), "b": (384,),
              "dy": (128, 384, 13, 13)}
    arrays = {name: np.empty(shape, np.float32) for name, shape in shapes.items()}
    rates = {"copy": 4e12, "fp32": 50e12}
    flop = 2 * 128 * 384 * 256 * 9 * 13 * 13

    def floor(one, precision):
        return floors.layer_floor(case, one, precision, arrays, arrays["dy"], rates)

    assert floor("forward", "fp32") == pytest.approx(flop / 50e12)
    assert floor("backward", "fp32") == pytest.approx(2 * flop / 50e12)
    assert floor("forward", "bf16") is None
    rates["fp32"] = 1e20
    nbytes = 4 * (128 * (256 + 384) * 169 + 384 * 256 * 9)
    assert floor("forward", "fp32") == pytest.approx(nbytes / 4e12)
    macs, parameters = floors.size_of(Network())
    assert (sum(macs), parameters) == (1_135_256_096, 62_378_344)
    # "What an H200 allows": 844.9 GFLOP a step, 1.25 GB for the update
    step = floors.network_floor(Network(), "train", 128, "fp32", {"copy": 4.3e12, "fp32": 47e12})
    assert step == pytest.approx(844.9e9 / 47e12 + 1.25e9 / 4.3e12, rel=1e-3)


def test_the_network_table_from_made_up_figures(tmp_path):
    def times(median):
        return {"median": median, "fastest": median, "slowest": median, "runs": 3}
    row = {"network": "alexnet", "mode": "infer", "batch": 1, "precision": "bf16", "floor": 50e-6,
           "times": {"cuda": times(2e-3), "cuda graph": times(100e-6), "torch": times(800e-6),
                     "torch compiled": times(400e-6)},
           "peak_bytes": {"cuda": 500_000_000}, "first": {"cuda": 3.25}}
    line = gpu_tables.network_line(row)
    assert line.startswith("alexnet       infer      1 bf16")
    assert line.split()[-4:] == ["0.25", "0.050", "2.0", "3.2"]
    assert "500M" in line
    headers = gpu_tables.network_header().splitlines()[1]
    assert len(line) == len(headers)
    results = {"kernels": [], "network": [row], "batch": 128,
               "machine": {"torch": "2.11", "gpu": "made up"}}
    gpu_tables.write_png(tmp_path / "b.png", results)
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")


def test_engines_that_die_are_left_out(monkeypatch, capsys):
    jobs = [Job(engine, "train", 1, 1, Network(), "cuda")
            for engine in ("torch", "torch compiled", "cuda")]

    def measure(jobs, *_):
        if len(jobs) == 3:
            raise DeadEngine(jobs[1], jobs[1].engine)
        return {"times": [job.engine for job in jobs]}
    monkeypatch.setattr(network, "measure", measure)
    assert gpu._measured(jobs, 1, (1, 1), 1e-3)["times"] == ["torch", "cuda"]
    assert "left out: the process of Job(engine='torch compiled'" in capsys.readouterr().err


# ---- the report ----------------------------------------------------------------------------------

def test_a_report_goes_on_after_failures(monkeypatch, tmp_path, capsys):
    def part(name, *command, minutes=1.0, needs=""):
        return gpu_report.Part(name, minutes, f"proof of {name}", command, needs)
    python = gpu_report.PYTHON, "-c"
    monkeypatch.setattr(gpu_report, "gpu_problem", lambda: None)
    monkeypatch.setattr(gpu_report, "PARTS", (
        part("good", *python, "print('all is well')"),
        part("bad", *python, "print('alas'); raise SystemExit(3)"),
        part("slow", "sh", "-c", "echo begun; exec sleep 60", minutes=0.02),
        part("absent", *python, "", needs="no-such-program"),
        part("out", *python, "open(r'{out}/made', 'w')")))
    assert gpu_report.main(["--out", str(tmp_path)]) == 1
    text = (tmp_path / "report.md").read_text()
    for words in ("2 of 5 parts passed", "good: passed", "all is well",
                  "bad: FAILED: exit status 3", "alas", "begun",
                  "slow: FAILED: stopped after 0.02 minutes",
                  "absent: COULD NOT RUN: no-such-program is not installed", "out: passed"):
        assert words in text
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log.txt", "made", "report.md"]


@pytest.mark.skipif(gpu_available(), reason="this machine has a GPU")
def test_without_a_gpu_the_report_says_what_could_not_run(tmp_path, capsys):
    assert main(["gpu-report", "--out", str(tmp_path), "--parts", "tests", "kernels"]) == 1
    assert (tmp_path / "report.md").read_text().count(f"COULD NOT RUN: {gpu_problem()}") == 2


def test_the_report_fits_into_half_an_hour():
    assert sum(part.minutes for part in gpu_report.PARTS) <= 30
    names = {part.name for part in gpu_report.PARTS}
    assert names >= {"tests", "gradcheck", "sanitizer", "kernels", "network"}
    with pytest.raises(SystemExit):
        gpu_report.main(["--out", "x", "--parts", "everything"])


@pytest.mark.skipif(bool(emulator.problem()), reason=str(emulator.problem()))
def test_what_the_sanitizer_watches_is_every_kernel(monkeypatch):
    launched, kernel = set(), launcher._kernel

    def noted(file, name, *rest):
        launched.add(name)
        return kernel(file, name, *rest)

    with emulator.plugged_in():
        monkeypatch.setattr(launcher, "_kernel", noted)
        run_every_kernel("cpu")
        monkeypatch.undo()
    assert launched == {name for file in launcher.FOLDER.glob("*.cu")
                        for name in launcher.kernels_in(launcher.source_of(file.name))}

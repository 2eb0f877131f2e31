"""The benchmarks run, refuse wrong kernels, and write what they found."""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import cpu, engines, layers, timing, updates
from benchmarks.cases import CASES, QUICK_CASES
from benchmarks.contestants import answers
from benchmarks.contestants.torch import twin
from benchmarks.errors import WrongResult
from benchmarks.job import Job, Network
from minitensor import Generator, nn
from minitensor.kernels import KERNELS, kernel_set
from models import FAMILY

ROOT = Path(__file__).parents[2]


def run(*arguments, **environment):
    return subprocess.run([sys.executable, "-m", "benchmarks", *map(str, arguments)], cwd=ROOT,
                          capture_output=True, text=True, env={**os.environ, **environment})


@pytest.mark.slow
def test_quick_prints_a_table_and_writes_json_and_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    files = tmp_path / "b.json", tmp_path / "b.png"
    done = run("cpu", "--quick", "--threads", 2, "--json", files[0], "--png", files[1])
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    table = next(i for i, line in enumerate(printed) if line.startswith("layer"))
    assert printed.index("All results match. Starting benchmarks.") < table
    results = json.loads(files[0].read_text())
    assert results["machine"]["threads"] == 2
    assert [(row["layer"], row["pass"]) for row in results["kernels"]] == [
        *((case.name, one) for case in QUICK_CASES for one in ("forward", "backward")),
        ("sgd", "step"), ("adam", "step")]
    networks = [(row["mode"], row["batch"]) for row in results["network"]]
    assert networks == [("train", 2), ("infer", 2)]
    for row in results["kernels"] + results["network"]:
        assert all(0 < t["fastest"] <= t["median"] <= t["slowest"] for t in row["times"].values())
    peaks = [size for row in results["network"] for size in row["peak_bytes"].values()]
    assert all(10e6 < size < 10e9 for size in peaks)
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["b.json", "b.png"]


def test_data_packs_and_reads(tmp_path):
    done = run("data", "--quick", "--json", tmp_path / "d.json", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "d.json").read_text())["data"]
    assert [row["group"] for row in rows] == ["packing"] * 3 + ["reading"] * 3
    lines = done.stdout.splitlines()[1:]
    assert [row["what"] in line for row, line in zip(rows, lines, strict=True)] == [True] * 6
    assert [file.name for file in tmp_path.iterdir()] == ["d.json"]
    done = run("data", "--quick", "--data", tmp_path)
    assert done.returncode == 1
    assert "has no class folders" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("one", ("forward", "backward"))
@pytest.mark.parametrize("case", QUICK_CASES, ids=lambda case: case.name)
def test_a_kernel_wrong_by_a_thousandth_is_not_timed(monkeypatch, case, one):
    backward = one == "backward" and case.kernel != "dropout"       # which is its own backward
    name = f"{case.kernel}_backward" if backward else case.kernel
    kernel = getattr(kernel_set("cpu"), name)

    def wrong(*arguments):
        results = kernel(*arguments)
        each = results if isinstance(results, tuple) else (results,)
        scaled = [r if r is None else r * r.dtype.type(1.001) for r in each]
        return tuple(scaled) if isinstance(results, tuple) else scaled[0]

    layers.check([case], 2, None)
    monkeypatch.setattr(kernel_set("cpu"), name, wrong)
    with pytest.raises(WrongResult, match=f"{case.name} .*, cpu: off by 0.001"):
        layers.check([case], 2, None)


def test_macs_add_up_to_the_seed_network():
    assert sum(case.macs for case in CASES) == 1_135_256_096


def test_cases_name_kernels_of_the_contract():
    assert {case.kernel for case in CASES} <= set(KERNELS)


def test_alternate_takes_turns_and_stops():
    calls = []

    def contestant(name, seconds):
        return lambda: calls.append(name) or seconds

    contestants = {"slow": contestant("slow", 1.0), "fast": contestant("fast", 0.1)}
    times = timing.alternate(contestants, 0.3, (2, 10))
    assert times["slow"] == [1.0] * 2
    assert times["fast"] == [0.1] * 3 or times["fast"] == [0.1] * 4
    assert calls[:6] == ["slow", "fast"] * 3                        # the first of each warms up
    assert timing.summary([3.0, 1.0, 2.0]) == {
        "median": 2.0, "fastest": 1.0, "slowest": 3.0, "runs": 3}


def test_without_pytorch_it_says_so(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('not here')")
    done = run("cpu", "--quick", "--only", "kernels", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "PyTorch is not installed" in done.stdout and "pip install torch" in done.stdout


@pytest.mark.parametrize("arguments, message", [
    ([], "the following arguments are required: what"),
    (["data", "--only", "kernels"], "--only has no effect on `data`"),
    (["cpu", "--network", "resnet19"], "--network: invalid choice: 'resnet19'"),
    (["gpu", "--network", "resnet18"], "--network has no effect on `gpu`"),
    (["engines", "--batch", "4"], "--batch has no effect on `engines`"),
    (["data", "--threads", "77"], "--threads has no effect on `data`"),
    (["cpu", "--data", "photos"], "--data has no effect on `cpu`"),
    (["cpu", "--threads", "0"], "argument --threads: must be an integer >= 1, not '0'"),
    (["cpu", "--json", "no/such/folder/b.json"],
     "argument --json: must be a file in a folder that can be written to, "
     "not 'no/such/folder/b.json'"),
])
def test_mistakes_end_at_once(arguments, message):
    done = run(*arguments)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("name", FAMILY)
def test_both_sides_time_the_same_network(torch, name):
    """Logits of every one of the family; and a step of training runs."""
    shape = Network.called(name, quick=True)
    ours, theirs = shape.built(Generator(0)), twin(torch, shape)
    assert [p.shape for p in ours.parameters()] == [tuple(p.shape) for p in theirs.parameters()]
    drops = [layer.p for layer in theirs.modules() if isinstance(layer, torch.nn.Dropout)]
    assert drops == [layer.p for layer in ours.modules() if isinstance(layer, nn.Dropout)]
    sides = [answers(Job(engine, "train", 3, 1, shape)) for engine in ("cpu", "torch")]
    our_logits, their_logits = (side["logits"]() for side in sides)
    largest = np.abs(their_logits).max()
    np.testing.assert_allclose(our_logits, their_logits, rtol=1e-4, atol=1e-4 * largest)
    assert all(side["run"]() > 0 for side in sides)


@pytest.mark.slow
def test_a_network_of_the_family_is_timed_alone(tmp_path):
    name = "resnet20"
    done = run("cpu", "--quick", "--network", name, "--batch", 3, "--threads", 1, "--json",
               tmp_path / "b.json")
    assert done.returncode == 0, done.stderr
    assert f"Network {name}, images 32 x 32: milliseconds" in done.stdout
    results = json.loads((tmp_path / "b.json").read_text())
    assert results["kernels"] == []
    assert [(row["network"], row["mode"], row["batch"]) for row in results["network"]] == [
        (name, "train", 3), (name, "infer", 3)]
    assert all(row["peak_bytes"].keys() == row["times"].keys() for row in results["network"])


def test_a_batch_that_does_not_fit_into_memory_is_left_out(monkeypatch, capsys):
    pages = {"SC_PHYS_PAGES": 4_000_000, "SC_PAGE_SIZE": 4096}              # 16 GB
    monkeypatch.setattr(cpu.os, "sysconf", pages.get)
    assert cpu._fitting(Network.called("vgg16", quick=False)) == [1, 16]
    assert "batch 128 is left out: its training needs about 47 GB" in capsys.readouterr().out
    assert cpu._fitting(Network.called("resnet20", quick=False)) == [1, 16, 128]


@pytest.mark.parametrize("engine", ["dezero", "mygrad"])
def test_other_engines_compute_the_same_network(engine):
    if engine not in engines.installed():
        pytest.skip(f"{engine} is not installed")
    job = Job(engine, "train", 2, 1, Network(10, 67, 1 / 32))
    ours, theirs = answers(job._replace(engine="cpu")), answers(job)
    np.testing.assert_allclose(theirs["logits"](), ours["logits"](), rtol=1e-4, atol=1e-5)
    for contestant in (ours, theirs):
        assert contestant["run"]() > 0
    assert np.isfinite(theirs["logits"]()).all()


@pytest.mark.parametrize("optimizer", updates.NUMBERS)
def test_a_wrong_update_is_not_timed(monkeypatch, optimizer):
    kernel = getattr(kernel_set("cpu"), optimizer)

    def wrong(*arguments):
        kernel(*arguments)
        arguments[1][0][0] *= 1.001

    updates.check(optimizer)
    monkeypatch.setattr(kernel_set("cpu"), optimizer, wrong)
    with pytest.raises(WrongResult, match=f"{optimizer}, cpu: off by"):
        updates.check(optimizer)

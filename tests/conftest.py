"""Fixtures shared by every test: the kernel sets, the devices, PyTorch where it is installed."""
import os

# Small products gain nothing from threads. The libraries read these when they are loaded.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import hypothesis  # noqa: E402
import pytest  # noqa: E402

import emulator  # noqa: E402
import minitensor  # noqa: E402
import on_device  # noqa: E402
from minitensor.backend import gpu_problem  # noqa: E402

# Derandomised: the same examples on every run and machine.
hypothesis.settings.register_profile(
    "fixed", derandomize=True, deadline=None, database=None, print_blob=False,
    suppress_health_check=list(hypothesis.HealthCheck))
hypothesis.settings.load_profile("fixed")

EMULATED = "cuda-emulated"      # the CUDA kernels on the CPU: never the same as a pass on a GPU
ON_GPU = "cuda"                 # the CUDA kernels on a GPU
KERNEL_SETS = ("reference", "cpu", pytest.param(EMULATED, marks=pytest.mark.slow),
               pytest.param(ON_GPU, marks=pytest.mark.gpu))


@pytest.fixture(params=KERNEL_SETS)
def kernels(request):
    """Runs the test on each kernel set; the CUDA set under the emulator, and on a GPU if any."""
    if request.param == ON_GPU:
        if problem := gpu_problem():
            pytest.skip(problem)
        with on_device.plugged_in():
            yield request.param
    elif request.param != EMULATED:
        with minitensor.use_kernels(request.param):
            yield request.param
    elif problem := emulator.problem():
        pytest.skip(problem)
    else:
        with emulator.plugged_in(), minitensor.use_kernels("cuda"):
            yield request.param


@pytest.fixture(params=("cpu", pytest.param("cuda", marks=pytest.mark.gpu)))
def device(request):
    """Runs the test on the CPU, and on a GPU if any."""
    if request.param == "cuda" and (problem := gpu_problem()):
        pytest.skip(problem)
    return request.param


@pytest.fixture(scope="session")
def torch():
    return pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")


def pytest_terminal_summary(terminalreporter, config):
    """What the suites of other projects counted: how many cases pass, how many were not tried."""
    from suites.suite import summary
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    for line in summary(reports, config.getoption("verbose") > 0):
        terminalreporter.write_line(line)

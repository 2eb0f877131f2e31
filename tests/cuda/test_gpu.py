"""What only a GPU can prove, beside the tests of ops and of devices that run there too:
`pytest -m gpu`."""
import numpy as np
import pytest

import minitensor as mt
from minitensor import Generator, Tensor, nn, optim
from minitensor.backend import cupy, gpu_problem
from minitensor.gradcheck.__main__ import main as gradcheck
from minitensor.kernels import use_precision
from models import build
from models_cli import BUILTIN, complaint, log, models

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def gpu():
    if problem := gpu_problem():
        pytest.skip(problem)


@pytest.mark.parametrize("kernels", ["reference", "cuda"])
def test_every_gradient_on_the_device_in_float64(kernels):
    assert gradcheck(["--device", "cuda", "--kernels", kernels, "--quick"]) == 0


# ---- training ------------------------------------------------------------------------------------

def losses(network, device, steps, batch=16, precision="fp32", dropout=0.5):
    generator = Generator(0)
    network = build(network, 10, 67, 1 / 4, dropout, generator=generator, init="he").to(device)
    optimizer = optim.SGD(network.parameters(), lr=0.001, momentum=0.9, weight_decay=5e-4)
    rng = np.random.default_rng(0)
    result = []
    with use_precision(precision):
        for _ in range(steps):
            images = rng.standard_normal((batch, 67, 67, 3), np.float32).transpose(0, 3, 1, 2)
            optimizer.zero_grad()
            loss = mt.cross_entropy(network(Tensor(images).to(device)), rng.integers(0, 10, batch))
            loss.backward()
            optimizer.step()
            result.append(loss.item())
    return np.array(result)


@pytest.mark.parametrize("network", ["alexnet", "alexnet-paper"])
def test_twenty_steps_lose_what_they_lose_on_the_cpu(network):
    np.testing.assert_allclose(losses(network, "cuda", 20), losses(network, "cpu", 20), rtol=1e-4)


@pytest.mark.parametrize("precision, tolerance", [("tf32", 0.01), ("bf16", 0.05)])
def test_other_precisions_begin_where_fp32_does(precision, tolerance):
    exact, rough = losses("alexnet", "cuda", 5), losses("alexnet", "cuda", 5, precision=precision)
    np.testing.assert_allclose(rough, exact, rtol=tolerance)
    assert (rough != exact).any(), "the products were not rounded"


def test_the_same_run_twice_is_the_same_to_the_last_bit():
    first, second = (losses("alexnet-paper", "cuda", 5) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_thousand_steps_leak_nothing():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, activation="relu", generator=Generator(0)),
                            nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(generator=Generator(1)),
                            nn.Linear(72, 5, generator=Generator(2))).to("cuda")
    optimizer = optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    images, labels = Tensor(np.zeros((4, 3, 8, 8), np.float32)).to("cuda"), [0, 1, 2, 3]
    pool, used = cupy().get_default_memory_pool(), []
    for _ in range(1000):
        optimizer.zero_grad()
        mt.cross_entropy(network(images), labels).backward()
        optimizer.step()
        used.append((pool.used_bytes(), pool.total_bytes()))
    assert used[-1] == used[20]


# ---- memory --------------------------------------------------------------------------------------

@pytest.fixture
def little_memory():
    pool = cupy().get_default_memory_pool()
    pool.free_all_blocks()
    pool.set_limit(size=pool.used_bytes() + 2**24)
    yield
    pool.set_limit(size=0)


def test_out_of_memory_names_the_sizes(little_memory, capsys, tmp_path):
    with pytest.raises(MemoryError, match=r"allocating 400,000,\d+ bytes"):
        Tensor(np.zeros(100_000_000, np.float32)).to("cuda")
    assert models("train", "--data", "builtin", "--pictures", 20, "--workers", 0,
                  "--device", "cuda", "--out", tmp_path / "run") == 1
    message = complaint(capsys)
    assert "not enough memory (Out of memory allocating" in message
    assert "a smaller --width" in message


# ---- overlap and graphs --------------------------------------------------------------------------

def test_uploads_beside_long_kernels_bring_every_batch_whole():
    """Each batch is one number; a slow product keeps the GPU busy while the next batch travels."""
    busy = cupy().ones((4096, 4096), np.float32)
    sums, batches = [], ((np.full((64, 3, 227, 227), i, np.float32), i) for i in range(12))
    for images, number in mt.uploaded(batches, "cuda"):
        for _ in range(5):
            busy = busy @ busy * np.float32(1 / 4096)
        sums.append((images.min() + busy.sum() * 0, images.max(), number))
    for smallest, largest, number in sums:
        assert smallest.item() == largest.item() == number


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_a_graph_of_alexnet_computes_what_its_kernels_compute(precision):
    network = build("alexnet-paper", 10, 67, 1 / 4, generator=Generator(0)).eval().to("cuda")
    batches = [Tensor(np.random.default_rng(i).standard_normal((2, 3, 67, 67), np.float32))
               .to("cuda") for i in range(4)]
    with mt.no_grad(), use_precision(precision):
        expected = [network(x).numpy() for x in batches]
        graph = mt.capture(network, Tensor(batches[0].data.copy()))
        # These take whatever memory the capture gave back.
        garbage = [cupy().full((1000, 1000), np.nan, np.float32) for _ in range(20)]
        for x, y in zip(batches, expected):             # in fp32 cuBLAS rounds otherwise than we do
            np.testing.assert_allclose(graph(x).numpy(), y, rtol=1e-3, atol=1e-4)
    del garbage


def test_a_captured_step_trains_as_a_step_does():
    def run(captured):
        generator = Generator(0)
        network = build("alexnet", 10, 67, 1 / 4, generator=generator, init="he").to("cuda")
        generator.to("cuda")
        optimizer = optim.SGD(network.parameters(), lr=0.005, momentum=0.9)
        graph, result = None, []

        def step(images, labels):
            optimizer.zero_grad()
            loss = mt.cross_entropy(network(images), labels)
            loss.backward()
            optimizer.step()
            return loss
        for i in range(10):
            rng = np.random.default_rng(i)
            images, labels = rng.standard_normal((8, 3, 67, 67), np.float32), rng.integers(0, 10, 8)
            inputs = [Tensor(a).to("cuda") for a in (images, labels)]
            optimizer.groups[0]["lr"] = 0.005 / (1 + i)
            if captured and i:
                optimizer.send_lrs()
            if captured and i and graph is None:
                graph = mt.capture(step, *inputs)
                result.append(graph.first.item())
            else:
                result.append((graph or step)(*inputs).item())
        return result
    assert run(True) == pytest.approx(run(False), rel=1e-5)


# ---- the command line ----------------------------------------------------------------------------

def test_a_run_goes_on_from_one_device_to_the_other(tmp_path):
    for name, first, then in (("there", "cpu", "cuda"), ("back", "cuda", "cpu")):
        assert models(*BUILTIN, "--out", tmp_path / name, "--epochs", 1, "--device", first) == 0
        assert models("train", "--resume", tmp_path / name, "--epochs", 2, "--device", then) == 0
    there, back = ([r["loss"] for r in log(tmp_path / name) if r["event"] == "step"]
                   for name in ("there", "back"))
    assert there == pytest.approx(back, rel=1e-3)

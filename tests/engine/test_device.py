"""The engine with arrays on "cuda": on a stand-in that obeys CuPy's rules (see fake_cupy.py), and
on a GPU."""
import numpy as np
import pytest

import fake_cupy
import minitensor as mt
import on_device
from comparing import LAYOUTS, laid_out, run
from minitensor import Generator, Tensor, nn, optim
from minitensor.backend import device_of, gpu_problem, to_device, to_numpy
from minitensor.kernels import kernel_set


@pytest.fixture(autouse=True, params=("stand-in", pytest.param("gpu", marks=pytest.mark.gpu)))
def close(request, monkeypatch):
    """Asserts that arrays are equal on the stand-in, close on a GPU, which rounds differently."""
    if request.param == "gpu":
        if problem := gpu_problem():
            pytest.skip(problem)
        yield lambda actual, expected: np.testing.assert_allclose(
            to_numpy(actual), to_numpy(expected), rtol=1e-4, atol=1e-5)
    else:
        fake_cupy.install(monkeypatch)
        with mt.use_kernels("reference"):
            yield lambda actual, expected: np.testing.assert_array_equal(
                to_numpy(actual), to_numpy(expected))


def cuda(array, **options):
    return Tensor(to_device(np.asarray(array), "cuda"), **options)


# ---- from here to there --------------------------------------------------------------------------

@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 1, 2, 2), (4,), (), (0, 3, 2, 2)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_moving_keeps_values_and_the_order_in_memory(shape, layout):
    if len(shape) != 4 and layout != "contiguous":
        pytest.skip("these layouts are of images")
    array = laid_out(np.random.default_rng(0).standard_normal(shape), layout)
    there = to_device(array, "cuda")
    assert device_of(there) == "cuda" and to_device(there, "cuda") is there
    back = to_numpy(there)
    np.testing.assert_array_equal(back, array)
    if layout in ("contiguous", "channels last"):
        assert there.strides == back.strides == array.strides


def test_a_tensor_is_on_one_device():
    x = cuda([1.0, 2.0])
    assert x.device == "cuda" and x.to("cpu").device == "cpu"
    with pytest.raises(RuntimeError, match="one tensor is on 'cuda', another on 'cpu'"):
        x + x.to("cpu")


def small_network(dropout=0.5):
    generator = Generator(0)
    return nn.Sequential(
        conv=nn.Conv2d(3, 4, 3, padding=1, activation="relu", generator=generator),
        pool=nn.MaxPool2d(3, 2), norm=nn.LocalResponseNorm(3), flatten=nn.Flatten(),
        drop=nn.Dropout(dropout, generator=generator), fc=nn.Linear(36, 5, generator=generator))


def batches(count, seed=0):
    rng = np.random.default_rng(seed)

    def images():
        return laid_out(rng.standard_normal((4, 3, 7, 7)).astype(np.float32), "channels last")
    return [(images(), rng.integers(0, 5, 4)) for _ in range(count)]


def learn(network, optimizer, images, labels, max_norm=None):
    optimizer.zero_grad()
    loss = mt.cross_entropy(network(images), labels)
    loss.backward()
    if max_norm:
        optim.clip_grad_norm_(network.parameters(), max_norm)
    optimizer.step()
    return loss


def trained(device, steps=3):
    network = small_network().to(device)
    optimizer = optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    losses = [learn(network, optimizer, Tensor(images).to(device), labels).item()
              for images, labels in batches(steps)]
    return losses, network, optimizer


def test_training_is_the_same_on_both_devices(close):
    (losses, network, _), (expected, reference, _) = trained("cuda"), trained("cpu")
    close(np.array(losses), np.array(expected))
    assert len(set(losses)) == 3
    for array, other in zip(network.state_dict().values(), reference.state_dict().values()):
        assert device_of(array) == "cuda"
        close(array, other)


@pytest.mark.parametrize("there, back", [("cpu", "cuda"), ("cuda", "cpu")])
def test_velocities_follow_their_parameters(close, there, back):
    _, network, optimizer = trained(there)
    _, reference, its_optimizer = trained("cpu")
    network.to(back)
    for n, o, device in ((network, optimizer, back), (reference, its_optimizer, "cpu")):
        learn(n, o, Tensor(batches(1, seed=1)[0][0]).to(device), [0, 1, 2, 3])
    velocities, its_velocities = optimizer.state["velocity"], its_optimizer.state["velocity"]
    for w, v, other in zip(network.parameters(), velocities, its_velocities):
        assert type(v) is type(w.data) and v.strides == w.data.strides
        close(v, other)


@pytest.mark.parametrize("there, back", [("cpu", "cuda"), ("cuda", "cpu")])
def test_states_are_loaded_across_devices(there, back):
    _, network, optimizer = trained(there)
    _, other, its_optimizer = trained(back, 1)
    other.load_state_dict(network.state_dict())
    its_optimizer.load_state_dict(optimizer.state_dict())
    for w, its_w in zip(network.parameters(), other.parameters()):
        np.testing.assert_array_equal(to_numpy(w.data), to_numpy(its_w.data))
    for v, its_v in zip(optimizer.state["velocity"], its_optimizer.state["velocity"]):
        np.testing.assert_array_equal(to_numpy(v), to_numpy(its_v))


OPTIMIZERS = {
    "sgd": lambda parameters: optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=1e-3),
    "adam": lambda parameters: optim.Adam(parameters, 0.1, weight_decay=1e-3),
    "adamw": lambda parameters: optim.AdamW(parameters, 0.1),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_group_may_be_on_two_devices(close, make):
    def run(devices):
        parameters = [nn.Parameter(to_device(np.arange(1.0, 4.0), device)) for device in devices]
        optimizer = make(parameters)
        for _ in range(3):
            for parameter in parameters:
                parameter.grad = parameter.data * 2
            optim.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
        return parameters
    for mixed, alone in zip(run(["cpu", "cuda", "cpu"]), run(["cpu"] * 3)):
        close(mixed.data, alone.data)


def test_labels_are_checked_on_either_device():
    logits = cuda(np.zeros((2, 3), np.float32))
    for labels in ([0, 3], to_device(np.array([0, 3]), "cuda")):
        with pytest.raises(ValueError, match=r"target must be in \[0, 3\), but there is 3 at 1"):
            mt.cross_entropy(logits, labels)


@pytest.mark.parametrize("change", [
    lambda w: optim.SGD([w], lr=0.1).step(),
    lambda w: sequential(w).load_state_dict({"w": np.zeros(2, np.float32)})])
def test_the_engine_changes_nothing_that_backward_still_needs(change):
    w = nn.Parameter(to_device(np.ones(2, np.float32), "cuda"))
    w.grad = w.data.copy()
    y = (w * w).sum()
    with pytest.raises(RuntimeError, match="still needed by a backward pass"):
        change(w)
    y.backward()
    change(w)


def sequential(w):
    module = nn.Module()
    module.w = w
    return module


# ---- uploads -------------------------------------------------------------------------------------

@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_uploaded_batches_are_the_batches(device, count):
    given = batches(count)
    given = given[:-1] + [(images[:3], labels[:3]) for images, labels in given[-1:]]
    seen = 0
    for (images, labels), (expected, its_labels) in zip(mt.uploaded(iter(given), device), given):
        np.testing.assert_array_equal(to_numpy(images), expected)
        assert images.strides == expected.strides and labels is its_labels
        seen += 1
    assert seen == count


def test_an_error_of_the_loader_reaches_the_loop():
    def broken():
        yield from batches(2)
        raise OSError("no such picture")
    seen = []
    with pytest.raises(OSError, match="no such picture"):
        for images, labels in mt.uploaded(broken(), "cuda"):
            seen.append(labels)
    assert len(seen) == 2       # every batch before it was used


# ---- graphs --------------------------------------------------------------------------------------

def test_captured_inference_answers_for_new_inputs(close):
    network = small_network().eval().to("cuda")
    with mt.no_grad():
        graph = mt.capture(network, cuda(batches(1)[0][0]))
        for images, _ in batches(3, seed=1):
            close(graph(cuda(images)).data, network(cuda(images)).data)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_captured_training_is_training(make):
    """The learning rate warms up and falls, Adam counts, every replay draws another mask."""
    def run(captured):
        network = small_network().to("cuda")
        generator = network.drop.generator.to("cuda")
        optimizer = make(network.parameters())
        warmup = optim.LinearWarmup(optimizer, 3)
        graph, losses = None, []
        for step, (images, labels) in enumerate(batches(5)):
            optimizer.groups[0]["lr"] = 0.1 / (1 + step)
            inputs = cuda(images), cuda(labels)
            if captured and step:
                optimizer.send_lrs()
                if graph is None:
                    graph = mt.capture(lambda x, y: learn(network, optimizer, x, y, 0.5), *inputs)
                    losses.append(graph.first.item())
                else:
                    losses.append(graph(*inputs).item())
            else:
                losses.append(learn(network, optimizer, *inputs, 0.5).item())
            warmup.step()
        steps = generator.step, *optimizer.state_dict().get("step", [5])
        return losses, steps, [p.numpy() for p in network.parameters()]

    (losses, steps, weights), (expected, its_steps, its_weights) = run(True), run(False)
    assert losses == pytest.approx(expected, rel=1e-6) and steps == its_steps
    assert set(steps[1:]) == {5}
    for a, b in zip(weights, its_weights):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_a_captured_adam_counts_the_steps_of_those_that_learn():
    def run(captured):
        moving, resting = (nn.Parameter(to_device(np.ones(2), "cuda")) for _ in range(2))
        adam = optim.Adam([moving, resting], 0.1)
        gradients = [cuda(np.array([1.0, -2.0]) * k) for k in (1, 2, 3, 4)]

        def learn(gradient):
            moving.grad = gradient.data
            adam.step()
        if captured:
            adam.send_lrs()
            graph = mt.capture(learn, gradients[0])
            for gradient in gradients[1:]:
                graph(gradient)
        else:
            for gradient in gradients:
                learn(gradient)
        return moving.numpy(), adam.state_dict()["step"]

    (w, steps), (expected, its_steps) = run(True), run(False)
    assert steps == its_steps == [4, 0]
    np.testing.assert_allclose(w, expected, rtol=1e-12)


@pytest.mark.parametrize("function, reason", [
    (lambda x: x * x.sum().item(), "cannot be recorded as a CUDA graph"),
    (lambda x: mt.dropout(x, generator=Generator(0)), r"call generator.to\('cuda'\) first"),
    (lambda x: optim.SGD([nn.Parameter(x.data)], lr=0.1).step(),
     r"call send_lrs\(\) before capturing")])
def test_what_cannot_be_captured_is_refused_and_leaves_the_stream_usable(function, reason):
    with pytest.raises(RuntimeError, match=reason):
        mt.capture(function, cuda([1.0]))
    assert mt.capture(lambda x: x * 2, cuda([1.0]))(cuda([4.0])).item() == 8


def test_ctrl_c_while_recording_leaves_the_stream_usable():
    runs = []

    def interrupted_when_recorded(x):
        runs.append(x)
        if len(runs) == 2:
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        mt.capture(interrupted_when_recorded, cuda([1.0]))
    assert mt.capture(lambda x: x * 2, cuda([1.0]))(cuda([4.0])).item() == 8


def test_a_graph_is_for_one_shape_on_the_gpu():
    with pytest.raises(ValueError, match=r"inputs must be on 'cuda', but one \(1,\) is on 'cpu'"):
        mt.capture(lambda x: x, Tensor([1.0]))
    graph = mt.capture(lambda x: x * 2, cuda(np.ones(2, np.float32)))
    with pytest.raises(ValueError, match=r"recorded for float32 \(2,\), not for float32 \(3,\)"):
        graph(cuda(np.ones(3, np.float32)))


def test_the_tests_of_kernels_reach_a_device(close, monkeypatch):
    """The fixture `kernels` on a GPU (see on_device.py): arrays with gaps, and updates in place."""
    rng = np.random.default_rng(0)
    for layout in LAYOUTS:
        x, w = (laid_out(rng.standard_normal(shape), layout)
                for shape in ((2, 3, 6, 5), (4, 3, 3, 3)))
        expected = run(lambda x, w: mt.max_pool2d(mt.conv2d(x, w), 2), x, w)
        calls = count_calls(monkeypatch, "conv2d")
        with on_device.plugged_in("reference"):
            y, gradients, _ = run(lambda x, w: mt.max_pool2d(mt.conv2d(x, w), 2), x, w)
        assert calls == ["cuda"] and isinstance(y, np.ndarray)
        for actual, wanted in zip((y, *gradients), (expected[0], *expected[1])):
            close(actual, wanted)
    parameters = [nn.Parameter(np.ones(3)) for _ in range(2)]
    for device, parameter in zip(("cpu", "cuda"), parameters):
        parameter.grad = np.arange(3.0)
        kernels = on_device.plugged_in if device == "cuda" else mt.use_kernels
        with kernels("reference"):
            optim.SGD([parameter], lr=0.1, momentum=0.9).step()
    close(parameters[1].data, parameters[0].data)


def count_calls(monkeypatch, name):
    """The devices of every later call of the reference kernel called name."""
    calls, kernel = [], getattr(kernel_set("reference"), name)

    def counted(x, *rest):
        calls.append(device_of(x))
        return kernel(x, *rest)
    monkeypatch.setattr(kernel_set("reference"), name, counted)
    return calls


def test_a_gradient_travels_back_to_where_its_tensor_is(close):
    for here, there in (("cpu", "cuda"), ("cuda", "cpu")):
        x = Tensor(to_device(np.array([1.0, 2.0]), here), requires_grad=True)
        (x.to(there) * 3).backward([1.0, 2.0])
        assert device_of(x.grad) == here
        close(x.grad, np.array([3.0, 6.0]))

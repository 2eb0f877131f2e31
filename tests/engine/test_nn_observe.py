"""nn.observe: what named layers give and get, without any effect on the result."""
import gc
import threading
import weakref

import numpy as np
import pytest

from minitensor import Generator, Tensor, cross_entropy, nn, no_grad

LABELS = np.array([1, 0])


def network():
    g = Generator(3)
    return nn.Sequential(
        conv1=nn.Conv2d(3, 4, 3, padding=1, activation="relu", generator=g),
        branches=nn.Concat(a=nn.Conv2d(4, 2, 1, generator=g),
                           b=nn.Sequential(nn.Conv2d(4, 3, 3, padding=1, generator=g), nn.ReLU())),
        block=nn.Residual(nn.Sequential(nn.Conv2d(5, 5, 3, padding=1, generator=g))),
        pool=nn.MaxPool2d(2), flatten=nn.Flatten(), drop=nn.Dropout(generator=g),
        fc=nn.Linear(20, 3, generator=g))


def images():
    return Tensor(np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32))


def everything_of(network, observed):
    """Bits of the loss and of all gradients of one step."""
    with nn.observe(network, observed) as seen:
        loss = cross_entropy(network(images()), LABELS)
        loss.backward()
    return [loss.data.tobytes(), *(p.grad.tobytes() for p in network.parameters())], seen


def test_outputs_and_gradients_of_named_layers():
    net = network()
    with nn.observe(net, ["conv1", "fc", "branches.b.1"]) as seen:
        logits = net(images())
        assert seen.gradients == {"conv1": None, "fc": None, "branches.b.1": None}
        cross_entropy(logits, LABELS).backward()
    np.testing.assert_array_equal(seen.outputs["fc"].data, logits.data)
    probabilities = np.exp(logits.data) / np.exp(logits.data).sum(1, keepdims=True)
    probabilities[[0, 1], LABELS] -= 1
    np.testing.assert_allclose(seen.gradients["fc"], probabilities / 2, atol=1e-6)
    np.testing.assert_allclose(seen.gradients["fc"].sum(0), net.fc.bias.grad, atol=1e-6)
    assert seen.outputs["conv1"].shape == seen.gradients["conv1"].shape == (2, 4, 4, 4)
    assert seen.outputs["branches.b.1"].shape == (2, 3, 4, 4)
    behind_relu = (seen.gradients["conv1"] * (seen.outputs["conv1"].data > 0)).sum((0, 2, 3))
    np.testing.assert_allclose(behind_relu, net.conv1.bias.grad, rtol=1e-4, atol=1e-6)


def test_observing_changes_no_bit():
    names = [name for name, _ in network().named_modules()]
    plain, _ = everything_of(network(), [])
    observed, seen = everything_of(network(), names)
    assert observed == plain and set(seen.outputs) == set(names)
    assert all(seen.gradients[name].shape == seen.outputs[name].shape for name in names)
    after, _ = everything_of(network(), [])
    assert after == plain


def test_a_layer_of_a_residual_shows_its_own_output():
    net = network()
    with nn.observe(net, ["branches", "block", "block.0"]) as seen:
        net(images())
    x = seen.outputs["branches"]
    own = net.get_submodule("block.0")(x).data
    np.testing.assert_allclose(seen.outputs["block.0"].data, own, rtol=1e-6)
    total = own + x.data
    np.testing.assert_allclose(seen.outputs["block"].data, np.maximum(total, 0), atol=1e-6)


def test_a_module_that_returns_no_tensor_cannot_be_observed():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x
    net = nn.Sequential(pair=Pair())
    with nn.observe(net, "pair"):
        with pytest.raises(TypeError, match="observe: pair returns no Tensor, but a tuple"):
            net(images())


def test_without_recording_there_are_outputs_alone():
    net = network().eval()
    with no_grad(), nn.observe(net, "drop") as seen:
        y = net(images())
    assert seen.outputs["drop"].shape == (2, 20) and not y.requires_grad
    assert seen.gradients == {"drop": None}


def test_the_latest_call_counts():
    layer = nn.Linear(3, 3, generator=Generator(0), dtype=np.float64)
    x = Tensor(np.eye(3))
    with nn.observe(nn.Sequential(a=layer, b=layer), ["a", "b"]) as seen:
        y = layer(layer(x))
        np.testing.assert_array_equal(seen.outputs["a"].data, y.data)
        y.backward(np.full((3, 3), 2.0))
        assert (seen.gradients["a"] == 2).all() and (seen.gradients["b"] == 2).all()
        layer(x)
        assert seen.gradients["a"] is None


def test_gradients_may_be_changed():
    layer, dy = nn.Linear(3, 3, generator=Generator(0)), np.ones((2, 3), np.float32)
    with nn.observe(layer, "") as seen:
        layer(Tensor(np.ones((2, 3), np.float32))).backward(dy)
    seen.gradients[""][...] = 7
    assert (dy == 1).all() and (layer.bias.grad == 2).all()


def test_backward_may_come_after_the_block():
    net = network()
    with nn.observe(net, ["fc"]) as seen:
        loss = cross_entropy(net(images()), LABELS)
    loss.backward()
    assert seen.gradients["fc"].shape == (2, 3)


def test_nothing_keeps_the_graph_after_the_block():
    net = network()
    with nn.observe(net, ["conv1", "fc"]) as seen:
        graph = weakref.ref(net(images()).creator)
    gc.collect()
    assert graph() is None and seen.outputs["conv1"].creator is None
    net.conv1.weight.data[...] = 0           # nothing guards the weights either


def test_nothing_is_seen_after_an_error_or_the_block():
    net = network()
    with pytest.raises(ZeroDivisionError), nn.observe(net, ["fc"]) as seen:
        raise ZeroDivisionError
    net(images())
    assert seen.outputs == {}


def test_two_threads_observe_their_own_networks():
    networks, results = [network(), network()], [None, None]
    networks[1].fc.weight.data[...] *= 2
    inside = threading.Barrier(2)

    def work(i):
        with nn.observe(networks[i], ["fc"]) as seen:
            inside.wait(60)
            y = networks[i](images())
            networks[i](images()).sum().backward()
            inside.wait(60)
        results[i] = y.shape, seen

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, (_, seen) in enumerate(results):
        twin = network()
        twin.fc.weight.data[...] *= i + 1
        with nn.observe(twin, ["fc"]) as expected:
            twin(images())
            twin(images())
        np.testing.assert_array_equal(seen.outputs["fc"].data, expected.outputs["fc"].data)


def test_observations_nest():
    net = network()
    with nn.observe(net, ["fc"]) as outer, nn.observe(net, ["fc", "conv1"]) as inner:
        net(images()).sum().backward()
    np.testing.assert_array_equal(outer.outputs["fc"].data, inner.outputs["fc"].data)
    np.testing.assert_array_equal(outer.gradients["fc"], inner.gradients["fc"])
    assert set(outer.outputs) == {"fc"}


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="Sequential has no module 'conv9'; it has: conv1, "):
        with nn.observe(network(), ["conv9"]):
            pass

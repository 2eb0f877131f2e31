"""Containers, and what modules hold: shared ones, hidden ones, buffers, kinds, initial values."""
import collections
import copy
from collections import OrderedDict

import numpy as np
import pytest

import minitensor as mt
from comparing import assert_close
from minitensor import Generator, Tensor, nn


def linear(inputs=4, outputs=4, seed=3, **options):
    return nn.Linear(inputs, outputs, generator=Generator(seed), dtype=np.float64, **options)


def conv(inputs=3, outputs=3, seed=3, stride=1, **options):
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, generator=Generator(seed),
                     dtype=np.float64, **options)


def normal(*shape, seed=0):
    return Tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)


class RunningMean(nn.Module):
    """x minus the running mean of its channels, and how often it ran."""

    def __init__(self, channels):
        self.mean = nn.Buffer(np.zeros(channels))
        self.count = nn.Buffer(np.array(0))
        self.scale = nn.Parameter(np.ones(channels), "scale")

    def forward(self, x):
        if self.training:
            self.mean.data[...] = 0.5 * self.mean.data + 0.5 * x.data.mean(axis=0)
            self.count.data[...] += 1
        return (x - self.mean.data.copy()) * self.scale

    def reset_parameters(self, generator):
        self.mean.data[...], self.count.data[...], self.scale.data[...] = 0, 0, 1


# ---- Sequential and ModuleList ---------------------------------------------------------------

def test_sequential_is_indexed_and_measured():
    layers = [linear(), nn.ReLU(), nn.Tanh()]
    network = nn.Sequential(fc=layers[0], relu=layers[1], tanh=layers[2])
    assert len(network) == 3 and network[0] is layers[0] and network[-1] is layers[2]
    with pytest.raises(IndexError):
        network[3]


def test_a_slice_is_a_sequential_of_the_same_modules_in_the_same_mode():
    network = nn.Sequential(nn.ReLU(), linear(), nn.Tanh()).eval()
    part = network[1:]
    assert type(part) is nn.Sequential and [*part] == [network[1], network[2]] and not part.training
    assert [name for name, _ in part.named_children()] == ["1", "2"]
    x = normal(2, 4)
    np.testing.assert_array_equal(network[1:](network[:1](x)).data, network(x).data)
    assert network[:0](x) is x and len(network[5:]) == 0


def test_a_slice_of_named_layers_keeps_the_names():
    network = nn.Sequential(fc=linear(), relu=nn.ReLU())
    assert [name for name, _ in network[:1].named_parameters()] == ["fc.weight", "fc.bias"]


def test_a_module_list():
    modules = nn.ModuleList([linear(seed=1), nn.ReLU()])
    modules.append(linear(seed=2))
    assert len(modules) == 3 and modules[-1] is [*modules][2]
    assert [name for name, _ in modules.named_parameters()] == [
        "0.weight", "0.bias", "2.weight", "2.bias"]
    with pytest.raises(NotImplementedError, match="ModuleList defines no forward"):
        modules(normal(2, 4))
    with pytest.raises(TypeError, match="ModuleList: 3 must be a Module, not list"):
        modules.append([nn.ReLU()])


def test_sequential_takes_a_dict_of_names():
    layers = {"fc": linear(), "relu": nn.ReLU()}
    for network in (nn.Sequential(OrderedDict(layers)), nn.Sequential(layers)):
        assert dict(network.named_children()) == layers
    with pytest.raises(TypeError, match="Sequential: fc must be a Module, not int"):
        nn.Sequential({"fc": 1})


def test_a_module_dict():
    modules = nn.ModuleDict({"fc": linear(seed=1)})
    modules["relu"] = nn.ReLU()
    modules["fc"] = other = linear(seed=2)
    assert [*modules] == modules.keys() == ["fc", "relu"] and len(modules) == 2
    assert modules["fc"] is other and "fc" in modules and "fc2" not in modules
    assert modules.values() == [other, modules["relu"]] == [m for _, m in modules.items()]
    assert [name for name, _ in modules.named_parameters()] == ["fc.weight", "fc.bias"]
    with pytest.raises(KeyError, match="fc2"):
        modules["fc2"]
    with pytest.raises(ValueError, match="ModuleDict: 'keys' is taken"):
        modules["keys"] = linear()
    with pytest.raises(TypeError, match="ModuleDict: fc must be a Module, not list"):
        modules["fc"] = [linear()]


def test_a_name_that_a_method_has_is_refused():
    with pytest.raises(ValueError, match="Sequential: 'train' is taken"):
        nn.Sequential(train=nn.ReLU())


# ---- branches --------------------------------------------------------------------------------

def last_layers():
    return {
        "conv": nn.Sequential(conv(activation="relu"), conv(seed=4)),
        "one layer": conv(seed=4),
        "nested": nn.Sequential(nn.Sequential(nn.ReLU(), conv(seed=4))),
        "activated": nn.Sequential(conv(seed=4, activation="tanh")),
        "no product": nn.Sequential(conv(seed=4), nn.Tanh()),
        "empty": nn.Sequential(),
    }


@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("body", last_layers())
def test_residual_is_the_sum_then_the_activation(body, shortcut, activation):
    body, shortcut = last_layers()[body], conv(seed=9) if shortcut else None
    x, y = normal(2, 3, 5, 4), normal(2, 3, 5, 4)
    actual = nn.Residual(body, shortcut, activation)(x)
    expected = body(y) + (shortcut(y) if shortcut else y)
    expected = getattr(mt, activation)(expected) if activation else expected
    dy = normal(2, 3, 5, 4, seed=1).data
    actual.backward(dy)
    actual_gradients = [x.grad, *(p.grad for p in body.parameters())]
    body.zero_grad()
    expected.backward(dy)
    assert_close(actual.data, expected.data, 1e-12)
    for one, other in zip(actual_gradients, [y.grad, *(p.grad for p in body.parameters())]):
        assert_close(one, other, 1e-12)


@pytest.mark.parametrize("body", [nn.MaxPool2d(2), conv(stride=2)])
def test_a_residual_does_not_broadcast(body):
    with pytest.raises(ValueError, match=r"\(2, 3, 2, 1\)|\(2, 3, 2, 2\)"):
        nn.Residual(body)(normal(2, 3, 4, 2))


def test_residual_of_rows():
    x, layer = normal(5, 4), linear()
    assert_close(nn.Residual(layer)(x).data, np.maximum(layer(x).data + x.data, 0), 1e-12)


def test_concat_joins_the_channels_of_its_branches():
    x, a, b = normal(2, 3, 5, 4), conv(outputs=2), nn.Sequential(conv(seed=4), nn.ReLU())
    y = nn.Concat(a=a, b=b)(x)
    np.testing.assert_array_equal(y.data, np.concatenate([a(x).data, b(x).data], axis=1))
    names = [name for name, _ in nn.Concat(a=a, b=b).named_parameters()]
    assert names == ["a.weight", "a.bias", "b.0.weight", "b.0.bias"]


@pytest.mark.parametrize("make, error, message", [
    (lambda: nn.Residual(None), TypeError, "Residual: body must be a Module, not NoneType"),
    (lambda: nn.Residual(nn.ReLU(), 3), TypeError, "Residual: shortcut must be a Module, not int"),
    (lambda: nn.Residual(nn.ReLU(), activation="swish"), ValueError,
     "Residual: activation .*swish"),
    (lambda: nn.Concat(), ValueError, "Concat: expected at least one branch"),
    (lambda: nn.Concat(a=1), TypeError, "Concat: a must be a Module, not int"),
])
def test_bad_branches_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ---- names, sharing, hiding ------------------------------------------------------------------

def test_get_submodule():
    inner = nn.Sequential(fc=linear(), relu=nn.ReLU())
    network = nn.Sequential(**{"layer1.0": inner, "layer1": nn.Sequential(linear())})
    assert network.get_submodule("") is network
    assert network.get_submodule("layer1.0") is inner
    assert network.get_submodule("layer1.0.relu") is inner.relu
    assert network.get_submodule("layer1") is vars(network)["layer1"]
    with pytest.raises(ValueError, match="Sequential has no module 'fc'; it has: layer1.0, "):
        network.get_submodule("fc")


def test_a_shared_module_is_counted_once_under_its_first_name():
    shared = nn.Sequential(linear(), RunningMean(4))
    network = nn.Sequential(a=shared, b=nn.Sequential(shared), c=shared[0])
    assert [name for name, _ in network.named_modules()] == ["", "a", "a.0", "a.1", "b"]
    assert list(network.state_dict()) == ["a.0.weight", "a.0.bias", "a.1.scale", "a.1.mean",
                                          "a.1.count"]
    assert network.num_parameters() == 4 * 4 + 4 + 4
    assert network.get_submodule("b.0.1") is shared[1]


def test_a_shared_parameter_stays_shared_in_a_copy():
    first, second = linear(), linear(seed=4)
    second.weight = first.weight
    twin = copy.deepcopy(nn.Sequential(first, second))
    assert twin[0].weight is twin[1].weight is not first.weight
    assert [name for name, _ in twin.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert twin[0].bias.kind == "bias"


@pytest.mark.parametrize("hidden", [
    lambda: [nn.ReLU()], lambda: (1, nn.ReLU()), lambda: {"a": nn.ReLU()}, lambda: {nn.ReLU()},
    lambda: [{"a": (nn.ReLU(),)}], lambda: [nn.Parameter(np.ones(2))],
    lambda: {"a": [nn.Buffer(np.ones(2))]}, lambda: collections.deque([nn.ReLU()]),
    lambda: frozenset([nn.ReLU()]), lambda: [collections.OrderedDict(a=nn.ReLU())],
])
def test_modules_in_plain_containers_are_refused_at_once(hidden):
    module = nn.Module()
    with pytest.raises(TypeError, match="Module: layers is a .* use nn.ModuleList"):
        module.layers = hidden()
    assert not hasattr(module, "layers")


def test_modules_put_into_a_list_later_are_refused_when_they_are_looked_for():
    module = nn.Module()
    module.layers = []
    module.layers.append(nn.ReLU())
    with pytest.raises(TypeError, match="Module: layers is a list of modules"):
        list(module.parameters())


@pytest.mark.parametrize("hiding", [
    np.ones((4, 3)), Tensor(np.ones((4, 3))), nn.Buffer(np.ones((4, 3))), [1.0], nn.ReLU()])
def test_a_parameter_is_not_hidden_by_what_would_not_learn(torch, hiding):
    """`layer.weight = array` would leave the layer a constant, which no optimizer sees."""
    layer = nn.Linear(3, 4)
    with pytest.raises(TypeError, match="Linear: weight is a Parameter, which a .* would hide"):
        layer.weight = hiding
    with pytest.raises(TypeError, match="cannot assign"):
        torch.nn.Linear(3, 4).weight = torch.ones(4, 3)
    layer.weight, layer.bias = nn.Parameter(np.ones((4, 3))), None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    network = nn.Sequential(fc=layer)
    with pytest.raises(TypeError, match="Sequential: fc is a Module, which a NoneType|function"):
        network.fc = len
    network.fc = nn.ReLU()


def test_other_lists_are_nobodys_business():
    module = nn.Module()
    module.sizes, module.config = [1, (2, "a")], {"a": np.ones(2), "b": Tensor([1.0])}
    assert list(module.named_parameters()) == []


# ---- buffers ---------------------------------------------------------------------------------

def trained():
    network = nn.Sequential(fc=linear(), norm=RunningMean(4))
    network(normal(3, 4))
    return network


def test_buffers_are_state_but_not_parameters():
    network = trained()
    assert [name for name, _ in network.named_buffers()] == ["norm.mean", "norm.count"]
    assert [name for name, _ in network.named_parameters()] == [
        "fc.weight", "fc.bias", "norm.scale"]
    assert network.norm.count.data == 1 and network.norm.mean.data.any()
    assert not any(buffer.requires_grad for buffer in network.buffers())


def test_buffers_are_saved_loaded_and_copied():
    network, other = trained(), nn.Sequential(fc=linear(seed=5), norm=RunningMean(4))
    other.load_state_dict(network.state_dict())
    twin = copy.deepcopy(network)
    network(normal(3, 4, seed=1))
    for loaded in (other, twin):
        assert loaded.norm.count.data == 1
        assert not np.array_equal(loaded.norm.mean.data, network.norm.mean.data)
    with pytest.raises(ValueError, match="norm.count is missing"):
        other.load_state_dict({k: v for k, v in network.state_dict().items() if "count" not in k})


def test_a_fraction_is_not_loaded_into_an_integer_buffer():
    network = trained()
    state = {**network.state_dict(), "norm.count": np.array(1.5)}
    with pytest.raises(ValueError, match="norm.count is float64 but must be int64"):
        network.load_state_dict(state)


def test_to_converts_buffers_but_integer_ones():
    network = trained().to(dtype=np.float32)
    assert network.norm.mean.dtype == np.float32 and network.norm.count.dtype.kind == "i"


# ---- kinds and initial values ----------------------------------------------------------------

def test_kinds():
    assert {name: p.kind for name, p in trained().named_parameters()} == {
        "fc.weight": "weight", "fc.bias": "bias", "norm.scale": "scale"}
    assert conv().bias.kind == "bias" and nn.Parameter(np.ones(2)).kind == "weight"
    with pytest.raises(ValueError, match="Parameter: kind must be one of .*, not 'beta'"):
        nn.Parameter(np.ones(2), "beta")


def test_initial_values_go_by_kind_whatever_the_name():
    class Odd(nn.Module):
        def __init__(self):
            self.bias = nn.Parameter(np.zeros((50, 50)))
            self.weight = nn.Parameter(np.ones(3), "bias")
            self.unbias = nn.Parameter(np.zeros(3), "scale")

    odd = Odd()
    nn.init.he(odd, Generator(0))
    assert odd.bias.data.std() == pytest.approx(np.sqrt(2 / 50), rel=0.1)
    assert not odd.weight.data.any() and (odd.unbias.data == 1).all()
    nn.init.normal(odd, 0.01, Generator(0))
    assert odd.bias.data.std() == pytest.approx(0.01, rel=0.1)
    assert not odd.weight.data.any() and (odd.unbias.data == 1).all()


def test_reset_draws_what_construction_drew():
    def network(generator):
        return nn.Sequential(conv=nn.Conv2d(3, 4, 3, generator=generator),
                             norm=RunningMean(4),
                             block=nn.Residual(nn.Linear(4, 4, generator=generator)),
                             fc=nn.Linear(4, 2, generator=generator))
    fresh, used = network(Generator(7)), network(Generator(8))
    for tensor in (*used.parameters(), *used.buffers()):
        tensor.data[...] += 1
    used.reset(Generator(7))
    for name, array in fresh.state_dict().items():
        np.testing.assert_array_equal(used.state_dict()[name], array, name)
    layer = linear(seed=1)
    layer.reset(Generator(2))
    np.testing.assert_array_equal(layer.weight.data, linear(seed=2).weight.data)

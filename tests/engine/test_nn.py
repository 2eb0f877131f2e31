"""Modules: what they hold, their modes, their state, their printing; layers against the ops;
initial values."""
import numpy as np
import pytest

import minitensor as mt
from minitensor import Generator, Tensor, nn
from minitensor.nn.init import he, normal


def generator():
    return Generator(3)


def small_network():
    return nn.Sequential(
        conv1=nn.Conv2d(3, 4, 3, generator=generator()), relu=nn.ReLU(), pool=nn.MaxPool2d(2),
        flatten=nn.Flatten(), drop=nn.Dropout(generator=generator()),
        fc=nn.Linear(16, 5, generator=generator()))


def image(*shape):
    values = np.random.default_rng(0).standard_normal(shape or (2, 3, 6, 6))
    return Tensor(values.astype(np.float32))


# ---- what a module holds ---------------------------------------------------------------------

def test_parameters_come_in_the_order_of_assignment():
    class Two(nn.Module):
        def __init__(self):
            self.z = nn.Linear(2, 3, generator=generator())
            self.scale = nn.Parameter(np.ones(1))
            self.a = nn.Sequential(nn.Linear(3, 1, bias=False, generator=generator()), nn.Tanh())

    names = [name for name, _ in Two().named_parameters()]
    assert names == ["scale", "z.weight", "z.bias", "a.0.weight"]       # its own come first
    assert Two().num_parameters() == 2 * 3 + 3 + 1 + 3
    assert [name for name, _ in Two().named_modules()] == ["", "z", "a", "a.0", "a.1"]


def test_a_shared_parameter_counts_once():
    layer = nn.Linear(2, 2, generator=generator())
    network = nn.Sequential(a=layer, b=nn.ReLU(), c=layer)
    assert [name for name, _ in network.named_parameters()] == ["a.weight", "a.bias"]


def test_children_modules_and_apply_go_in_pytorchs_order():
    inner = nn.Sequential(nn.Tanh(), nn.Identity())
    network = nn.Sequential(inner, nn.ReLU())
    assert [*network.children()] == [inner, network[1]]
    assert [*network.modules()] == [network, inner, *inner, network[1]]
    seen = []
    assert network.apply(seen.append) is network
    assert seen == [*inner, inner, network[1], network]


def test_requires_grad_reaches_every_parameter():
    network = small_network()
    assert network.requires_grad_(False) is network
    assert not network(image()).requires_grad
    network.requires_grad_()
    assert network(image()).requires_grad


def test_identity_and_log_softmax():
    x = image(3, 4)
    assert nn.Identity()(x) is x
    np.testing.assert_array_equal(nn.LogSoftmax(0)(x).data, mt.log_softmax(x, 0).data)
    assert repr(nn.LogSoftmax()) == "LogSoftmax(dim=-1)"


def test_train_and_eval_reach_every_module():
    network = nn.Sequential(nn.Sequential(nn.Dropout(generator=generator())))
    assert all(not m.training for _, m in network.eval().named_modules())
    assert all(m.training for _, m in network.train().named_modules())


def test_dropout_acts_in_training_only():
    network = nn.Sequential(nn.Dropout(0.5, generator=generator()))
    x = Tensor(np.ones((10, 10), np.float32))
    assert set(np.unique(network(x).data)) == {0, 2}
    assert network.eval()(x) is x


def test_a_misspelt_attribute_is_an_error():
    with pytest.raises(AttributeError):
        small_network().trainning


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Module defines no forward"):
        nn.Module()(image())


def test_zero_grad():
    network = small_network()
    network(image()).sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    network.zero_grad()
    assert all(p.grad is None for p in network.parameters())


def test_to_converts_every_parameter_in_place():
    network = small_network()
    parameters = list(network.parameters())
    network.to(dtype=np.float64)
    assert [id(p) for p in network.parameters()] == [id(p) for p in parameters]
    assert all(p.dtype == np.float64 for p in parameters)
    assert network(image().to(dtype=np.float64)).dtype == np.float64
    with pytest.raises(TypeError, match="int32"):
        network.to(dtype="int32")


# ---- state -----------------------------------------------------------------------------------

def test_a_state_loads_into_an_equal_network():
    a, b = small_network().eval(), small_network().eval()
    for p in a.parameters():
        p.data += 1
    assert not np.array_equal(a(image()).data, b(image()).data)
    b.load_state_dict({name: array.copy() for name, array in a.state_dict().items()})
    np.testing.assert_array_equal(a(image()).data, b(image()).data)


def test_a_state_may_hold_tensors_but_no_lists():
    a, b = (nn.Linear(2, 2, generator=Generator(seed)) for seed in (0, 1))
    b.load_state_dict(dict(a.named_parameters()))
    assert b.weight.data.tolist() == a.weight.data.tolist() and b.weight is not a.weight
    for state in (None, [np.ones(2)], "weights.pth"):
        with pytest.raises(TypeError, match="load_state_dict: expected a dict of arrays, not a "):
            b.load_state_dict(state)
    with pytest.raises(TypeError, match="load_state_dict: bias must be .*, not list"):
        b.load_state_dict({**a.state_dict(), "bias": [1.0, 2.0]})


def test_two_arrays_of_one_name_are_refused():
    def linear():
        return nn.Linear(2, 2, generator=Generator(0))
    network = nn.Sequential(**{"layer1.0": linear(), "layer1": nn.Sequential(linear())})
    for use in network.state_dict, lambda: network.load_state_dict({}):
        with pytest.raises(ValueError, match="two arrays are called 'layer1.0.weight'"):
            use()


def test_loading_keeps_the_dtype_and_the_order_in_memory():
    network = small_network()
    strides = network.conv1.weight.data.strides
    network.load_state_dict({name: np.ascontiguousarray(array, np.float64)
                             for name, array in network.state_dict().items()})
    weight = network.conv1.weight
    assert weight.dtype == np.float32 and weight.data.strides == strides


@pytest.mark.parametrize("change, message", [
    (lambda s: s.pop("fc.bias"), "fc.bias is missing"),
    (lambda s: s.update(fc9=np.zeros(2)), "fc9 is not a parameter or buffer of Sequential"),
    (lambda s: s.update({"fc.bias": np.zeros(7)}), r"fc.bias is \(7,\) but must be \(5,\)"),
    (lambda s: s.update({f"x{i}": np.zeros(1) for i in range(9)}), "and 5 more"),
])
def test_a_wrong_state_is_refused_and_nothing_changes(change, message):
    network = small_network()
    before = {name: array.copy() for name, array in network.state_dict().items()}
    state = {name: array + 1 for name, array in before.items()}
    change(state)
    with pytest.raises(ValueError, match=message):
        network.load_state_dict(state)
    for name, array in network.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_state_needs_not_be_complete_unless_strict():
    network = small_network()
    network.load_state_dict({"fc.bias": np.full(5, 7.0), "other": np.zeros(1)}, strict=False)
    assert (network.fc.bias.data == 7).all()


def test_a_state_with_a_pending_graph_is_refused_and_nothing_changes():
    network = small_network()
    state = {name: array + 1 for name, array in network.state_dict().items()}
    before = network.conv1.bias.data.copy()
    y = network(image())
    with pytest.raises(RuntimeError, match="conv1.weight is still needed by a backward pass"):
        network.load_state_dict(state)
    np.testing.assert_array_equal(network.conv1.bias.data, before)
    del y
    network.load_state_dict(state)


# ---- layers ----------------------------------------------------------------------------------

@pytest.mark.parametrize("layer, op", [
    (nn.ReLU(), mt.relu), (nn.Tanh(), mt.tanh), (nn.Sigmoid(), mt.sigmoid),
    (nn.Softmax(1), lambda x: mt.softmax(x, 1)),
    (nn.MaxPool2d(3, 2, 1, ceil_mode=True), lambda x: mt.max_pool2d(x, 3, 2, 1, ceil_mode=True)),
    (nn.MaxPool2d(2), lambda x: mt.max_pool2d(x, 2)),
    (nn.AvgPool2d(3, 2, 1, True, False), lambda x: mt.avg_pool2d(x, 3, 2, 1, True, False)),
    (nn.AdaptiveAvgPool2d((2, 3)), lambda x: mt.adaptive_avg_pool2d(x, (2, 3))),
    (nn.LocalResponseNorm(3, 0.1, 0.5, 2.0, "within_channel"),
     lambda x: mt.local_response_norm(x, 3, 0.1, 0.5, 2.0, "within_channel")),
    (nn.Flatten(), lambda x: mt.flatten(x, 1)),
    (nn.Dropout(0.3, generator=generator()), lambda x: mt.dropout(x, 0.3, generator=generator())),
])
def test_a_layer_is_its_op(layer, op):
    np.testing.assert_array_equal(layer(image()).data, op(image()).data)


@pytest.mark.parametrize("activation", [None, "relu", "tanh", "sigmoid"])
def test_layers_with_parameters_are_their_op_and_activation(activation):
    then = getattr(mt, activation) if activation else lambda y: y
    geometry = (2, 1), (1, 0), 1, 2
    conv = nn.Conv2d(4, 6, (3, 2), *geometry, activation=activation, generator=generator())
    x = image(2, 4, 7, 6)
    expected = then(mt.conv2d(x, conv.weight, conv.bias, *geometry))
    np.testing.assert_allclose(conv(x).data, expected.data, rtol=1e-6)
    linear = nn.Linear(6, 3, activation=activation, generator=generator())
    expected = then(mt.linear(x, linear.weight, linear.bias))
    np.testing.assert_allclose(linear(x).data, expected.data, rtol=1e-6)


def test_the_same_generator_makes_the_same_layer():
    a, b = (nn.Conv2d(3, 4, 3, generator=Generator(5)).weight.data for _ in range(2))
    np.testing.assert_array_equal(a, b)
    g = Generator(5)
    a, b = (nn.Linear(3, 4, generator=g).weight.data for _ in range(2))
    assert not np.array_equal(a, b)


@pytest.mark.parametrize("make, message", [
    (lambda: nn.Conv2d(0, 4, 3, generator=generator()),
     "Conv2d: in_channels must be an integer >= 1, not 0"),
    (lambda: nn.Conv2d(3, 4.0, 3, generator=generator()),
     "Conv2d: out_channels must be an integer >= 1, not 4.0"),
    (lambda: nn.Conv2d(3, 4, 0, generator=generator()), "Conv2d: kernel_size must be .* not 0"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2, generator=generator()),
     "groups 2 must divide in_channels 3 and out_channels 4"),
    (lambda: nn.Conv2d(3, 4, 3, activation="swish", generator=generator()),
     "activation must be one of .*'swish'"),
    (lambda: nn.Linear(3, -1, generator=generator()),
     "Linear: out_features must be an integer >= 1, not -1"),
    (lambda: nn.Dropout(1.5, generator=generator()), r"Dropout: p must be in \[0, 1\], not 1.5"),
])
def test_bad_hyperparameters_are_refused_when_a_layer_is_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_sequential_holds_modules_only():
    with pytest.raises(TypeError, match="Sequential: 1 must be a Module, not function"):
        nn.Sequential(nn.ReLU(), lambda x: x)


# ---- initial values --------------------------------------------------------------------------

def test_he():
    layer = nn.Conv2d(64, 128, 3, generator=generator())
    he(layer, generator())
    assert layer.weight.data.std() == pytest.approx(np.sqrt(2 / (64 * 9)), rel=0.02)
    assert abs(layer.weight.data.mean()) < 1e-3
    assert not layer.bias.data.any()


def test_normal():
    network = nn.Sequential(conv1=nn.Conv2d(3, 64, 11, generator=generator()),
                            conv2=nn.Conv2d(64, 64, 5, generator=generator()))
    network.conv2.bias.data[...] = 1
    normal(network, 0.01, generator())
    assert all(layer.weight.data.std() == pytest.approx(0.01, rel=0.02) for layer in network)
    assert not network.conv1.bias.data.any() and not network.conv2.bias.data.any()


def test_initial_values_do_not_depend_on_the_order_in_memory():
    a, b = np.zeros((4, 3, 5, 5), np.float32), nn.init.zeros_nhwc((4, 3, 5, 5), np.float32)
    nn.init.normal_(a, 1.0, generator())
    nn.init.normal_(b, 1.0, generator())
    np.testing.assert_array_equal(a, b)
    assert b.transpose(0, 2, 3, 1).flags.c_contiguous


# ---- printing --------------------------------------------------------------------------------

def test_repr_is_nested():
    inner = nn.Sequential(nn.Linear(2, 3, activation="relu", generator=generator()))
    assert repr(nn.Sequential(a=nn.ReLU(), b=inner)).splitlines() == [
        "Sequential(", "  a: ReLU()", "  b: Sequential(",
        "    0: Linear(2, 3, activation='relu')", "  )", ")"]


def test_repr_shows_what_is_not_the_default():
    conv = nn.Conv2d(4, 6, 3, 2, padding=1, groups=2, activation="relu", generator=generator())
    assert repr(conv) == ("Conv2d(4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), "
                          "groups=2, activation='relu')")
    assert repr(nn.AvgPool2d(3, 2, 1, count_include_pad=False)) == (
        "AvgPool2d(kernel_size=3, stride=2, padding=1, ceil_mode=False, count_include_pad=False)")


def test_repr_shows_the_hyperparameters_of_a_module_with_children():
    class Scaled(nn.Module):
        def __init__(self):
            self.inner = nn.ReLU()

        def extra_repr(self):
            return "by=2"
    assert repr(Scaled()) == "Scaled(\n  by=2\n  inner: ReLU()\n)"


def test_a_list_in_itself_is_no_module():
    module, endless = nn.ReLU(), [1]
    endless.append(endless)
    module.endless = endless
    assert module.endless is endless
    with pytest.raises(TypeError, match="more is a list of modules"):
        module.more = [endless, nn.ReLU()]


@pytest.mark.parametrize("layer, shape", [
    (nn.Conv2d(1, 1, 1, activation="relu", generator=Generator(0)), (1, 1, 2, 2)),
    (nn.Linear(2, 2, activation="relu", generator=Generator(0)), (1, 2))])
def test_a_layer_has_room_for_one_activation(layer, shape):
    with pytest.raises(ValueError, match="has its own activation 'relu', .* no room for 'tanh'"):
        layer(Tensor(np.ones(shape, np.float32)), activation="tanh")


def test_summary_shows_shapes_parameters_and_macs():
    lines = nn.summary(small_network(), (3, 6, 6)).splitlines()
    assert lines[0].startswith("Sequential, input 3 x 6 x 6")
    conv1 = next(line for line in lines if line.startswith("conv1"))
    # Parameters 4·27 + 4, MACs 4·27·16.
    assert "4 x 4 x 4" in conv1 and "112" in conv1 and f"{4 * 27 * 16:,}" in conv1
    assert lines[-1].split() == ["total", "197", "1,808"]


def test_a_linear_layer_multiplies_once_for_each_row_of_an_image():
    linear = nn.Linear(3, 5, generator=generator())
    assert [linear.macs(shape) for shape in ((2, 5), (2, 7, 5), (1, 7, 4, 5))] == [15, 105, 420]


def test_summary_changes_nothing():
    network = small_network().eval()
    network.drop.training = True
    before = [m.training for _, m in network.named_modules()]
    nn.summary(network, (3, 6, 6))
    assert [m.training for _, m in network.named_modules()] == before
    assert not any("forward" in vars(m) for _, m in network.named_modules())


def test_summary_counts_a_layer_used_twice_once_per_use():
    relu = nn.ReLU()
    network = nn.Sequential(a=relu, fc=nn.Linear(4, 4, generator=generator()), b=relu)
    lines = nn.summary(network, (4,)).splitlines()
    assert sum("ReLU()" in line for line in lines) == 2


def test_summary_without_parameters_and_with_a_parameter_of_the_container():
    assert "2 x 2 x 2" in nn.summary(nn.Sequential(nn.MaxPool2d(2)), (2, 4, 4))

    class Scaled(nn.Module):
        def __init__(self):
            self.scale, self.flatten = nn.Parameter(np.ones(1, np.float32)), nn.Flatten()

        def forward(self, x):
            return self.flatten(x) * self.scale
    assert nn.summary(Scaled(), (2, 1, 1)).splitlines()[-1].split() == ["total", "1", "0"]

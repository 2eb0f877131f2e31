"""The generator of whatever is given none."""
import copy

import numpy as np
import pytest

import minitensor as mt
from minitensor import nn
from models.networks.build import AlexNet


def draws():
    """Everything public that takes a generator, without one."""
    linear, module = nn.Linear(4, 3), nn.Sequential(fc=nn.Linear(2, 2))
    module.reset()
    array = np.zeros((3, 2))
    network = AlexNet(num_classes=3, image_size=67, width=1 / 32)
    return [
        linear.weight.data, nn.Conv2d(3, 4, 3).weight.data, mt.dropout(mt.ones(50)).data,
        nn.Dropout()(mt.ones(50)).data, mt.randn(5).data, mt.rand(5).data, module.fc.weight.data,
        nn.init.normal_(array.copy(), 1.0), nn.init.he_normal_(array.copy()),
        *(p.data for p in network.parameters())]


def test_what_is_given_no_generator_repeats_from_manual_seed():
    mt.manual_seed(7)
    first, second = draws(), draws()
    assert mt.manual_seed(7).seed == 7
    for a, b, again in zip(first, second, draws()):
        np.testing.assert_array_equal(a, again)
        assert not a.any() or (a != b).any()
    mt.manual_seed(8)
    assert (draws()[0] != first[0]).any()


def test_a_layer_made_before_manual_seed_follows_it():
    drop, x = nn.Dropout(), mt.ones(100)
    mt.manual_seed(3)
    first = drop(x).data
    mt.manual_seed(3)
    np.testing.assert_array_equal(drop(x).data, first)
    mt.manual_seed(3)
    np.testing.assert_array_equal(copy.deepcopy(drop)(x).data, first)


@pytest.mark.parametrize("generator", [0, 5, np.random.default_rng(0), "seed"])
@pytest.mark.parametrize("draw", [
    lambda g: nn.Linear(2, 2, generator=g), lambda g: nn.Conv2d(1, 1, 1, generator=g),
    lambda g: nn.Dropout(generator=g), lambda g: mt.dropout(mt.ones(2), generator=g),
    lambda g: mt.randn(2, generator=g), lambda g: mt.rand(2, generator=g),
    lambda g: nn.Linear(2, 2).reset(g)])
def test_a_seed_is_no_generator(draw, generator):
    """0, which is false, would have meant the default one."""
    with pytest.raises(TypeError, match=r"generator must be a Generator .*Generator\(seed\) makes"):
        draw(generator)


def test_an_explicit_generator_does_not_touch_the_default_one():
    generator = mt.manual_seed(1)
    nn.Linear(3, 3, generator=mt.Generator(5))
    mt.dropout(mt.ones(9), generator=mt.Generator(5))
    mt.randn(3, generator=mt.Generator(5))
    assert generator.step == 0
    mt.randn(3)
    assert generator.step == 1

"""The counter-based generator against NumPy's, and the masks drawn from it."""
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minitensor as mt
from minitensor import Generator, Tensor, use_kernels
from minitensor.kernels.philox import philox_uint32

words = st.integers(0, 2**64 - 1)


@given(words, words, st.integers(0, 50))
@settings(max_examples=200)
def test_bits_equal_numpys(seed, step, count):
    numpys = np.random.Philox(key=np.array([seed, step], np.uint64))
    expected = numpys.random_raw((count + 7) // 8 * 4)
    halves = np.stack([expected & 0xFFFFFFFF, expected >> 32], axis=1).reshape(-1)[:count]
    bits = philox_uint32(np, (seed, step), count)
    assert bits.dtype == np.uint32
    np.testing.assert_array_equal(bits, halves)


def test_published_vector():
    """Random123's known answer for Philox4x64-10, whose key and counter are all ones.

    NumPy counts on before it draws, from 2^256 - 2.
    """
    ones = 2**64 - 1
    generator = np.random.Philox(key=np.array([ones, ones], np.uint64),
                                 counter=np.array([ones - 1, ones, ones, ones], np.uint64))
    assert [hex(int(w)) for w in generator.random_raw(4)] == [
        "0x87b092c3013fe90b", "0x438c3c67be8d0224", "0x9cc7d7c69cd777b6", "0xa09caebf594f0ba0"]


def mask(key, p=0.5, shape=(7, 11)):
    return mt.dropout(Tensor(np.ones(shape, np.float32)), p, generator=Generator(*key)).data


@pytest.mark.parametrize("shape", [(1,), (1000,), (3, 4, 5, 6), (2, 96, 27, 27)])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_masks_are_the_same_on_every_kernel_set(shape, p):
    with use_kernels("reference"):
        expected = mask((5, 9), p, shape)
    with use_kernels("cpu"):
        np.testing.assert_array_equal(mask((5, 9), p, shape), expected)


def test_a_mask_depends_on_seed_and_step(kernels):
    assert np.array_equal(mask((1, 2)), mask((1, 2)))
    for key in ((1, 3), (2, 2)):
        assert not np.array_equal(mask((1, 2)), mask(key))


def test_a_mask_is_pinned(kernels):
    """Saved runs must resume to the same masks after an update of this package."""
    bits = np.random.Philox(key=np.array([1, 2], np.uint64)).random_raw(3)
    draws = [half >> 8 for word in bits.tolist() for half in (word & 0xFFFFFFFF, word >> 32)]
    assert (mask((1, 2), 0.3, (6,)) != 0).tolist() == [draw >= 0.3 * 2**24 for draw in draws]


@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_the_fraction_dropped(kernels, p):
    n = 200_000
    dropped = (mask((0, 0), p, (n,)) == 0).mean()
    assert abs(dropped - p) < 4 * np.sqrt(p * (1 - p) / n)


def test_float32_and_float64_drop_the_same(kernels):
    a, b = (mt.dropout(Tensor(np.ones(1000, dtype)), 0.4, generator=Generator(3)).data
            for dtype in (np.float32, np.float64))
    np.testing.assert_array_equal(a != 0, b != 0)


def test_a_generator_counts_its_draws():
    generator = Generator(4)
    x = Tensor(np.ones(50, np.float32))
    first, second = (mt.dropout(x, generator=generator).data for _ in range(2))
    assert generator.step == 2 and not np.array_equal(first, second)
    np.testing.assert_array_equal(mt.dropout(x, generator=Generator(4, 1)).data, second)
    assert repr(generator) == "Generator(seed=4, step=2)"

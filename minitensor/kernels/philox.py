"""Random bits as a pure function of (key, position): the counter-based generator Philox4x64-10.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). There
is no state to carry along, so a dropout mask needs no storage and is the same for any device, order
or number of threads. `numpy.random.Philox` is the same generator.
"""
from typing import Any

import numpy as np

from ..backend import Array

ROUNDS = 10
MULTIPLIERS = 0xD2E7470EE14C6C93, 0xCA5A826395121157
WEYL = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B  # what the two keys grow by each round
LOW_32 = np.uint64(0xFFFFFFFF)
MASK_64 = 2**64 - 1


def philox_uint32(xp, key: tuple[int, Any], count: int) -> Array:
    """The first count 32-bit draws under key: (count,) uint32.

    Each counter 1, 2, 3, ... (NumPy's Philox starts at 1 too) yields four 64-bit words, each word
    its low half, then its high half.
    """
    blocks = (count + 7) // 8
    counter, zeros = xp.arange(1, blocks + 1, dtype=xp.uint64), xp.zeros(blocks, dtype=xp.uint64)
    words = [counter, zeros, zeros, zeros]
    for round_ in range(ROUNDS):
        keys = [_grown(k, round_ * step & MASK_64) for k, step in zip(key, WEYL)]
        high0, low0 = _multiply(words[0], MULTIPLIERS[0])
        high1, low1 = _multiply(words[2], MULTIPLIERS[1])
        words = [high1 ^ words[1] ^ keys[0], low1, high0 ^ words[3] ^ keys[1], low0]
    word = xp.stack(words, axis=1)                                                  # (blocks, 4)
    halves = xp.stack([word & LOW_32, word >> np.uint64(32)], axis=2)               # (blocks, 4, 2)
    return halves.reshape(-1)[:count].astype(xp.uint32)


def _grown(key: Any, growth: int) -> Any:
    """key + growth modulo 2^64, of a number or of an array () of uint64."""
    if isinstance(key, int | np.integer):
        return np.uint64((int(key) + growth) & MASK_64)
    return key.reshape(1) + np.uint64(growth)


def _multiply(a: Array, multiplier: int) -> tuple[Array, Array]:
    """The high and the low 64 bits of the 128-bit product a · multiplier, by 32-bit halves."""
    m_low, m_high = np.uint64(multiplier & 0xFFFFFFFF), np.uint64(multiplier >> 32)
    shift = np.uint64(32)
    a_low, a_high = a & LOW_32, a >> shift
    middle = a_high * m_low + ((a_low * m_low) >> shift)    # (2^32 - 1)^2 + 2^32 - 1 < 2^64
    middle_2 = a_low * m_high + (middle & LOW_32)
    return a_high * m_high + (middle >> shift) + (middle_2 >> shift), a * np.uint64(multiplier)

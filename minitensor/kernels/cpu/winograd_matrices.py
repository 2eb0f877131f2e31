"""The three matrices of Winograd's convolution, by the method of Toom and Cook.

A correlation of m outputs with r filter values is, transposed, a product of two polynomials of
m and r coefficients, which has n = m + r - 1. It is found by interpolation: both are evaluated at
n - 1 points and at infinity, the values multiplied, and the polynomial through them restored.
"""
from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np

HALF = Fraction(1, 2)
# These points, in this order, lose the fewest digits.
POINTS = [Fraction(0), Fraction(1), Fraction(-1), Fraction(2), -HALF, Fraction(-2), HALF]
MOST_POINTS = len(POINTS) + 1       # a side, with infinity


class Tiling(NamedTuple):
    """F(m, r): output tiles of m x m from filters of r x r."""
    m: int
    r: int

    @property
    def n(self) -> int:
        """Points a side: of an input tile, and of its transform."""
        return self.m + self.r - 1


def matrices(t: Tiling) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bᵀ (n, n), G (n, r) and Aᵀ (m, n), in float64."""
    points = POINTS[:t.n - 1]
    others = [[q for q in points if q != p] for p in points]
    B_T = [_polynomial(roots) + [0] for roots in others] + [_polynomial(points)]
    G = [[p**k / _product(p - q for q in roots) for k in range(t.r)]
         for p, roots in zip(points, others)]
    G.append([Fraction(k == t.r - 1) for k in range(t.r)])
    A_T = [[p**i for p in points] + [Fraction(i == t.m - 1)] for i in range(t.m)]
    return np.array(B_T, np.float64), np.array(G, np.float64), np.array(A_T, np.float64)


@cache
def squares(t: Tiling, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kronecker squares of Bᵀ (n², n²), G (n², r²) and Aᵀ (m², n²): each transforms both sides."""
    B2, G2, A2 = (np.kron(matrix, matrix).astype(dtype) for matrix in matrices(t))
    return B2, G2, A2


def _product(factors: Iterable[Fraction]) -> Fraction:
    result = Fraction(1)
    for factor in factors:
        result *= factor
    return result


def _polynomial(roots: list[Fraction]) -> list[Fraction]:
    """Coefficients of the product of (x - root), the constant first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0)] + coefficients
        scaled = [root * c for c in coefficients] + [Fraction(0)]
        coefficients = [a - b for a, b in zip(shifted, scaled)]
    return coefficients

"""The fast epilogue: of a block of a product that is still in cache."""
import numpy as np

from ..epilogue import Epilogue
from . import activation as activations


def part_of(epilogue: Epilogue, filters: slice, where) -> Epilogue:
    """The epilogue of some filters; `where` they are in the residual, laid out as the product."""
    bias, residual, activation = epilogue
    return Epilogue(None if bias is None else bias[filters],
                    None if residual is None else residual[where], activation)


def finish(product: np.ndarray, epilogue: Epilogue, out: np.ndarray) -> None:
    """out = activation(product + bias + residual), all (..., F): for a block that is in cache.

    out may be the product itself.
    """
    for term in epilogue.bias, epilogue.residual:
        if term is not None:
            product = np.add(product, term, out=out)
    if epilogue.activation:
        activations.WRITE[epilogue.activation](product, out)
    elif product is not out:
        np.copyto(out, product)


def before_activation(dy: np.ndarray, y: np.ndarray | None, activation: str | None) -> np.ndarray:
    """The gradient of product + bias + residual, which is that of each of the three."""
    if activation is None:
        return dy
    return getattr(activations, f"{activation}_backward")(dy, y)

"""A table of a network: each layer's output shape, parameters and multiplications."""
from collections.abc import Sequence

import numpy as np

from ..backend import to_device
from ..recording import no_grad
from ..tensor import Tensor
from .module import Module, watching


def summary(module: Module, input_shape: tuple[int, ...], title: str = "") -> str:
    """The table as text, found by running one image of input_shape (C, H, W) through module.

    A row for each call of a layer; title defaults to the module's class.
    """
    leaves = {m: name for name, m in module.named_modules() if not any(m.named_children())}
    rows: list[tuple[str, str, str, int, int]] = []

    def watch(called: Module, y: Tensor) -> Tensor:
        if called in leaves:
            rows.append((leaves[called], repr(called), _by_x(y.shape[1:]),
                         called.num_parameters(), called.macs(y.shape)))
        return y

    like = next(module.parameters(), Tensor(np.zeros(0, np.float32)))
    image = Tensor(to_device(np.zeros((1, *input_shape), like.dtype), like.device))
    with no_grad(), module.evaluating(), watching(watch):
        module(image)
    return as_table(title or type(module).__name__, input_shape, rows, module.num_parameters())


def _by_x(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def as_table(title: str, input_shape: tuple[int, ...],
             rows: Sequence[tuple[str, str, str, int, int]], num_parameters: int) -> str:
    """rows: a layer's name, what it is, its output's shape, its parameters, its MACs."""
    header = ("name", "layer", "output", "parameters", "MACs")
    cells = [(name, layer, shape, f"{parameters:,}" if parameters else "",
              f"{macs:,}" if macs else "") for name, layer, shape, parameters, macs in rows]
    total = ("total", "", "", f"{num_parameters:,}", f"{sum(row[4] for row in rows):,}")
    widths = [max(len(row[i]) for row in (header, total, *cells)) for i in range(5)]

    def line(row):
        padded = (c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths)))
        return "  ".join(padded).rstrip()

    rule = "-" * (sum(widths) + 8)
    caption = f"{title}, input {_by_x(input_shape)}; MACs (multiply-accumulates) per image"
    return "\n".join([caption, line(header), rule, *map(line, cells), rule, line(total)])

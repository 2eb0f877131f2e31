"""A table of a network: each layer's output shape, parameters and multiplications."""
from collections.abc import Callable

import numpy as np

from ..backend import to_device
from ..tensor import Tensor, no_grad
from .module import Module


def summary(module: Module, input_shape: tuple[int, ...], title: str = "") -> str:
    """The table as text, found by running one image of input_shape (C, H, W) through module; title defaults to its class."""
    rows: list[tuple[str, str, str, int, int]] = []
    leaves = {m: name for name, m in module.named_modules() if not any(m.named_children())}
    try:
        for leaf, name in leaves.items():
            leaf.forward = _recorded(name, leaf, rows)  # type: ignore[method-assign, assignment]
        like = next(module.parameters(), Tensor(np.zeros(0, np.float32)))
        with no_grad(), module.evaluating():
            module(Tensor(to_device(np.zeros((1, *input_shape), like.dtype), like.device)))
    finally:
        for leaf in leaves:
            vars(leaf).pop("forward", None)
    return _table(title or type(module).__name__, input_shape, rows, module.num_parameters())


def _recorded(name: str, leaf: Module, rows: list) -> Callable[[Tensor], Tensor]:
    """leaf.forward, noting what came out."""
    forward = leaf.forward

    def run(x: Tensor) -> Tensor:
        y = forward(x)
        macs = leaf.macs(y.shape) if hasattr(leaf, "macs") else 0
        rows.append((name, repr(leaf), " x ".join(map(str, y.shape[1:])), leaf.num_parameters(), macs))
        return y
    return run


def _table(title: str, input_shape: tuple[int, ...], rows: list, num_parameters: int) -> str:
    cells = [(name, layer, shape, f"{parameters:,}" if parameters else "", f"{macs:,}" if macs else "")
             for name, layer, shape, parameters, macs in rows]
    header = ("name", "layer", "output", "parameters", "MACs")
    total = ("total", "", "", f"{num_parameters:,}", f"{sum(r[4] for r in rows):,}")
    widths = [max(len(row[i]) for row in (header, total, *cells)) for i in range(5)]

    def line(row):
        return "  ".join(c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip()
    rule = "-" * (sum(widths) + 8)
    caption = f"{title}, input {' x '.join(map(str, input_shape))}; MACs (multiply-accumulates) per image"
    return "\n".join([caption, line(header), rule, *(line(c) for c in cells), rule, line(total)])

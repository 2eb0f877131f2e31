"""From a layer to its gradient: how much somebody reads who wants to know what it computes."""
import inspect
from pathlib import Path

import pytest

from minitensor import Tensor, nn, ops
from minitensor.kernels import KERNELS, reference

MOST_FILES = 4
MOST_LINES = 800


def reading_path(name):
    """{file: lines} of the layer, if any, the op, its kernels in the textbook, and Tensor."""
    layers = [layer for layer in vars(nn).values() if inspect.isclass(layer)
              and layer.__name__.lower().removesuffix("2d") == name.replace("_", "").removesuffix(
                  "2d")]
    kernels = [getattr(reference, kernel) for kernel in KERNELS
               if kernel in (name, f"{name}_backward")]
    assert len(kernels) == 2
    pieces = *layers, getattr(ops, name), *kernels, Tensor
    files = {inspect.getsourcefile(piece) for piece in pieces}
    return {file: len(Path(file).read_text().splitlines()) for file in files}


@pytest.mark.parametrize("name, files", [
    ("conv2d", 4), ("max_pool2d", 4), ("linear", 4), ("batch_norm", 4), ("cross_entropy", 3)])
def test_a_layer_and_its_gradient_are_read_in_few_files(name, files):
    path = reading_path(name)
    assert len(path) == files <= MOST_FILES
    assert sum(path.values()) <= MOST_LINES, path

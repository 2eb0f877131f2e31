"""docs/pytorch.md: the names that it calls supported are there, the others are not."""
import re
from pathlib import Path

import numpy as np
import pytest

import data
import minitensor as mt
from minitensor import nn, optim

PAGE = (Path(__file__).parents[2] / "docs/pytorch.md").read_text()
PLACES = {"mt": mt, "mt.Tensor": mt.Tensor, "mt.nn": nn, "mt.nn.Module": nn.Module,
          "mt.optim": optim, "data": data}
OURS = {"Tensor": mt.Tensor, "nn": nn, "optim": optim, "data": data, "Module": nn.Module}


def section(title):
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def rows(title):
    """The cells of each row of a section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")[:2]] for line in lines[1:]]


def quoted(text):
    return re.findall(r"`([^`]+)`", text)


@pytest.mark.parametrize("place, names", rows("The same"))
def test_what_the_page_calls_the_same_is_there(place, names):
    room = PLACES[quoted(place)[0]]
    attributes = {*dir(room), *getattr(room, "__slots__", ())}
    assert [name for name in quoted(names) if name not in attributes] == []


@pytest.mark.parametrize("name", [name for cell, _ in rows("Not here, on purpose")
                                  for name in quoted(cell) if not name.startswith("torch.")])
def test_what_the_page_leaves_out_is_not_there(name):
    room, attribute = name.split(".")
    assert not hasattr(OURS[room], attribute)


@pytest.mark.parametrize("name", ["torch.tensor", "torch.save", "torch.load"])
def test_the_functions_of_torch_that_the_page_leaves_out_are_not_there(name):
    assert name in PAGE and not callable(getattr(mt, name.split(".")[1], None))


def test_what_to_write_instead_computes_what_it_replaces():
    torch = pytest.importorskip("torch")
    values, target = np.array([-3.0, 0.2, 2.5]), np.array([0.5, 0.1, -1.0])
    x, d = mt.Tensor(values), (mt.Tensor(values) - target).abs()
    theirs, goal = torch.tensor(values), torch.tensor(target)
    functional = torch.nn.functional
    for ours, expected in (((x * x).sum().sqrt(), theirs.norm()),
                           (d.mean(), functional.l1_loss(theirs, goal)),
                           (mt.where(d < 1, d * d / 2, d - 0.5).mean(),
                            functional.smooth_l1_loss(theirs, goal))):
        assert float(ours) == pytest.approx(float(expected), rel=1e-12)

"""`python -m models summary`: the family, with published figures and the memory of activations."""
import re
import subprocess
import sys

import numpy as np
import pytest

from minitensor import Generator, Op, Tensor, cross_entropy
from models.networks.build import FAMILY, build
from models.networks.heads import auxiliary_logits
from models.networks.published import PUBLISHED
from models.networks.results import RESULTS
from models.networks.tables import activations
from models_cli import ROOT, complaint, models

# parameters, GMAC, % right of the first guess and of the first five
FIGURES = {
    "torchvision": (61_100_840, 0.714, 56.52, 79.07), "vgg11": (132_863_336, 7.609, 69.02, 88.63),
    "vgg16": (138_357_544, 15.470, 71.59, 90.38), "vgg16_bn": (138_365_992, 15.470, 73.36, 91.52),
    "resnet18": (11_689_512, 1.814, 69.76, 89.08), "resnet34": (21_797_672, 3.664, 73.31, 91.42),
    "resnet50": (25_557_032, 4.089, 76.13, 92.86), "resnet101": (44_549_160, 7.801, 77.37, 93.55),
    "caffe-alexnet": (60_965_224, 0.724, 57.1, 80.2),
    "googlenet": (6_624_904, 1.498, 69.78, 89.53),
    "caffe-googlenet": (6_998_552, 1.583, 68.7, 88.9),
    "inception_v3": (23_834_568, 5.713, 77.29, 93.45)}


def tree(capsys):
    assert models("summary") == 0
    return capsys.readouterr().out.splitlines()


def number(text):
    return float(text.replace(",", ""))


def test_summary_without_a_name_lists_the_family_tree(capsys):
    lines = tree(capsys)
    first = [line.split()[0] for line in lines if re.match(r"\S+ +\d+ +[\d,]{5,}", line)]
    assert first == list(FAMILY)
    for name, (parameters, gmac, top1, top5) in FIGURES.items():
        row = re.split(r"\s{2,}", next(line for line in lines if line.startswith(f"{name} ")))
        assert number(row[2]) == parameters
        assert round(number(row[3]) / 1e9, 3) == gmac
        assert (number(row[6]), number(row[7])) == (top1, top5)
    assert max(map(len, lines)) <= 150


def test_every_published_figure_names_its_source_and_the_weights_that_fit(capsys):
    text = "\n".join(tree(capsys))
    for name, results in RESULTS.items():
        assert name in FAMILY
        for result in results:
            assert result.source and result.weights in text
    for name, file in PUBLISHED.items():
        assert name == "torchvision" or f"{name}: {file.url.rpartition('/')[2]}" in text
    assert "80.86  95.43  torchvision:resnet50-v2: resnet50-11ad3fa6.pth" in text


def test_the_tree_says_what_auxiliary_heads_add_and_which_filters_are_torchvisions(capsys):
    text = "\n".join(tree(capsys))
    for with_heads in ("13,004,888", "13,378,280", "27,161,264"):
        assert f"  {with_heads} parameters with the auxiliary heads" in text
    assert text.count("torchvision's slip") == 1


@pytest.mark.parametrize("name", ["resnet50", "resnet101"])
def test_the_summary_says_where_a_bottleneck_strides(name, capsys):
    assert models("summary", name, "--width", "1/16", "--image-size", 64) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert "strides in its 3 x 3" in last and "1 x 1" in last
    assert last.strip() in "\n".join(tree(capsys))
    assert models("summary", "resnet18", "--width", "1/16") == 0
    assert "strides" not in capsys.readouterr().out


def test_the_tree_takes_no_options_of_one_network(capsys):
    assert models("summary", "--width", "1/2") == 2
    assert complaint(capsys).endswith("--width is for one network: name it")


# ---- memory --------------------------------------------------------------------------------------

def held(loss, parameters):
    """Bytes of all arrays that the graph behind loss holds, but for the parameters."""
    seen, arrays, left = set(), {}, [loss]
    while left:
        thing = left.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            while isinstance(thing.base, np.ndarray):
                thing = thing.base
            arrays[id(thing)] = thing
        elif isinstance(thing, Tensor):
            left += [thing.data, thing.creator]
        elif isinstance(thing, Op):
            left += vars(thing).values()
        elif isinstance(thing, (tuple, list)):
            left += thing
    shared = [array for array in arrays.values()
              if not any(np.shares_memory(array, p.data) for p in parameters)]
    return sum(array.nbytes for array in shared)


@pytest.mark.parametrize("name, size", [
    ("alexnet", 67), ("alexnet-paper", 99), ("vgg11", 64), ("vgg11_bn", 64), ("resnet18", 64),
    ("resnet50", 64), ("resnet20", 32), ("plain20", 32), ("googlenet", 64),
    ("caffe-googlenet", 96)])
def test_activations_are_what_a_training_step_holds_for_its_backward_pass(name, size):
    """But for a few percent: winners of pools, scales of LRN, statistics."""
    network = build(name, 10, size, 1 / 4, generator=Generator(0))
    images = np.random.default_rng(0).standard_normal((4, *network.input_shape), np.float32)
    with auxiliary_logits() as heads:
        loss = cross_entropy(network(Tensor(images)), np.arange(4))
    for weight, logits in heads:
        loss = loss + weight * cross_entropy(logits, np.arange(4))
    measured = held(loss, list(network.parameters())) / 4
    assert measured == pytest.approx(activations(network.table, size), rel=0.1)


# ---- on NumPy alone ------------------------------------------------------------------------------

@pytest.mark.parametrize("missing", ["PIL", "safetensors"])
def test_the_tree_and_a_network_by_its_name_need_numpy_alone(missing):
    code = (f"import sys; sys.modules[{missing!r}] = None; from models.commands import main; "
            "sys.exit(main(['summary']) or main(['summary', 'resnet20']))")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "11,689,512" in done.stdout, done.stderr

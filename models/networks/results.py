"""What others reached with the networks of the family, and the weights of theirs that fit.

Shares of right answers in percent: of ImageNet's 50,000 validation images, one centre crop of each,
where nothing else is said. Those of torchvision's weights are in its metadata, of Caffe's in its
readmes.
"""
from __future__ import annotations

from typing import NamedTuple


class Result(NamedTuple):
    top1: float | None          # None: not known here
    top5: float | None
    source: str                 # who says so; for torchvision's, what fetches these weights
    weights: str = ""           # the file that fits; "" where there is none, or source fetches it


def _torchvision(top1: float | None, top5: float | None, weights: str) -> tuple[Result]:
    return (Result(top1, top5, f"torchvision:{weights}"),)


def _cifar(error: float) -> tuple[Result]:
    return (Result(round(100 - error, 2), None, "the paper, table 6: CIFAR-10"),)


RESULTS: dict[str, tuple[Result, ...]] = {
    "alexnet-paper": (Result(59.3, 81.8, "the paper, ten crops"),),
    "caffe-alexnet": (Result(57.1, 80.2, "Caffe", "bvlc_alexnet.caffemodel, .npy"),),
    "caffenet": (Result(57.4, 80.4, "Caffe", "bvlc_reference_caffenet.caffemodel"),),
    "torchvision": _torchvision(56.52, 79.07, "alexnet"),
    "cifar10-18pct": (Result(82, None, "cuda-convnet: CIFAR-10"),),
    "vgg11": _torchvision(69.02, 88.63, "vgg11"),
    "vgg13": _torchvision(69.93, 89.25, "vgg13"),
    "vgg16": (*_torchvision(71.59, 90.38, "vgg16"),
              Result(None, 91.9, "its authors", "VGG_ILSVRC_16_layers.caffemodel")),
    "vgg19": (*_torchvision(72.38, 90.88, "vgg19"),
              Result(None, 92.0, "its authors", "VGG_ILSVRC_19_layers.caffemodel")),
    "vgg11_bn": _torchvision(70.37, 89.81, "vgg11_bn"),
    "vgg13_bn": _torchvision(71.59, 90.37, "vgg13_bn"),
    "vgg16_bn": _torchvision(73.36, 91.52, "vgg16_bn"),
    "vgg19_bn": _torchvision(74.22, 91.84, "vgg19_bn"),
    "googlenet": _torchvision(69.78, 89.53, "googlenet"),
    "caffe-googlenet": (Result(68.7, 88.9, "Caffe", "bvlc_googlenet.caffemodel"),),
    "inception_v3": _torchvision(77.29, 93.45, "inception_v3"),
    "resnet18": _torchvision(69.76, 89.08, "resnet18"),
    "resnet34": _torchvision(73.31, 91.42, "resnet34"),
    "resnet50": (*_torchvision(76.13, 92.86, "resnet50"),
                 *_torchvision(80.86, 95.43, "resnet50-v2")),
    "resnet101": (*_torchvision(77.37, 93.55, "resnet101"),
                  *_torchvision(None, None, "resnet101-v2")),
    "resnet20": _cifar(8.75),
    "resnet32": _cifar(7.51),
    "resnet44": _cifar(7.17),
    "resnet56": _cifar(6.97),
}

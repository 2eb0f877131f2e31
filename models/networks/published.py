"""What others reached with the networks of the family, and the weights of theirs that fit.

Shares of right answers in percent. Of torchvision's weights its metadata say so, for ImageNet's
50,000 validation images and one centre crop of each.
"""
from __future__ import annotations

from typing import NamedTuple


class Result(NamedTuple):
    top1: float
    top5: float | None
    source: str
    weights: str = ""           # the file that fits; "" where the source has none


def _torchvision(top1: float, top5: float, weights: str, recipe: str = "") -> Result:
    return Result(top1, top5, f"torchvision{recipe}", f"{weights}.pth")


def _cifar(error: float) -> tuple[Result]:
    return (Result(round(100 - error, 2), None, "the paper, table 6: CIFAR-10"),)


RESULTS: dict[str, tuple[Result, ...]] = {
    "alexnet-paper": (Result(59.3, 81.8, "the paper, ten crops"),),
    "caffe-alexnet": (Result(57.1, 80.2, "Caffe", "bvlc_alexnet.caffemodel, .npy"),),
    "caffenet": (Result(57.4, 80.4, "Caffe", "bvlc_reference_caffenet.caffemodel"),),
    "torchvision": (_torchvision(56.52, 79.07, "alexnet-owt-7be5be79"),),
    "cifar10-18pct": (Result(82, None, "cuda-convnet: CIFAR-10"),),
    "vgg11": (_torchvision(69.02, 88.63, "vgg11-8a719046"),),
    "vgg13": (_torchvision(69.93, 89.25, "vgg13-19584684"),),
    "vgg16": (_torchvision(71.59, 90.38, "vgg16-397923af"),
              Result(74.4, 91.9, "the paper, table 3", "VGG_ILSVRC_16_layers.caffemodel")),
    "vgg19": (_torchvision(72.38, 90.88, "vgg19-dcbb9e9d"),),
    "vgg11_bn": (_torchvision(70.37, 89.81, "vgg11_bn-6002323d"),),
    "vgg13_bn": (_torchvision(71.59, 90.37, "vgg13_bn-abd245e5"),),
    "vgg16_bn": (_torchvision(73.36, 91.52, "vgg16_bn-6c64b313"),),
    "vgg19_bn": (_torchvision(74.22, 91.84, "vgg19_bn-c79401a0"),),
    "googlenet": (_torchvision(69.78, 89.53, "googlenet-1378be20"),),
    "caffe-googlenet": (Result(68.7, 88.9, "Caffe", "bvlc_googlenet.caffemodel"),),
    "inception_v3": (_torchvision(77.29, 93.45, "inception_v3_google-0cc3c7bd"),),
    "resnet18": (_torchvision(69.76, 89.08, "resnet18-f37072fd"),),
    "resnet34": (_torchvision(73.31, 91.42, "resnet34-b627a593"),),
    "resnet50": (_torchvision(76.13, 92.86, "resnet50-0676ba61", " V1"),
                 _torchvision(80.86, 95.43, "resnet50-11ad3fa6", " V2")),
    "resnet101": (_torchvision(77.37, 93.55, "resnet101-63fe2227", " V1"),
                  _torchvision(81.89, 95.78, "resnet101-cd907fc2", " V2")),
    "resnet20": _cifar(8.75),
    "resnet32": _cifar(7.51),
    "resnet44": _cifar(7.17),
    "resnet56": _cifar(6.97),
}

"""The files of weights that torchvision publishes, by the names that fetch them.

The first eight digits of a file's SHA-256 stand in its name; where no more than these are known
here, no more are checked.
"""
from __future__ import annotations

from typing import NamedTuple

FOLDER = "https://download.pytorch.org/models"
ALEXNET = "torchvision"         # what torchvision's AlexNet is called here, and what fetches it


class Published(NamedTuple):
    """A file on the net: where, its SHA-256 or the beginning of it, whose weights it holds."""

    url: str
    sha256: str
    network: str = ALEXNET


def _file(network: str, sha256: str, called: str = "") -> Published:
    return Published(f"{FOLDER}/{called or network}-{sha256[:8]}.pth", sha256, network)


_ALEXNET = _file(ALEXNET, "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
                 "alexnet-owt")
_FILES = {
    "alexnet": _ALEXNET,
    "vgg11": _file("vgg11", "8a719046"),
    "vgg13": _file("vgg13", "19584684"),
    "vgg16": _file("vgg16", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"),
    "vgg19": _file("vgg19", "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44"),
    "vgg11_bn": _file("vgg11_bn", "6002323d"),
    "vgg13_bn": _file("vgg13_bn", "abd245e5"),
    "vgg16_bn": _file("vgg16_bn",
                      "6c64b3138f2f4fcb3bcc4cafde11619c4f440eb1631787e93a682fd88305888a"),
    "vgg19_bn": _file("vgg19_bn",
                      "c79401a0cf3cb42714e4182f5868c7a6f4f4534f5df9e956e2bb2098de41cbb6"),
    "resnet18": _file("resnet18",
                      "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"),
    "resnet34": _file("resnet34",
                      "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f"),
    # v2: trained again in 2021, for longer and with more augmentation.
    "resnet50": _file("resnet50",
                      "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a"),
    "resnet50-v2": _file("resnet50",
                         "11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca"),
    "resnet101": _file("resnet101",
                       "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a"),
    "resnet101-v2": _file("resnet101",
                          "cd907fc2a0de2292b2ba2b27d2216bc672d84632d1cf20058d01c0c03b5e020e"),
    "googlenet": _file("googlenet",
                       "1378be20a8e875cf1568b8a71654e704449655e34711a959a38b04fb34905cef"),
    "inception_v3": _file("inception_v3",
                          "0cc3c7bd75056d25e46cba549dc184522069b81e9787eff6df84f397bd52a5ef",
                          "inception_v3_google"),
}
PUBLISHED = {ALEXNET: _ALEXNET, **{f"{ALEXNET}:{name}": file for name, file in _FILES.items()}}


def is_name(text: str) -> bool:
    """Whether text means published weights, not a path: "torchvision", or "torchvision:NAME"."""
    return text == ALEXNET or text.startswith(f"{ALEXNET}:")


def for_network(network: str) -> str:
    """The name of a network's published weights, whether there are such or not."""
    return ALEXNET if network == ALEXNET else f"{ALEXNET}:{network}"


def names() -> str:
    return f"{ALEXNET}:NAME for {', '.join(_FILES)}"

"""How images are prepared for published weights: as in the training that they come from.

A recipe says the shorter side that an image is scaled to (bilinear, in all of them), the crop
that goes with it, and the mean and deviation of red, green and blue within 0..1. Which network it
is decides; of two weights of one network, the file.
"""
from __future__ import annotations

import os
from typing import Any

from data import sha256

from ..networks.published import PUBLISHED

TORCHVISION = {"resize": 256, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
# From TensorFlow, where pixels went from -1 to 1: what torchvision's transform_input makes of
# images that were normalised as for the others.
TENSORFLOW = {"resize": 256, "mean": [0.5] * 3, "std": [0.5] * 3}
OF_TORCHVISION: dict[str, dict[str, Any]] = {
    "googlenet": TENSORFLOW,
    "inception_v3": {**TENSORFLOW, "resize": 342, "crop": 299, "square": False}}


def _minus(blue: float, green: float, red: float, **more: Any) -> dict[str, Any]:
    """Bytes minus the mean."""
    return {"resize": 256, "mean": [red / 255, green / 255, blue / 255], "std": [1 / 255] * 3,
            **more}


CAFFE = _minus(104.007, 116.669, 122.679, squash=True)      # whose tools squash into a square
VGG_TEAM = _minus(103.939, 116.779, 123.68)
OF_CAFFE: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("vgg11", "vgg13", "vgg16", "vgg19"), VGG_TEAM),
    "caffe-googlenet": _minus(104, 117, 123, squash=True)}

# What tells a network's first weights from its second, v2, in the name of a file.
FIRST = {"resnet50": ("0676ba61", "19c8e357", "imagenet1k_v1"),
         "resnet101": ("63fe2227", "5d3b4d8f", "imagenet1k_v1")}
SECOND = {"resnet50": ("11ad3fa6", "imagenet1k_v2"), "resnet101": ("cd907fc2", "imagenet1k_v2")}
RESIZE_OF_SECOND = 232


def preprocessing(network: str, config: dict[str, Any], is_caffes: bool, path: str,
                  notes: list[str]) -> dict[str, Any]:
    """What a checkpoint would say of it, for the weights in the file called path.

    For other image sizes the margin around the crop stays in proportion; 224 and 227 both come
    from 256. notes gets a sentence where the file does not say which weights it holds.
    """
    of_network, usual = (OF_CAFFE, CAFFE) if is_caffes else (OF_TORCHVISION, TORCHVISION)
    recipe = of_network.get(network, usual)
    if network in SECOND and config["num_classes"] == 1000 and _is_second(path, network, notes):
        recipe = {**recipe, "resize": RESIZE_OF_SECOND}
    crop, own_crop, resize = config["image_size"], recipe.get("crop", 227), recipe["resize"]
    if crop not in (224, own_crop):
        resize = round(resize * crop / own_crop)
    return {**recipe, "resize": max(resize, crop), "crop": crop}


def _is_second(path: str, network: str, notes: list[str]) -> bool:
    """By the file's name, else by its contents."""
    name = os.path.basename(path).lower()
    for is_second, marks in ((False, FIRST[network]), (True, SECOND[network])):
        if any(mark in name for mark in marks):
            return is_second
    digits = sha256(path)
    for is_second, version in ((False, ""), (True, "-v2")):
        if digits == PUBLISHED[f"torchvision:{network}{version}"].sha256:
            return is_second
    mark = SECOND[network][0]
    notes.append(f"taken as the first weights of {network}, whose pictures are resized to "
                 f"{TORCHVISION['resize']}; if it holds the second ones ({RESIZE_OF_SECOND}), put "
                 f"{mark} into its name")
    return False

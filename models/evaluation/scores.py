"""How good a network is on labelled images."""
from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from minitensor import Tensor, log_softmax, no_grad, uploaded
from minitensor.backend import to_numpy

TOP = 5
Z = 1.959964            # standard deviations on either side that hold 95 % of a normal distribution


class Scores(NamedTuple):
    """Sums over images; the properties are means."""

    images: int = 0
    loss_sum: float = 0.0
    top1_count: int = 0     # images whose label got the highest probability
    top5_count: int = 0     # images whose label is among the five highest

    @property
    def loss(self) -> float:
        return self.loss_sum / self.images

    @property
    def top1(self) -> float:
        return self.top1_count / self.images

    @property
    def top5(self) -> float:
        return self.top5_count / self.images

    def plus(self, log_p: np.ndarray, labels: np.ndarray) -> Scores:
        """With a batch more: log_p (N, K), labels (N,)."""
        right = best_classes(log_p) == labels[:, None]                      # (N, 5)
        losses = -log_p[np.arange(len(labels)), labels].astype(np.float64)
        return Scores(self.images + len(labels), self.loss_sum + float(losses.sum()),
                      self.top1_count + int(right[:, 0].sum()), self.top5_count + int(right.sum()))

    def in_words(self, classes: int) -> str:
        """For a network of so many classes."""
        top1 = f"top-1 {self.top1:.2%} (error {1 - self.top1:.2%})"
        top5 = f", top-{TOP} {self.top5:.2%} (error {1 - self.top5:.2%})"
        return f"{top1}{top5 if has_top5(classes) else ''}, loss {self.loss:.4f}"


def interval(share: float, images: int) -> tuple[float, float]:
    """Between what a share may be that so many images show, with 95 % confidence (Wilson 1927)."""
    if not images:
        return math.nan, math.nan
    shrunk = Z**2 / images
    centre = (share + shrunk / 2) / (1 + shrunk)
    half = Z * math.sqrt((share * (1 - share) + shrunk / 4) / images) / (1 + shrunk)
    return max(0.0, centre - half), min(1.0, centre + half)


def with_interval(share: float, images: int) -> str:
    """Such as "98.60% (97.14% to 99.32%)"."""
    low, high = interval(share, images)
    return f"{share:.2%} ({low:.2%} to {high:.2%})"


def has_top5(classes: int) -> bool:
    """Whether a top-5 error says anything: of five classes or fewer it is always 0."""
    return classes > TOP


def best_classes(scores: np.ndarray) -> np.ndarray:
    """The up to five classes with the highest scores (N, K), highest first -> (N, 5).

    Equal scores: the first class first; NaN last.
    """
    return np.argsort(-scores, axis=1, kind="stable")[:, :TOP]


def scores_of(network: Any, batches: Iterable[tuple[np.ndarray, np.ndarray]],
              device: str = "cpu") -> Scores:
    """Scores over batches of images and labels (N,).

    Images (N, 3, H, W), or (N, 10, 3, H, W) whose ten crops are averaged.
    """
    scores = Scores()
    for images, labels in uploaded(batches, device):
        scores = scores.plus(log_probabilities(network, images, device), labels)
    return scores


def log_probabilities(network: Any, images: np.ndarray, device: str = "cpu") -> np.ndarray:
    """(N, K) from images (N, 3, H, W), or features, or from ten crops (N, 10, 3, H, W).

    Of ten crops it is that of the mean probability (2012 paper, section 4.1).
    """
    return mean_over_crops(crop_log_probabilities(network, images, device))


def crop_log_probabilities(network: Any, images: np.ndarray, device: str = "cpu") -> np.ndarray:
    """images (N, 10, 3, H, W) -> (N, 10, K); (N, 3, H, W), or features, one crop: (N, 1, K)"""
    inputs = images.reshape(-1, *images.shape[2:]) if images.ndim == 5 else images
    with no_grad(), network.evaluating():
        log_p = to_numpy(log_softmax(network(Tensor(inputs).to(device)), 1).data)
    return log_p.reshape(len(images), -1, log_p.shape[1])


def mean_over_crops(log_p: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities (N, crops, K) -> the logarithm of their mean over crops (N, K)"""
    if log_p.shape[1] == 1:
        return log_p[:, 0]
    p = np.exp(log_p).mean(axis=1)
    return np.log(np.maximum(p, np.finfo(p.dtype).tiny))

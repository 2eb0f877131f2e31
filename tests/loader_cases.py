"""Datasets and transforms for the loader's tests: a module that worker processes can import."""
import os
import signal

import numpy as np

from data import UnreadableImage


class Numbered:
    """`count` images, each filled with its own number."""

    classes = ("even", "odd")

    def __init__(self, count, size=5):
        self.count = count
        self.size = size
        self.labels = np.arange(count) % 2

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return np.full((self.size, self.size, 3), index, np.uint8), index % 2

    def name(self, index):
        return f"picture-{index}.jpg"


class WithUnreadable(Numbered):
    """Images 3, 4 and 9 cannot be read."""

    def __getitem__(self, index):
        if index in (3, 4, 9):
            raise UnreadableImage(self.name(index), "it is text")
        return super().__getitem__(index)


class Deadly(Numbered):
    """Image 7 kills the process that reads it."""

    def __getitem__(self, index):
        if index == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


class Failing(Numbered):
    def __getitem__(self, index):
        raise KeyError("a mistake in the dataset")


def channels_first(image, rng):
    return image.astype(np.float32).transpose(2, 0, 1)


def process_id(image, rng):
    return np.full((3, 1, 1), os.getpid(), np.float64)


def sized_by_its_number(image, rng):
    return np.zeros((3, 1 + image[0, 0, 0], 2), np.float32)

"""Images in: datasets, transforms and a loader, on NumPy and Pillow alone."""
import signal
import sys

if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    # This is the start of `python -m data`: until its main begins, Ctrl-C ends it without a
    # traceback of half-imported modules.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from .augmentations import ColorJitter, RandomErasing, RandomResizedCrop
from .cifar import CIFAR10, CIFAR100
from .colours import Normalize, PCANoise, SubtractMean
from .datasets import ImageFolder, Subset, at_most, image_files, of_classes, split
from .drawn import BuiltinPictures
from .files import sha256
from .ilsvrc import ILSVRCValidation
from .images import UnreadableImage, load_image
from .loader import DataLoader
from .packed import PackedPictures
from .sources import find_splits
from .transforms import (CenterCrop, Compose, RandomCrop, RandomHorizontalFlip, Resize, Squash,
                         TenCrop)
from .workers import DeadWorker

__all__ = ["BuiltinPictures", "CIFAR10", "CIFAR100", "CenterCrop", "ColorJitter", "Compose",
           "DataLoader", "DeadWorker", "ILSVRCValidation", "ImageFolder", "Normalize", "PCANoise",
           "PackedPictures", "RandomCrop", "RandomErasing", "RandomHorizontalFlip",
           "RandomResizedCrop", "Resize", "Squash", "Subset", "SubtractMean", "TenCrop",
           "UnreadableImage", "at_most", "find_splits", "image_files", "load_image", "of_classes",
           "sha256", "split"]

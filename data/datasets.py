"""Where labelled pictures come from: folders of files, CIFAR-10, and parts of either.

A dataset has `classes` (names), `labels` (int64 (N,)), `len()`, `dataset[i] -> (picture uint8 (H, W, 3), label)` and `name(i)`,
what messages call picture i. One of equal square pictures that lie in memory, or in mapped files, may also have `side`, in pixels, and
`crops(indices, top, left, size)`, which takes crops from many at once (see batch_at_once.py).
"""
import os
import pickle

import numpy as np

from .crops import crops_of
from .images import load_image, load_rgb

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")


class PictureFiles:
    """Picture files below `root`, with their labels and the classes' names; reading a picture may raise UnreadableImage."""

    def __init__(self, root, paths, labels, classes):
        self.root, self.paths, self.labels, self.classes = root, paths, labels, classes

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        """-> (picture uint8 (H, W, 3), label)"""
        return load_image(self.paths[index]), int(self.labels[index])

    def image(self, index):
        """The picture as Pillow's, for who goes on with it there."""
        return load_rgb(self.paths[index])

    def name(self, index):
        return self.paths[index]

    def __repr__(self):
        return f"{type(self).__name__}({self.root!r}): {len(self)} pictures of {len(self.classes)} classes"


class ImageFolder(PictureFiles):
    """Pictures sorted into folders, ROOT/CLASS/**/PICTURE; the classes are the folders' names in sorted order.

    Raises FileNotFoundError for a missing root, ValueError for a root without class folders or a class without pictures.
    """

    def __init__(self, root):
        root = os.fspath(root)
        classes = class_folders(root)
        files = [_pictures_of_class(os.path.join(root, name)) for name in classes]
        labels = np.repeat(np.arange(len(files)), [len(paths) for paths in files])
        super().__init__(root, [path for paths in files for path in paths], labels, classes)


def class_folders(root):
    """The names of the folders in `root`, sorted. Raises FileNotFoundError or ValueError where there are none."""
    if not os.path.isdir(root):
        raise FileNotFoundError(f"ImageFolder: {root} is not a folder")
    names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise ValueError(f"ImageFolder: {root} has no class folders; pictures are expected in {os.path.join(root, 'CLASS', 'PICTURE.jpg')}")
    return names


def _pictures_of_class(folder):
    paths = picture_files(folder)
    if not paths:
        raise ValueError(f"ImageFolder: the class folder {folder} has no pictures ({', '.join(SUFFIXES)})")
    return paths


def picture_files(folder):
    """Paths of the files in `folder`, and in the folders below it, whose names are those of pictures; sorted. Links are followed once."""
    found, seen = [], set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders.sort()                          # so that of two ways to a folder the same is taken everywhere
        place = os.path.realpath(parent)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        found += [os.path.join(parent, name) for name in names if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
    return sorted(found)


class CIFAR10:
    """CIFAR-10 in either official form, found in `root` or in the folder of it that the official archive unpacks to.

    Binary: data_batch_1.bin … 5 and test_batch.bin, records of 1 label byte and 3,072 bytes of red, green and blue planes of 32 x 32.
    Python: data_batch_1 … 5 and test_batch, pickled dicts, read by an unpickler that can build nothing but NumPy arrays.
    Raises FileNotFoundError where neither is found and ValueError, with the path, for a truncated or foreign file.
    Source: https://www.cs.toronto.edu/~kriz/cifar.html
    """

    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    pictures_per_file = 10_000
    side = 32

    def __init__(self, root, train=True):
        self.root = os.fspath(root)
        self.train = bool(train)
        names = [f"data_batch_{n}" for n in range(1, 6)] if train else ["test_batch"]
        planes, labels = zip(*(self._read(path) for path in self._find(names)))
        pictures = np.concatenate(planes).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        self.pictures = np.ascontiguousarray(pictures)      # (N, 32, 32, 3)
        self.labels = np.concatenate(labels).astype(np.int64)

    @classmethod
    def is_in(cls, root):
        """Whether its test pictures are there."""
        return bool(_cifar10_files(root, ["test_batch"]))

    def _find(self, names):
        paths = _cifar10_files(self.root, names)
        if not paths:
            raise FileNotFoundError(f"CIFAR10: {self.root} holds neither {names[0]}.bin nor {names[0]}")
        return paths

    def _read(self, path):
        """-> planes uint8 (n, 3072), labels (n,)"""
        if not os.path.isfile(path):
            raise FileNotFoundError(f"CIFAR10: {path} is missing")
        planes, labels = _read_binary(path) if path.endswith(".bin") else _read_pickle(path)
        if planes.shape != (self.pictures_per_file, 3072) or labels.shape != (self.pictures_per_file,):
            raise ValueError(f"CIFAR10: {path} holds {len(planes)} pictures and {len(labels)} labels, "
                             f"not {self.pictures_per_file:,} of each: it is truncated, or no CIFAR-10 batch")
        if labels.min() < 0 or labels.max() > 9:
            wrong = labels[(labels < 0) | (labels > 9)][0]
            raise ValueError(f"CIFAR10: {path} holds the label {wrong}, outside 0..9: it is no CIFAR-10 batch")
        return planes, labels

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, index):
        """-> (picture uint8 (32, 32, 3), label)"""
        return self.pictures[index], int(self.labels[index])

    def crops(self, indices, top, left, size):
        """size x size pixels of picture indices[k] from row top[k] and column left[k] on -> uint8 (..., size, size, 3)"""
        return crops_of(self.pictures, indices, top, left, size)

    def name(self, index):
        return f"picture {index} of CIFAR-10's {'training' if self.train else 'test'} set"

    def __repr__(self):
        return f"CIFAR10({self.root!r}, train={self.train}): {len(self)} pictures of 10 classes"


def _cifar10_files(root, names):
    """The paths of the batches called `names`, of whichever form is there; none if the first is missing."""
    for folder, suffix in (("", ".bin"), ("cifar-10-batches-bin", ".bin"), ("", ""), ("cifar-10-batches-py", "")):
        paths = [os.path.join(root, folder, name + suffix) for name in names]
        if os.path.isfile(paths[0]):
            return paths
    return []


def _read_binary(path):
    data = np.fromfile(path, np.uint8)
    if data.size % 3073:
        raise ValueError(f"CIFAR10: {path} has {data.size:,} bytes, no multiple of 3,073: it is truncated, or no CIFAR-10 batch")
    records = data.reshape(-1, 3073)
    return records[:, 1:], records[:, 0]


def _read_pickle(path):
    try:
        with open(path, "rb") as file:
            batch = _ArraysOnly(file, encoding="bytes").load()
        batch = {key.decode() if isinstance(key, bytes) else key: value for key, value in batch.items()}
        planes, labels = batch["data"], np.array(batch["labels"])
    except Exception as error:      # whatever a broken pickle makes of the unpickler
        raise ValueError(f"CIFAR10: {path} is no CIFAR-10 batch: {error}") from error
    if not (isinstance(planes, np.ndarray) and planes.dtype == np.uint8 and planes.ndim == 2):
        raise ValueError(f"CIFAR10: {path} is no CIFAR-10 batch: its data are not uint8 (n, 3072)")
    if not (labels.dtype.kind == "i" and labels.ndim == 1):
        raise ValueError(f"CIFAR10: {path} is no CIFAR-10 batch: its labels are not whole numbers")
    return planes, labels


class _ArraysOnly(pickle.Unpickler):
    """Unpickles Python's own containers and NumPy arrays; a file that names anything else is refused before anything runs."""

    _reconstruct = np.empty(0).__reduce__()[0]
    _allowed = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    }

    def find_class(self, module, name):
        if (module, name) not in self._allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR-10 batch needs")
        return self._allowed[module, name]


class Subset:
    """The pictures of `dataset` at `indices`, as a dataset."""

    def __init__(self, dataset, indices):
        self.dataset = dataset
        self.indices = np.asarray(indices)
        self.classes = dataset.classes
        self.labels = dataset.labels[self.indices]
        self.side = getattr(dataset, "side", None)

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, index):
        return self.dataset[self.indices[index]]

    def crops(self, indices, top, left, size):
        return self.dataset.crops(self.indices[indices], top, left, size)

    def name(self, index):
        return self.dataset.name(self.indices[index])

    def __repr__(self):
        return f"Subset({len(self)} of {self.dataset!r})"


def split(dataset, fraction, seed=0):
    """Hold out a random `fraction` of every class -> (the rest, the held-out part), two Subsets in the dataset's order."""
    if not 0 < fraction < 1:
        raise ValueError(f"split: fraction must lie between 0 and 1, not {fraction}")
    rng = np.random.default_rng(seed)
    held_out = np.zeros(len(dataset), bool)
    for label in range(len(dataset.classes)):
        members = rng.permutation(np.flatnonzero(dataset.labels == label))
        held_out[members[:round(fraction * len(members))]] = True
    if held_out.all() or not held_out.any():
        raise ValueError(f"split: a fraction of {fraction} of each class leaves one part empty: {len(dataset)} pictures in "
                         f"{len(dataset.classes)} classes are too few; add pictures, or a test part of their own beside a train part")
    return Subset(dataset, np.flatnonzero(~held_out)), Subset(dataset, np.flatnonzero(held_out))

"""A few validation images as files, to classify for those who have none at hand."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import writing
from ..files import write_file

EACH = 2            # images of a class


def write_samples(folder: Path, images: Any) -> None:
    """folder/CLASS/1.png and 2.png, from the first images of each class."""
    for label, name in enumerate(images.classes):
        with writing(folder):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for number, index in enumerate(np.flatnonzero(images.labels == label)[:EACH], 1):
            image = Image.fromarray(images[int(index)][0])
            write_file(folder / name / f"{number}.png", image.save)

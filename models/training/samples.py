"""A few held-out pictures as files, to classify for those who have none at hand."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import writing
from .run_folder import write_file

EACH = 2            # pictures of a class


def write_samples(folder: Path, pictures: Any) -> None:
    """folder/CLASS/1.png and 2.png, from the first pictures of each class."""
    for label, name in enumerate(pictures.classes):
        with writing(folder):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for number, index in enumerate(np.flatnonzero(pictures.labels == label)[:EACH], 1):
            write_file(folder / name / f"{number}.png", Image.fromarray(pictures[int(index)][0]).save)

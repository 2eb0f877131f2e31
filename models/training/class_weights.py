"""How much the pictures of each class count in the loss."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import SettingError


def class_weights(asked: str | Mapping[str, float], classes: Sequence[str],
                  labels: np.ndarray) -> list[float]:
    """One number a class, of settings.class_weights.

    "balanced": images / (classes · images of the class), so that every class counts as much as any
    other in all; 0 for one without images. Names and numbers: 1 for what is not named. labels: of
    the training images. Raises SettingError for a name that is no class.
    """
    if asked == "balanced":
        counts = np.bincount(labels, minlength=len(classes))
        return [len(labels) / (len(classes) * n) if n else 0.0 for n in counts.tolist()]
    assert not isinstance(asked, str)
    if unknown := [name for name in asked if name not in classes]:
        more = ", ..." if len(classes) > 10 else ""
        raise SettingError("class_weights", f" names {unknown[0]!r}, which is not one of the "
                           f"classes {', '.join(classes[:10])}{more}")
    return [asked.get(name, 1.0) for name in classes]

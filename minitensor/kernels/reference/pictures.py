"""Pictures, cropped, mirrored and normalised."""
from collections.abc import Sequence

from ...backend import Array, xp_of

Pair = tuple[int, int]


def pictures(images: Array, tops: Array, lefts: Array, flips: Array, size: Pair, mean: Sequence[float], std: Sequence[float]) -> Array:
    """(N, 3, *size) float32 from images (N, H, W, 3) uint8: cropped, mirrored, then (image / 255 - mean) / std, colour by colour.

    The crop of image n begins at (tops[n], lefts[n]), integers, and is mirrored if flips[n]. Outside its image, pixels are black.
    """
    xp, (_, H, W, _) = xp_of(images), images.shape
    rows = tops[:, None] + xp.arange(size[0])                                               # (N, OH)
    columns = lefts[:, None] + xp.where(flips[:, None], xp.arange(size[1])[::-1], xp.arange(size[1]))
    inside = ((0 <= rows) & (rows < H))[:, :, None] & ((0 <= columns) & (columns < W))[:, None, :]
    rows, columns = rows.clip(0, H - 1)[:, :, None], columns.clip(0, W - 1)[:, None, :]
    pixels = xp.where(inside[..., None], images[xp.arange(len(images))[:, None, None], rows, columns], 0)       # (N, OH, OW, 3)
    scale, shift = (xp.asarray(values, dtype=xp.float32) for values in ([1 / (255 * s) for s in std], [m / s for m, s in zip(mean, std)]))
    return (pixels.astype(xp.float32) * scale - shift).transpose(0, 3, 1, 2)

"""Built-in images: ten classes drawn from a seed, so that everything runs with no download.

A class is a shape filled with a texture. The shape lies anywhere, tilted and scaled, light on dark
or dark on light, so that neither a pixel nor a colour betrays it: telling the five shapes apart
takes their outline, telling stripes from dots takes their texture.

Geometry is in complex numbers: x + iy, with the image's side as the unit; a turn is a product.
"""
from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from .checks import whole

SHAPES = ("disc", "square", "triangle", "star", "heart")
TEXTURES = ("striped", "dotted")
CLASSES = tuple(f"{texture} {shape}" for shape in SHAPES for texture in TEXTURES)

Range = tuple[float, float]             # lowest, highest
Colour = tuple[int, int, int]           # red, green, blue within 0..255


class BuiltinPictures:
    """`count` drawn images of size x size pixels; image i has label i % 10.

    It depends on (seed, i) alone, and at another size it is the same, larger or smaller. Nothing
    is stored: images are drawn when asked for. Use different seeds for training and validation.
    """

    classes = CLASSES

    def __init__(self, count: int, size: int, seed: int = 0):
        self.count = whole("BuiltinPictures: count", count, 1)
        self.size = whole("BuiltinPictures: size", size, 8)
        self.seed = whole("BuiltinPictures: seed", seed, 0)
        self.labels = np.arange(self.count) % len(CLASSES)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """-> (image uint8 (size, size, 3), label)"""
        if not 0 <= index < self.count:
            raise IndexError(f"BuiltinPictures: index {index} is outside 0..{self.count - 1}")
        label = int(self.labels[index])
        rng = np.random.default_rng((self.seed, int(index)))
        return draw_image(label, self.size, rng), label

    def name(self, index: int) -> str:
        return f"built-in picture {index} (seed {self.seed})"

    def __repr__(self) -> str:
        return f"BuiltinPictures(count={self.count}, size={self.size}, seed={self.seed})"


def draw_image(label: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """An image of class `label`, all else drawn from `rng` -> uint8 (size, size, 3)"""
    shape, texture = SHAPES[label // len(TEXTURES)], TEXTURES[label % len(TEXTURES)]
    ground_is_dark = rng.random() < 0.5
    canvas = _ground(size, rng, ground_is_dark)
    _scatter_clutter(canvas, rng)

    radius = rng.uniform(0.32, 0.45)
    centre = complex(*rng.uniform(radius, 1 - radius, 2))
    body = _Mask(size)
    body.polygon(centre + radius * _turn(rng, TILT) * OUTLINES[shape])
    light, dark = _colour(rng, (0.68, 0.88), (0.6, 1)), _colour(rng, (0.15, 0.36), (0.5, 1))
    body_colour, marks_colour = (light, dark) if ground_is_dark else (dark, light)
    marks = _Mask(size)
    MARKS[texture](marks, centre, radius, rng)

    shape_alpha = body.alpha()
    shadow = ImageChops.offset(shape_alpha, round(size * 0.02)).point(SHADOW)
    _paste(canvas, (0, 0, 0), shadow)
    _paste(canvas, body_colour, shape_alpha)
    _paste(canvas, marks_colour, ImageChops.multiply(shape_alpha, marks.alpha()))
    return np.array(canvas)


class _Mask:
    """Where to paint, and how opaquely (0..255).

    It is drawn enlarged and then reduced, which smooths its edges.
    """

    def __init__(self, size: int, opacity: int = 255):
        self.enlarged = 2 if size >= 128 else 4
        self.scale = size * self.enlarged
        self.opacity = opacity
        self.image = Image.new("L", (self.scale, self.scale))
        self.pen = ImageDraw.Draw(self.image)

    def polygon(self, points: np.ndarray) -> None:
        self.pen.polygon((points * self.scale).view(np.float64).tolist(), fill=self.opacity)

    def dot(self, centre: complex, radius: float) -> None:
        x, y, r = centre.real * self.scale, centre.imag * self.scale, radius * self.scale
        self.pen.ellipse((x - r, y - r, x + r, y + r), fill=self.opacity)

    def alpha(self) -> Image.Image:
        return self.image.reduce(self.enlarged)


def _paste(canvas: Image.Image, colour: Colour, alpha: Image.Image) -> None:
    box = alpha.getbbox()       # nothing is painted outside it
    if box:
        canvas.paste(colour, box, alpha.crop(box))


def _turn(rng: np.random.Generator, most: float = 0.5) -> complex:
    """A turn by at most `most` revolutions to either side."""
    return np.exp(2j * np.pi * rng.uniform(-most, most))


def _colour(rng: np.random.Generator, lightness: Range, saturation: Range) -> Colour:
    """A colour of any hue; lightness and saturation lie within 0..1."""
    hue = rng.random()
    rgb = colorsys.hls_to_rgb(hue, rng.uniform(*lightness), rng.uniform(*saturation))
    red, green, blue = (round(255 * channel) for channel in rgb)
    return red, green, blue


def _ground(size: int, rng: np.random.Generator, is_dark: bool) -> Image.Image:
    """A smooth blend of four colours, one in each corner."""
    lightness = (0.1, 0.32) if is_dark else (0.78, 0.95)
    corners = np.array([_colour(rng, lightness, (0.1, 0.5)) for _ in range(4)], np.uint8)
    blend = Image.fromarray(corners.reshape(2, 2, 3))
    return blend.resize((size, size), Image.Resampling.BICUBIC)


def _scatter_clutter(canvas: Image.Image, rng: np.random.Generator) -> None:
    """Faint bars and spots behind the shape, so that a lone edge or spot tells nothing."""
    for _ in range(2):          # colours
        layer = _Mask(canvas.width, opacity=128)
        for x, y, length in rng.random((5, 3)):
            layer.polygon(complex(x, y) + (0.05 + 0.15 * length) * _turn(rng) * BAR)
        for x, y, radius in rng.random((5, 3)):
            layer.dot(complex(x, y), 0.01 + 0.03 * radius)
        _paste(canvas, _colour(rng, (0.4, 0.6), (0.2, 0.6)), layer.alpha())


def _stripes(mask: _Mask, centre: complex, radius: float, rng: np.random.Generator) -> None:
    """Parallel bands, as wide as the gaps between them, over the whole disc."""
    period = radius * rng.uniform(0.24, 0.32)
    turn = _turn(rng)
    band = np.array([-radius, radius, radius + 0.5j * period, -radius + 0.5j * period])
    for offset in np.arange(-radius, radius, period) + rng.uniform(-period, 0):
        mask.polygon(centre + turn * (band + 1j * offset))


def _dots(mask: _Mask, centre: complex, radius: float, rng: np.random.Generator) -> None:
    """Dots in staggered rows over the whole disc."""
    period = radius * rng.uniform(0.48, 0.60)
    step = _turn(rng) * period
    for row in range(-3, 4):
        for column in range(-3, 4):
            mask.dot(centre + step * (column + 0.5 * (row % 2) + 0.866j * row), 0.3 * period)


def _corners(count: int) -> np.ndarray:
    """The corners of a regular polygon on the unit circle, the first at the top."""
    return -1j * np.exp(2j * np.pi * np.arange(count) / count)


def _star() -> np.ndarray:
    return (_corners(10).reshape(5, 2) * [1, 0.45]).ravel()


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return (x - 1j * (y + 2)) / 17


# Every shape within the unit circle, upright.
OUTLINES = {
    "disc": 0.9 * _corners(64),
    "square": _corners(4) * np.exp(0.25j * np.pi),
    "triangle": _corners(3),
    "star": _star(),
    "heart": _heart(),
}
TILT = 0.05                     # revolutions, to either side
BAR = np.array([-0.5 - 0.06j, 0.5 - 0.06j, 0.5 + 0.06j, -0.5 + 0.06j])
MARKS = {"striped": _stripes, "dotted": _dots}
SHADOW = [round(0.25 * alpha) for alpha in range(256)]

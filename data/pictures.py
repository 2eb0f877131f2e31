"""Built-in pictures: ten classes drawn from a seed, so that everything runs with no download.

A class is a shape filled with a texture. The shape lies anywhere, at any angle, light on dark or dark on light, so that neither a pixel
nor a colour betrays it: telling the five shapes apart takes their outline, telling stripes from dots takes their texture.

Geometry is in complex numbers: x + iy, with the picture's side as the unit; a turn is a product.
"""
import colorsys

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from data.checks import whole

SHAPES = ("disc", "square", "triangle", "star", "heart")
TEXTURES = ("striped", "dotted")
CLASSES = tuple(f"{texture} {shape}" for shape in SHAPES for texture in TEXTURES)


class BuiltinPictures:
    """`count` drawn pictures of size x size pixels; picture i has label i % 10, and depends on (seed, i) alone.

    The same seed and index at another size give the same picture, larger or smaller. Nothing is stored: pictures are drawn when asked for.
    Use different seeds for training and held-out pictures.
    """

    classes = CLASSES

    def __init__(self, count, size, seed=0):
        self.count = whole("BuiltinPictures: count", count, 1)
        self.size = whole("BuiltinPictures: size", size, 8)
        self.seed = whole("BuiltinPictures: seed", seed, 0)
        self.labels = np.arange(self.count) % len(CLASSES)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        """-> (picture uint8 (size, size, 3), label)"""
        if not 0 <= index < self.count:
            raise IndexError(f"BuiltinPictures: index {index} is outside 0..{self.count - 1}")
        label = int(self.labels[index])
        return draw_picture(label, self.size, np.random.default_rng((self.seed, int(index)))), label

    def name(self, index):
        """What to call picture `index` in a message."""
        return f"built-in picture {index} (seed {self.seed})"

    def __repr__(self):
        return f"BuiltinPictures(count={self.count}, size={self.size}, seed={self.seed})"


def draw_picture(label, size, rng):
    """One picture of class `label`, everything else about it drawn from `rng` -> uint8 (size, size, 3)"""
    shape, texture = SHAPES[label // len(TEXTURES)], TEXTURES[label % len(TEXTURES)]
    ground_is_dark = rng.random() < 0.5
    canvas = _ground(size, rng, ground_is_dark)
    _scatter_clutter(canvas, rng, ground_is_dark)

    radius = rng.uniform(0.26, 0.42)
    centre = complex(*rng.uniform(radius, 1 - radius, 2))
    body = _Mask(size)
    body.polygon(centre + radius * _turn(rng) * OUTLINES[shape])
    marks = _Mask(size)
    MARKS[texture](marks, centre, radius, rng)

    light, dark = _colour(rng, (0.68, 0.88), (0.6, 1)), _colour(rng, (0.15, 0.36), (0.5, 1))
    body_colour, marks_colour = (light, dark) if ground_is_dark else (dark, light)
    body_alpha = body.alpha()
    _paste(canvas, (0, 0, 0), ImageChops.offset(body_alpha, round(size * 0.02)), opacity=0.25)     # a shadow
    _paste(canvas, body_colour, body_alpha)
    _paste(canvas, marks_colour, ImageChops.multiply(body_alpha, marks.alpha()))
    return np.array(canvas)


class _Mask:
    """What to paint, drawn enlarged and then reduced, which smooths its edges."""

    def __init__(self, size):
        self.enlarged = 2 if size >= 128 else 4
        self.scale = size * self.enlarged
        self.image = Image.new("L", (self.scale, self.scale))
        self.pen = ImageDraw.Draw(self.image)

    def polygon(self, points):
        self.pen.polygon((points * self.scale).view(np.float64).tolist(), fill=255)

    def dot(self, centre, radius):
        x, y, r = centre.real * self.scale, centre.imag * self.scale, radius * self.scale
        self.pen.ellipse((x - r, y - r, x + r, y + r), fill=255)

    def alpha(self):
        return self.image.reduce(self.enlarged)


def _paste(canvas, colour, alpha, opacity=1.0):
    canvas.paste(colour, mask=alpha if opacity == 1 else alpha.point([round(opacity * a) for a in range(256)]))


def _turn(rng):
    return np.exp(2j * np.pi * rng.random())


def _colour(rng, lightness, saturation):
    """A colour of any hue; lightness and saturation are (lowest, highest) within 0..1 -> (red, green, blue) within 0..255"""
    colour = colorsys.hls_to_rgb(rng.random(), rng.uniform(*lightness), rng.uniform(*saturation))
    return tuple(round(255 * channel) for channel in colour)


def _ground(size, rng, is_dark):
    """A smooth blend of four colours, one in each corner."""
    lightness = (0.1, 0.32) if is_dark else (0.7, 0.95)
    corners = np.array([_colour(rng, lightness, (0.1, 0.5)) for _ in range(4)], np.uint8).reshape(2, 2, 3)
    return Image.fromarray(corners).resize((size, size), Image.Resampling.BICUBIC)


def _scatter_clutter(canvas, rng, ground_is_dark):
    """Faint bars and spots behind the shape, so that a lone edge or spot tells nothing."""
    for _ in range(2):
        layer = _Mask(canvas.width)
        for x, y, length in rng.random((5, 3)):
            layer.polygon(complex(x, y) + (0.05 + 0.15 * length) * _turn(rng) * BAR)
        for x, y, radius in rng.random((5, 3)):
            layer.dot(complex(x, y), 0.01 + 0.03 * radius)
        _paste(canvas, _colour(rng, (0.4, 0.6), (0.2, 0.6)), layer.alpha(), opacity=0.5)


def _stripes(mask, centre, radius, rng):
    period = radius * rng.uniform(0.30, 0.42)
    along = _turn(rng)
    stripe = np.array([-1 - 0.25j, 1 - 0.25j, 1 + 0.25j, -1 + 0.25j]) * (radius + 1j * 0)
    stripe = stripe.real + 1j * np.array([-1, -1, 1, 1]) * period / 4
    for offset in np.arange(-radius, radius, period) + rng.uniform(0, period):
        mask.polygon(centre + along * (stripe + 1j * offset))


def _dots(mask, centre, radius, rng):
    period = radius * rng.uniform(0.34, 0.46)
    along = _turn(rng) * period
    for row in range(-3, 4):
        for column in range(-3, 4):
            mask.dot(centre + along * (column + 0.5 * (row % 2) + 0.866j * row), 0.3 * period)


def _circle(corners, turn=0.0):
    return np.exp(2j * np.pi * (np.arange(corners) / corners + turn))


def _star():
    return (_circle(10).reshape(5, 2) * [1, 0.45]).ravel()


def _heart():
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return (x - 1j * (y + 2)) / 16


# Corners of each shape within the unit circle.
OUTLINES = {"disc": 0.9 * _circle(64), "square": _circle(4), "triangle": _circle(3), "star": _star(), "heart": _heart()}
BAR = np.array([-0.5 - 0.06j, 0.5 - 0.06j, 0.5 + 0.06j, -0.5 + 0.06j])
MARKS = {"striped": _stripes, "dotted": _dots}

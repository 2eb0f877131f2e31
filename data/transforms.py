"""From a decoded picture to the network's input, as in the 2012 paper (section 4.1), step by small step.

Each step is called as `step(image, rng)`, with image uint8 (H, W, 3) and rng a NumPy Generator (which steps without chance ignore).
All steps but SubtractMean and Normalize keep the dtype. Bytes are four times less to move than floats, so the conversion comes last,
once, unless each pixel has a mean of its own, which must be subtracted before the picture is cropped or mirrored.
"""
import numpy as np
from PIL import Image

from .checks import whole
from .images import UnreadableImage


def _three_numbers(name, values):
    array = np.array(values, np.float32)
    if array.shape != (3,) or not np.isfinite(array).all():
        raise ValueError(f"{name} must be three finite numbers (red, green, blue), not {values!r}")
    return array


class Compose:
    """`steps`, one after the other."""

    def __init__(self, steps):
        self.steps = list(steps)
        for step in self.steps:
            if not callable(step):
                raise TypeError(f"Compose: steps must be transforms, not {step!r}")

    def __call__(self, image, rng):
        for step in self.steps:
            image = step(image, rng)
        return image

    def __repr__(self):
        return "Compose([" + ", ".join(map(repr, self.steps)) + "])"


class Resize:
    """Scale the shorter side to `shorter_side` pixels, keeping proportions: bilinear, averaged over all source pixels when shrinking.

    The longer side is cut to whole pixels, not rounded, as in torchvision: published weights then see what they were trained on.
    """

    def __init__(self, shorter_side):
        self.shorter_side = whole("Resize: shorter_side", shorter_side, 1)

    def __call__(self, image, rng):
        return image if min(image.shape[:2]) == self.shorter_side else np.asarray(self.scale(Image.fromarray(image)))

    def scale(self, image):
        """The same from one Pillow picture to another."""
        shorter = min(image.size)
        if shorter == self.shorter_side:
            return image
        size = [side * self.shorter_side // shorter for side in image.size]
        return image.resize(size, Image.Resampling.BILINEAR)

    def __repr__(self):
        return f"Resize({self.shorter_side})"


class Squash:
    """Scale to `side` x `side` pixels, whatever the proportions: what Caffe's tools did to ImageNet."""

    def __init__(self, side):
        self.side = whole("Squash: side", side, 1)

    def __call__(self, image, rng):
        if image.shape[:2] == (self.side, self.side):
            return image
        return np.asarray(Image.fromarray(image).resize((self.side, self.side), Image.Resampling.BILINEAR))

    def __repr__(self):
        return f"Squash({self.side})"


def _check_fits(step, image):
    height, width = image.shape[:2]
    if min(height, width) < step.size:
        raise ValueError(f"{step!r}: the picture has only {height} x {width} pixels; put a Resize before")


def middle(room):
    """Where a crop begins that leaves `room` pixels over: half of them, rounded to an even number where it is between two (torchvision)."""
    return round(room / 2)


class CenterCrop:
    """The central size x size pixels."""

    def __init__(self, size):
        self.size = whole("CenterCrop: size", size, 1)

    def __call__(self, image, rng):
        _check_fits(self, image)
        top, left = middle(image.shape[0] - self.size), middle(image.shape[1] - self.size)
        return image[top:top + self.size, left:left + self.size]

    def __repr__(self):
        return f"CenterCrop({self.size})"


class RandomCrop:
    """size x size pixels from anywhere in the picture, after `padding` black pixels were put on every side."""

    def __init__(self, size, padding=0):
        self.size = whole("RandomCrop: size", size, 1)
        self.padding = whole("RandomCrop: padding", padding, 0)

    def __call__(self, image, rng):
        if self.padding:
            image = np.pad(image, ((self.padding,) * 2, (self.padding,) * 2, (0, 0)))
        _check_fits(self, image)
        top, left = rng.integers(0, (image.shape[0] - self.size + 1, image.shape[1] - self.size + 1))
        return image[top:top + self.size, left:left + self.size]

    def __repr__(self):
        return f"RandomCrop({self.size}, padding={self.padding})"


class RandomHorizontalFlip:
    """Mirror left and right with probability `p`."""

    def __init__(self, p=0.5):
        if not 0 <= p <= 1:
            raise ValueError(f"RandomHorizontalFlip: p must lie within 0..1, not {p}")
        self.p = p

    def __call__(self, image, rng):
        return mirror(image) if rng.random() < self.p else image

    def __repr__(self):
        return f"RandomHorizontalFlip(p={self.p})"


def mirror(image):
    """Left and right exchanged in (..., H, W, 3), as a copy."""
    pixels = np.ascontiguousarray(image).view(f"V{3 * image.itemsize}")         # a pixel moved as one item moves faster than its three
    return np.ascontiguousarray(pixels[..., ::-1, :]).view(image.dtype)


class PCANoise:
    """Shift a picture's colour along the principal components of the training set's colours (2012 paper, section 4.1).

    Adds `components @ (alpha * eigenvalues)` with alpha ~ N(0, sigma), drawn once per picture: eigenvalues (3,) and components (3, 3),
    one a column, of the covariance of colours within 0..1. The default ones are in common use for ImageNet. The sum is rounded to bytes.
    """

    def __init__(self, sigma=0.1, eigenvalues=(0.2175, 0.0188, 0.0045),
                 components=((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))):
        if not sigma >= 0:
            raise ValueError(f"PCANoise: sigma must not be negative, it is {sigma}")
        self.sigma = sigma
        self.eigenvalues = _three_numbers("PCANoise: eigenvalues", eigenvalues)
        self.components = np.array(components, np.float32)
        if self.components.shape != (3, 3):
            raise ValueError(f"PCANoise: components must be 3 x 3, one component a column, not {self.components.shape}")

    @classmethod
    def fit(cls, dataset, sigma=0.1, pictures=1000, on_error="raise", report=lambda count: None):
        """The noise for `dataset`, from the colours of `pictures` pictures, evenly spread over it; report(1) is called for each.

        An unreadable one raises UnreadableImage, unless `on_error` is "skip" and there are others.
        """
        chosen = np.linspace(0, len(dataset) - 1, min(pictures, len(dataset))).astype(int)
        count, total, products = 0, np.zeros(3), np.zeros((3, 3))
        for index in chosen:
            report(1)
            try:
                colours = dataset[index][0].reshape(-1, 3) / 255
            except UnreadableImage:
                if on_error == "raise" or (index == chosen[-1] and not count):
                    raise
                continue
            count += len(colours)
            total += colours.sum(axis=0)
            products += colours.T @ colours
        mean = total / count
        eigenvalues, components = np.linalg.eigh(products / count - np.outer(mean, mean))
        return cls(sigma, np.maximum(eigenvalues, 0), components)

    def __call__(self, image, rng):
        return add_colour(image, self.shift(rng.normal(0, self.sigma, 3)))

    def shift(self, alpha):
        """What is added to each byte of red, green and blue, for alpha (..., 3) -> whole numbers (..., 3)"""
        return np.rint(255 * (alpha * self.eigenvalues @ self.components.T))

    def __repr__(self):
        return f"PCANoise(sigma={self.sigma}, eigenvalues={self.eigenvalues.tolist()})"


def add_colour(image, shift):
    """`image` (..., H, W, 3) + `shift` (..., 3), whole numbers, held within 0..255; all in bytes, which is fast."""
    width = image.shape[-2]
    up = _row(np.clip(shift, 0, 255).astype(np.uint8), width)[..., None, :]
    down = _row(np.clip(-shift, 0, 255).astype(np.uint8), width)[..., None, :]
    values = np.minimum(image.reshape(*image.shape[:-2], -1), 255 - up)
    values += up
    np.maximum(values, down, out=values)
    values -= down
    return values.reshape(image.shape)


def _row(colour, width):
    """`colour` (..., 3) for each of `width` pixels -> (..., width * 3): NumPy is eight times faster along such rows than along colours."""
    return np.tile(colour, width)


class TenCrop:
    """The four corners and the centre, size x size, then the same mirrored -> uint8 (10, size, size, 3)"""

    def __init__(self, size):
        self.size = whole("TenCrop: size", size, 1)

    def __call__(self, image, rng):
        _check_fits(self, image)
        crops = np.stack([image[top:top + self.size, left:left + self.size] for top, left in self.places(*image.shape[:2])])
        return np.concatenate([crops, mirror(crops)])

    def places(self, height, width):
        """(top, left) of the five crops of a picture."""
        bottom, right = height - self.size, width - self.size
        return (0, 0), (0, right), (bottom, 0), (bottom, right), (middle(bottom), middle(right))

    def __repr__(self):
        return f"TenCrop({self.size})"


class SubtractMean:
    """Pixel by pixel the mean picture `mean` (H, W, 3), of the same size: uint8 (H, W, 3) -> float32 (H, W, 3) (2012 paper, section 2)."""

    def __init__(self, mean):
        self.mean = np.asarray(mean, np.float32)
        if self.mean.ndim != 3 or self.mean.shape[2] != 3 or not np.isfinite(self.mean).all():
            raise ValueError(f"SubtractMean: mean must be a picture (H, W, 3) of finite numbers, not {self.mean.shape}")

    def __call__(self, image, rng):
        if image.shape != self.mean.shape:
            raise ValueError(f"{self!r}: the picture is {image.shape[0]} x {image.shape[1]}; put a Resize and a CenterCrop before")
        return image - self.mean

    def __repr__(self):
        return f"SubtractMean({self.mean.shape[0]} x {self.mean.shape[1]})"


class Normalize:
    """(image / 255 - mean) / std, channel by channel -> float32 (3, H, W), or (10, 3, H, W) after TenCrop.

    Its memory stays (H, W, 3), channels last, as the picture came and as convolutions like it.
    """

    def __init__(self, mean, std):
        self.mean = _three_numbers("Normalize: mean", mean)
        self.std = _three_numbers("Normalize: std", std)
        if not (self.std > 0).all():
            raise ValueError(f"Normalize: std must be positive, not {std!r}")

    def __call__(self, image, rng):
        return np.moveaxis(self.normalize(image, np.empty(image.shape, np.float32)), -1, -3)

    def normalize(self, image, out):
        """uint8 (..., H, W, 3) into out, float32 and as large, which is returned."""
        rows, width = (*image.shape[:-2], -1), image.shape[-2]
        values = np.multiply(image.reshape(rows), _row(1 / (255 * self.std), width), out=out.reshape(rows))
        values -= _row(self.mean / self.std, width)
        return out

    def __repr__(self):
        return f"Normalize(mean={self.mean.tolist()}, std={self.std.tolist()})"

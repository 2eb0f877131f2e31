"""A picture file of any size and mode -> an RGB array."""
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError


class UnreadableImage(Exception):
    """A picture file that cannot be decoded; its message is one sentence with the path."""

    def __init__(self, path, reason):
        super().__init__(path, reason)      # what unpickling calls this with, in another process
        self.path = path
        self.reason = reason

    def __str__(self):
        return f"{self.path} cannot be read as a picture: {self.reason}"


LONGEST = 200       # times its shorter side: a longer picture, scaled until the shorter side is that of others, would fill the memory


def load_image(file, name=None):
    """Decode a picture -> uint8 (H, W, 3). Raises UnreadableImage; see load_rgb."""
    return np.array(load_rgb(file, name))


def load_rgb(file, name=None):
    """Decode the picture at a path, or in an open file, called `name` in messages -> a Pillow picture of mode RGB, upright by its EXIF.

    Transparency is laid on white, 16 bits are scaled to 8, and of an animation the first frame is taken. Raises UnreadableImage, also
    for a picture one side of which is more than LONGEST times the other.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")                                     # odd metadata is no reason to complain ...
            warnings.simplefilter("error", Image.DecompressionBombWarning)      # ... but a bomb is refused
            with Image.open(file) as image:
                if max(image.size) > LONGEST * min(image.size):
                    raise ValueError(f"{image.width} x {image.height} pixels, one side more than {LONGEST} times the other")
                return to_rgb(image)
    except Exception as error:      # Pillow's decoders raise nearly anything on a broken file: OSError, SyntaxError, struct.error ...
        raise UnreadableImage(str(name or file), _reason(error)) from error


def to_rgb(image):
    """A Pillow picture of any mode -> upright, in mode RGB."""
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16") or image.mode == "I":
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode == "F":
        return Image.fromarray(np.clip(np.asarray(image), 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")       # which would copy it


def _eight_bits(array):
    """16-bit grey levels, as Pillow's modes I;16 and I hold them -> uint8"""
    return (np.clip(array, 0, 65535) // 257).astype(np.uint8)


def _reason(error):
    if isinstance(error, UnidentifiedImageError):       # whose message repeats the path, or shows an object's address
        return "no picture format that Pillow knows"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(str(error).split()) or type(error).__name__

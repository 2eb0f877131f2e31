"""Damaged pictures: each becomes an image, or one UnreadableImage; nothing else is raised."""
import io
import struct
from collections import Counter

import numpy as np
import pytest
from PIL import Image, features

from data import UnreadableImage, load_image

FORMATS = ("JPEG", "progressive", "PNG", "palette", "GIF", "WEBP", "TIFF", "compressed", "BMP",
           "MPO", "PPM", "TGA")


def picture(form):
    rng = np.random.default_rng(1)
    smooth = np.add.outer(np.arange(40), np.arange(52))[..., None] * [2, 1, 3] % 256
    image = Image.fromarray((smooth + rng.integers(0, 9, smooth.shape)).clip(0, 255)
                            .astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a cat"
    file = io.BytesIO()
    options = {"JPEG": {"exif": exif}, "progressive": {"progressive": True, "exif": exif},
               "GIF": {"save_all": True, "append_images": [image.rotate(90)]},
               "PNG": {"exif": exif}, "WEBP": {"exif": exif},
               "compressed": {"compression": "tiff_deflate"},
               "MPO": {"save_all": True, "append_images": [image]}}.get(form, {})
    image = image.convert("P") if form in ("palette", "GIF") else image
    image.save(file, {"progressive": "JPEG", "palette": "PNG", "compressed": "TIFF"}.get(
        form, form), **options)
    return file.getvalue()


def damaged(content, rng):
    """One of several kinds of damage, at a random place."""
    b, kind = bytearray(content), rng.integers(7)
    at = int(rng.integers(len(b)))
    if kind == 0:
        del b[at:]
    elif kind == 1:
        for place in rng.integers(0, len(b), rng.integers(1, 9)):
            b[place] ^= 1 << int(rng.integers(8))
    elif kind == 2:                             # in the head, where sizes and offsets are
        b[int(rng.integers(min(64, len(b))))] = int(rng.choice([0, 1, 127, 128, 255]))
    elif kind == 3 and len(b) > 80:             # a length or an offset blown up
        where = int(rng.integers(60))
        b[where:where + 4] = struct.pack(">I", int(rng.choice([0, 1, 2**16, 2**31 - 1, 2**32 - 1])))
    elif kind == 4:
        del b[at:at + int(rng.integers(1, 200))]
    elif kind == 5:
        b[at:at] = rng.integers(0, 256, int(rng.integers(1, 200)), dtype=np.uint8).tobytes()
    else:
        end = min(len(b), at + int(rng.integers(1, 100)))
        b[at:end] = bytes(end - at)
    return bytes(b)


def read_all(form, count, seed):
    content, rng, ends = picture(form), np.random.default_rng(seed), Counter()
    for _ in range(count):
        try:
            image = load_image(io.BytesIO(damaged(content, rng)))
        except UnreadableImage as error:
            assert str(error) and "\n" not in str(error) and len(str(error)) < 500
            ends["refused"] += 1
        else:
            assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
            ends["read"] += 1
    return ends


@pytest.mark.parametrize("form", FORMATS)
def test_damaged_pictures_are_read_or_refused_in_one_sentence(form):
    if form == "WEBP" and not features.check("webp"):
        pytest.skip("this Pillow reads no WebP")
    ends = read_all(form, 1000, seed=0)
    assert ends["refused"] and ends["read"] and sum(ends.values()) == 1000

"""Every mode of Pillow, and every range of grey levels, becomes RGB by the rules of modes.py."""
import colorsys
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from data import load_image
from data.modes import to_rgb           # for the modes that no file format holds

Image.init()
RNG = np.random.default_rng(0)
LOSSLESS = ("BMP", "PNG", "PPM", "SGI", "TGA", "TIFF", "ICO", "PCX", "QOI", "MSP")


def read(image, form="TIFF", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    file.seek(0)
    return load_image(file)


def tiff(array, photometric=1, order="<", sample_format=None, bits=None):
    """The bytes of an uncompressed grey TIFF, written by hand."""
    kind = sample_format or {"u": 1, "i": 2, "f": 3}[array.dtype.kind]
    bits, pixels = bits or 8 * array.itemsize, array.astype(array.dtype.newbyteorder(order))
    fields = [(256, 3, array.shape[1]), (257, 3, array.shape[0]), (258, 3, bits), (259, 3, 1),
              (262, 3, photometric), (273, 4, 200), (277, 3, 1), (278, 3, array.shape[0]),
              (279, 4, pixels.nbytes), (339, 3, kind)]
    entries = b"".join(
        struct.pack(order + ("HHIHH" if field_kind == 3 else "HHII"), tag, field_kind, 1, value,
                    *([0] if field_kind == 3 else [])) for tag, field_kind, value in fields)
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HIH", 42, 8, len(fields))
    return (head + entries + bytes(4)).ljust(200, b"\0") + pixels.tobytes()


def grey(levels, dtype, **options):
    """What a TIFF of one row of these levels becomes: the three channels agree."""
    loaded = load_image(io.BytesIO(tiff(np.array([levels], dtype), **options)))
    assert (loaded == loaded[..., :1]).all()
    return loaded[0, :, 0].tolist()


# ---- grey levels -------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype, order", [        # Pillow refuses u4 in big-endian order
    (dtype, order) for dtype in ("u2", "i2", "u4", "i4", "f4") for order in "<>"
    if dtype + order != "u4>"])
def test_levels_of_0_to_255_in_a_wider_type_are_not_black(dtype, order):
    assert grey([0, 1, 128, 255], dtype, order=order) == [0, 1, 128, 255]


@pytest.mark.parametrize("order", "<>")
def test_a_float_picture_of_0_to_1_is_not_black(order):
    assert grey([0, 1 / 255, 0.5, 1], "f4", order=order) == [0, 1, 128, 255]


@pytest.mark.parametrize("dtype, levels, expected", [
    ("u2", [0, 16, 2048, 4095], [0, 0, 127, 255]),                      # 12 bits
    ("u2", [0, 257, 32768, 65535], [0, 1, 127, 255]),
    ("i4", [0, 257, 32768, 65535], [0, 1, 127, 255]),
    ("i2", [-32768, -1, 0, 32767], [0, 0, 0, 127]),                     # of 65535
    ("i4", [0, 2**30, 2**31 - 1], [0, 127, 255]),                       # beyond: the brightest
    ("u4", [0, 2**31, 2**32 - 1], [0, 127, 255]),
    ("i4", [-5, 0, 1_000_000, 500_000], [0, 0, 255, 127]),
    ("i1", [-128, -1, 0, 127], [0, 0, 0, 127]),
    ("f4", [0, 127.5, 255], [0, 128, 255]),
    ("f4", [-1, 0, 0.25, 1.2], [0, 0, 64, 255]),                        # sharpened beyond 0..1
    ("f4", [0, 300, 65535], [0, 1, 255]),
    ("f4", [0, 5e5, 1e6], [0, 128, 255]),
    ("f4", [np.nan, -np.inf, np.inf, 0.5, 1], [0, 0, 255, 128, 255]),
    ("f4", [np.nan, np.inf, 0.0], [0, 255, 0]),
    ("f4", [0.0, -3.0], [0, 0]),
])
def test_ranges_of_grey_levels(dtype, levels, expected):
    assert grey(levels, dtype) == expected


@pytest.mark.parametrize("dtype, levels, expected", [
    ("u1", [0, 255], [255, 0]), ("u2", [0, 65535], [255, 0]), ("f4", [0, 0.25, 1], [255, 191, 0])])
def test_white_is_zero(dtype, levels, expected):
    assert grey(levels, dtype, photometric=0) == expected


def png(bits, colour_type, rows, *chunks):
    def chunk(name, content):
        return (struct.pack(">I", len(content)) + name + content
                + struct.pack(">I", zlib.crc32(name + content)))

    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    data = np.asarray(rows, ">u2" if bits == 16 else "u1")
    size = struct.pack(">IIBBBBB", data.shape[1] // channels, len(data), bits, colour_type, 0, 0, 0)
    lines = b"".join(b"\0" + row.tobytes() for row in data)
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size)
                      + b"".join(chunk(*c) for c in chunks)
                      + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))


def test_png_of_16_bits_has_the_range_that_the_format_says():
    dark = load_image(png(16, 0, [[0, 255, 257, 514]]))
    assert dark[0, :, 0].tolist() == [0, 0, 1, 2]
    colour = load_image(png(16, 2, [[65535, 0, 257, 0, 65535, 514]]))
    assert colour[0].tolist() == [[255, 0, 1], [0, 255, 2]]
    seen = load_image(png(16, 4, [[0, 65535, 0, 0]]))
    assert seen[0, :, 0].tolist() == [0, 255]
    rgba = load_image(png(16, 6, [[65535, 0, 0, 65535, 0, 0, 0, 0]]))
    assert rgba[0].tolist() == [[255, 0, 0], [255, 255, 255]]


def test_the_transparent_level_of_a_16_bit_png_is_white():
    loaded = load_image(png(16, 0, [[0, 300, 40_000]], (b"tRNS", struct.pack(">H", 300))))
    assert loaded[0, :, 0].tolist() == [0, 255, 155]


def test_a_float_picture_in_portable_float_map():
    image = Image.fromarray(np.array([[0, 0.25, 1], [0.5, 0.75, 1]], np.float32))
    assert read(image, "PPM")[..., 1].tolist() == [[0, 64, 255], [128, 191, 255]]


# ---- every mode --------------------------------------------------------------------------------

def image_of(mode, size=(16, 16)):
    width, height = size
    if mode == "1":
        return Image.fromarray(RNG.integers(0, 2, (height, width)).astype(bool))
    if mode in ("I", "F"):
        return Image.fromarray(RNG.integers(0, 256, (height, width)).astype(
            np.int32 if mode == "I" else np.float32))
    if mode.startswith("I;16"):
        levels = RNG.integers(0, 65536, (height, width))
        levels[0, 0] = 65535
        return Image.fromarray(levels.astype(">u2" if mode.endswith("B") else "<u2"))
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)
    image = Image.frombytes(mode, size, pixels.tobytes())
    if mode in ("P", "PA"):
        image.putpalette(RNG.integers(0, 256, 768).astype(np.uint8).tobytes(), "RGB")
    return image


def on_white(colours, alpha):
    return 255 + (colours.astype(float) - 255) * alpha[..., None] / 255


def expected(image):
    """Floats (H, W, 3) of 0..255, by each mode's own definition."""
    mode, pixels = image.mode, np.asarray(image)
    if mode in ("1", "I", "F") or mode.startswith("I;16"):
        levels = {"1": 255.0, "I": 1.0, "F": 1.0}.get(mode, 1 / 257) * pixels
        return np.repeat(levels[..., None], 3, 2)
    if mode == "P":
        return np.array(image.getpalette()).reshape(-1, 3)[pixels].astype(float)
    if mode == "PA":
        return on_white(np.array(image.getpalette()).reshape(-1, 3)[pixels[..., 0]],
                        pixels[..., 1])
    if mode == "L":
        return np.repeat(pixels[..., None], 3, 2).astype(float)
    if mode == "LA":
        return on_white(np.repeat(pixels[..., :1], 3, 2), pixels[..., 1])
    if mode in ("RGB", "RGBX"):
        return pixels[..., :3].astype(float)
    if mode == "RGBA":
        return on_white(pixels[..., :3], pixels[..., 3])
    if mode == "CMYK":
        paper = 255 - pixels.astype(float)
        return paper[..., :3] * paper[..., 3:] / 255
    if mode == "HSV":
        triples = pixels.reshape(-1, 3) / 255
        return 255 * np.array([colorsys.hsv_to_rgb(*t) for t in triples]).reshape(pixels.shape)
    assert mode == "YCbCr"              # ITU-T T.871
    y, cb, cr = np.moveaxis(pixels.astype(float), 2, 0) - [[[0]], [[128]], [[128]]]
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], 2)
    return rgb.clip(0, 255)


# Pairs that Pillow itself writes as something else: a float as bytes, 16 bits as a palette, int32
# as 16-bit PGM or PNG, whose own range the test above has, alpha left out.
NOT_KEPT = {("I", "PPM"), ("I", "PNG"), ("RGBA", "PPM"), ("RGBA", "BMP")}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK",
                                  "YCbCr", "I", "I;16", "I;16B", "F"])
@pytest.mark.filterwarnings("ignore:Saving I mode")
def test_every_mode_in_every_lossless_format_that_pillow_writes_it_to(mode):
    written = 0
    for form in LOSSLESS:
        image = image_of(mode)
        try:
            file = io.BytesIO()
            image.save(file, form, **({"bitmap_format": "bmp"} if form == "ICO" else {}))
            Image.open(file).load()
        except (OSError, ValueError, KeyError):
            continue                    # it does not write this mode, or not so that it can read it
        if (mode, form) in NOT_KEPT or form == "ICO" and mode == "I;16B":
            continue
        file.seek(0)
        written += 1
        np.testing.assert_allclose(load_image(file), expected(image), atol=1.01, err_msg=form)
    assert written or mode == "YCbCr"   # Pillow 12.3 cannot read its own


def test_hsv_and_lab():
    hsv = image_of("HSV")
    np.testing.assert_allclose(np.asarray(to_rgb(hsv)), expected(hsv), atol=6)
    # CIE 1976, D50 white: L = 100 is white, L = 0 black, L = 53.6, a = b = 0 a middle grey.
    lab = Image.frombytes("LAB", (3, 1), bytes([255, 0, 0, 0, 0, 0, 137, 0, 0]))
    np.testing.assert_allclose(read(lab)[0].mean(axis=1), [255, 0, 128], atol=2)


def test_alpha_that_is_multiplied_in():
    image = Image.frombytes("RGBa", (2, 1), bytes([100, 0, 0, 128, 0, 0, 0, 0]))
    np.testing.assert_allclose(np.asarray(to_rgb(image))[0], [[227, 127, 127], [255] * 3], atol=1)

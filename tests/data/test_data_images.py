"""Every kind of image file becomes uint8 (H, W, 3), every broken one a sentence with its path."""
import pickle
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from data import UnreadableImage, load_image

RED, WHITE = [255, 0, 0], [255, 255, 255]


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def saved(image, path, **options):
    image.save(path, **options)
    return path


def test_rgb_is_read_as_it_was_written(tmp_path, pixels):
    loaded = load_image(saved(Image.fromarray(pixels), tmp_path / "a.png"))
    assert loaded.dtype == np.uint8
    np.testing.assert_array_equal(loaded, pixels)


def test_greyscale_becomes_three_equal_channels(tmp_path, pixels):
    loaded = load_image(saved(Image.fromarray(pixels[..., 0]), tmp_path / "a.png"))
    np.testing.assert_array_equal(loaded, np.repeat(pixels[..., :1], 3, axis=2))


def test_one_bit(tmp_path):
    bits = np.array([[True, False, True], [False, False, True]])
    loaded = load_image(saved(Image.fromarray(bits), tmp_path / "a.png"))
    np.testing.assert_array_equal(loaded, 255 * np.repeat(bits[..., None], 3, axis=2))


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_keep_their_eight_highest(tmp_path, suffix):
    levels = np.array([[0, 257, 32768, 65535]], np.uint16)
    loaded = load_image(saved(Image.fromarray(levels), tmp_path / f"a.{suffix}"))
    np.testing.assert_array_equal(loaded[0, :, 1], [0, 1, 127, 255])


def test_alpha_is_laid_on_white(tmp_path):
    rgba = np.array([[RED + [255], RED + [0], RED + [102]]], np.uint8)
    loaded = load_image(saved(Image.fromarray(rgba), tmp_path / "a.png"))
    half_seen = [255, 153, 153]         # 0.4 red + 0.6 white
    np.testing.assert_array_equal(loaded[0], [RED, WHITE, half_seen])


def test_grey_with_alpha(tmp_path):
    image = Image.frombytes("LA", (2, 1), bytes([0, 255, 0, 0]))
    loaded = load_image(saved(image, tmp_path / "a.png"))
    np.testing.assert_array_equal(loaded[0], [[0, 0, 0], WHITE])


@pytest.mark.parametrize("transparent, second", [(None, [0, 0, 255]), (1, WHITE)])
def test_palette(tmp_path, transparent, second):
    image = Image.frombytes("P", (2, 1), bytes([0, 1]))
    image.putpalette(RED + [0, 0, 255])
    options = {} if transparent is None else {"transparency": transparent}
    loaded = load_image(saved(image, tmp_path / "a.png", **options))
    np.testing.assert_array_equal(loaded[0], [RED, second])


def test_rgb_with_a_transparent_colour(tmp_path):
    image = Image.fromarray(np.array([[RED, [0, 0, 255]]], np.uint8))
    loaded = load_image(saved(image, tmp_path / "a.png", transparency=(0, 0, 255)))
    np.testing.assert_array_equal(loaded[0], [RED, WHITE])


def test_cmyk(tmp_path):
    ink = bytes([0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 255])     # none, magenta + yellow, black
    loaded = load_image(saved(Image.frombytes("CMYK", (3, 1), ink), tmp_path / "a.tif"))
    np.testing.assert_array_equal(loaded[0], [WHITE, RED, [0, 0, 0]])


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_first_frame_of_an_animation(tmp_path, suffix):
    frames = [Image.new("RGB", (4, 3), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(load_image(tmp_path / f"a.{suffix}"), np.full((3, 4, 3), RED))


# What each EXIF orientation asks for, from the standard's own words: where row 0 and column 0 of
# the stored image belong.
UPRIGHT = {
    1: lambda stored: stored,                                   # top, left
    2: lambda stored: stored[:, ::-1],                          # top, right
    3: lambda stored: stored[::-1, ::-1],                       # bottom, right
    4: lambda stored: stored[::-1],                             # bottom, left
    5: lambda stored: stored.swapaxes(0, 1),                    # left, top
    6: lambda stored: stored.swapaxes(0, 1)[:, ::-1],           # right, top
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),        # right, bottom
    8: lambda stored: stored.swapaxes(0, 1)[::-1],              # left, bottom
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation(tmp_path, pixels, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = load_image(saved(Image.fromarray(pixels), tmp_path / "a.png", exif=exif))
    np.testing.assert_array_equal(loaded, UPRIGHT[orientation](pixels))


def jpeg_bytes(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return saved(Image.fromarray(noise), tmp_path / "whole.jpg").read_bytes()


def test_bad_files_raise_one_sentence_with_the_path(tmp_path):
    jpeg = jpeg_bytes(tmp_path)
    contents = {"truncated": jpeg[:len(jpeg) // 2], "text": b"not a picture\n", "empty": b"",
                "header": jpeg[:20], "png": b"\x89PNG\r\n\x1a\n" + b"\0" * 40,
                "gif": b"GIF89a" + b"\xff" * 30, "ppm": b"P6 99999 99999 255\n"}
    for name, content in contents.items():
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(content)
        check_refused(path)


def check_refused(path):
    with pytest.raises(UnreadableImage) as caught:
        load_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path} cannot be read as a picture: ") and "\n" not in message
    assert caught.value.path == str(path)
    return message


def test_missing_file_and_folder(tmp_path):
    assert "no such file" in check_refused(tmp_path / "nothing.jpg")
    check_refused(tmp_path)


def test_unreadable_permission(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")      # chmod does not stop root's tests

    path = saved(Image.new("RGB", (2, 2)), tmp_path / "a.png")
    monkeypatch.setattr(Image, "open", refuse)
    assert check_refused(path).endswith("permission denied")


@pytest.mark.parametrize("size", [(201, 1), (2, 401)])
def test_a_picture_too_long_to_be_scaled(tmp_path, size):
    path = tmp_path / "line.png"
    Image.new("RGB", size).save(path)
    reason = f"{size[0]} x {size[1]} pixels, one side more than 200 times the other"
    assert reason in check_refused(path)
    Image.new("RGB", (200, 1)).save(path)
    assert load_image(path).shape == (1, 200, 3)


def test_a_picture_of_many_pixels_is_read_up_to_pillows_error_limit(tmp_path, monkeypatch):
    path = saved(Image.new("RGB", (100, 100)), tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5_000)   # Pillow warns above, raises above twice
    assert load_image(path).shape == (100, 100, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4_999)
    assert check_refused(path).endswith(
        "more than 9,998 pixels, which --max-pixels (max_pixels) can allow")


@pytest.mark.parametrize("form", ["png", "jpg", "gif", "tif", "webp", "bmp"])
def test_max_pixels_allows_and_refuses_in_every_format(tmp_path, monkeypatch, form):
    path = saved(Image.new("RGB", (100, 99)), tmp_path / f"a.{form}")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    assert load_image(path, max_pixels=9_900).shape == (99, 100, 3)
    with pytest.raises(UnreadableImage, match="more than 9,899 pixels, which --max-pixels"):
        load_image(path, max_pixels=9_899)
    assert Image.MAX_IMAGE_PIXELS == 1_000


def test_max_pixels_in_threads_leaves_pillows_limit_as_it_was(tmp_path):
    path, before = saved(Image.new("RGB", (60, 50)), tmp_path / "a.png"), Image.MAX_IMAGE_PIXELS
    with ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(lambda _: load_image(path, max_pixels=3_000).shape, range(50)))
    assert allowed == [(50, 60, 3)] * 50 and Image.MAX_IMAGE_PIXELS == before


@pytest.mark.slow
def test_a_photograph_of_108_megapixels_is_read(tmp_path):
    path = saved(Image.new("L", (12_000, 9_000)), tmp_path / "a.png")
    assert load_image(path).shape == (9_000, 12_000, 3)


# ---- damaged EXIF ------------------------------------------------------------------------------

def exif(*entries, order="<", entry_count=None):
    """A TIFF directory by hand; entries: (tag, type, count, value as a number of 4 bytes)."""
    fields = b"".join(struct.pack(f"{order}HHII", *entry) for entry in entries)
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8)
    return head + struct.pack(f"{order}H", entry_count or len(entries)) + fields + bytes(4)


SIX = (0x0112, 3, 1, 6)
DAMAGED = {
    "text that lies outside": [(0x010E, 2, 40, 100_000), SIX],
    "text longer than a memory": [(0x010E, 2, 2**32 - 1, 8), SIX],
    "a type that does not exist": [(0x010F, 99, 1, 0), SIX],
    "a fraction without its bytes": [(0x011A, 5, 1, 5_000), SIX],
    "a subdirectory that is its own": [SIX, (0x8769, 4, 1, 8)],
    "a subdirectory outside": [SIX, (0x8769, 4, 1, 2**32 - 1)],
    "a place outside": [SIX, (0x8825, 4, 1, 70_000)],
    "a place of another type": [SIX, (0x8825, 2, 3, 0x41414141)],
    "a note without its bytes": [SIX, (0x927C, 7, 60_000, 60_000)],
    "numbers of no bytes": [(0x9286, 7, 0, 0), (0x013E, 5, 0, 0), SIX],
    "a directory twice": [(0x0100, 3, 1, 9), (0x0100, 3, 1, 9), SIX, SIX],
}


@pytest.mark.parametrize("form", ["jpg", "png", "webp"])
@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_exif_whose_orientation_is_readable_gives_upright_pictures(tmp_path, damage, form):
    image = Image.fromarray(np.uint8([[[0] * 3] * 40] * 8 + [[[255] * 3] * 40] * 16))
    path = saved(image, tmp_path / f"a.{form}", exif=b"Exif\0\0" + exif(*DAMAGED[damage]))
    loaded = load_image(path)           # 6: the first row is to be the right-hand side
    assert loaded.shape == (40, 24, 3)
    assert loaded[:, :14].min() > 200 and loaded[:, 18:].max() < 50


@pytest.mark.parametrize("order", "<>")
def test_exif_of_either_byte_order_that_is_cut_off(tmp_path, order):
    value = SIX[3] << (16 if order == ">" else 0)       # a SHORT lies in the first two bytes
    content = exif((*SIX[:3], value), order=order, entry_count=5_000)
    path = saved(Image.new("RGB", (7, 5)), tmp_path / "a.jpg", exif=b"Exif\0\0" + content[:24])
    assert load_image(path).shape == (7, 5, 3)


@pytest.mark.parametrize("content", [
    exif((0x0112, 3, 1, 0)), exif((0x0112, 3, 1, 9)), exif((0x0112, 3, 1, 65535)),
    exif((0x0112, 2, 1, 0x36)), exif((0x0112, 3, 0, 6)), exif((0x0112, 5, 1, 9_999)),
    exif(SIX)[:12], b"II*\0\xff\xff\xff\xff", b"II*\0", b"", b"no EXIF at all" * 5])
def test_exif_without_a_valid_orientation_leaves_pictures_as_they_are(tmp_path, content):
    path = saved(Image.new("RGB", (7, 5)), tmp_path / "a.jpg", exif=b"Exif\0\0" + content)
    assert load_image(path).shape == (5, 7, 3)


def test_orientation_in_xmp_alone(tmp_path):
    path = saved(Image.new("RGB", (7, 5)), tmp_path / "a.webp",
                 xmp=b'<rdf:Description tiff:Orientation="6"/>')
    assert load_image(path).shape == (7, 5, 3)


def test_the_error_survives_pickling():
    error = pickle.loads(pickle.dumps(UnreadableImage("a.jpg", "it is text")))
    assert (type(error), error.path, error.reason) == (UnreadableImage, "a.jpg", "it is text")
    assert str(error) == "a.jpg cannot be read as a picture: it is text"


def test_postscript_is_not_run_whatever_its_file_is_called(tmp_path, monkeypatch):
    """Pillow hands it to Ghostscript, where that is installed."""
    path = tmp_path / "cat.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"
                     b"showpage\n")
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(UnreadableImage, match="cat.jpg .*: it is PostScript, .* not run"):
        load_image(path)

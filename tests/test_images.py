"""Pictures are what Pillow says they are, damaged ones are refused, and PATH arguments find them in order."""

from __future__ import annotations

import errno
import gzip
import inspect
import io
import os
import random
import socket
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from edge_digits import images
from edge_digits.errors import ImageError
from edge_digits.image_headers import PICTURE_FORMATS, picture_format
from edge_digits.images import PictureSource, find_pictures, load_image, read_bytes
from edge_digits.opencv import cv2

HEIGHT, WIDTH = 40, 61
_Y, _X = np.mgrid[0:HEIGHT, 0:WIDTH]
GRAY = (_X * 4 % 256).astype(np.uint8)
RGB = np.stack([GRAY, _Y * 6 % 256, (_X + _Y) % 256], axis=-1).astype(np.uint8)
ALPHA = np.clip(_Y * 7, 0, 255).astype(np.uint8)
RGBA = np.dstack([RGB, ALPHA])
PALETTE = [0, 0, 0, 255, 0, 0, 0, 255, 0, 9, 9, 9]
EXTENSIONS = {known.name: known.extension for known in PICTURE_FORMATS}


def encode(array: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    """By Pillow."""
    file = io.BytesIO()
    (array if isinstance(array, Image.Image) else Image.fromarray(array)).save(file, kind, **options)
    return file.getvalue()


def encode_by_opencv(array: np.ndarray, extension: str) -> bytes:
    return bytes(cv2.imencode(extension, array)[1])


def palette_picture() -> Image.Image:
    picture = Image.fromarray((_X % 4).astype(np.uint8))
    picture.putpalette(PALETTE)
    return picture


def as_pillow_shows(data: bytes) -> np.ndarray:
    """Upright, on white, (H, W, 3) BGR."""
    with Image.open(io.BytesIO(data)) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return np.asarray(Image.alpha_composite(white, picture).convert("RGB"))[..., ::-1]


def in_color(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 3 else np.dstack([image] * 3)


def difference(image: np.ndarray, expected: np.ndarray) -> int:
    assert image.dtype == np.uint8
    assert in_color(image).shape == in_color(expected).shape
    return int(np.abs(in_color(image).astype(int) - in_color(expected)).max())


def reason(source: Any, **options: Any) -> str:
    with pytest.raises(ImageError) as caught:
        load_image(source, **options)
    assert "\n" not in caught.value.reason
    return caught.value.reason


def decodes(name: str) -> bool:
    try:
        return bool(cv2.haveImageWriter(EXTENSIONS[name]))
    except cv2.error:
        return False


def need(name: str) -> None:
    if not decodes(name):
        pytest.skip(f"this OpenCV has no decoder for {name}")


SAMPLES: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: encode(RGB, "PNG"),
    "JPEG": lambda: encode(RGB, "JPEG"),
    "GIF": lambda: encode(palette_picture(), "GIF"),
    "BMP": lambda: encode(RGB, "BMP"),
    "WebP": lambda: encode(RGB, "WEBP", quality=95),
    "TIFF": lambda: encode(RGB, "TIFF", compression="tiff_lzw"),
    "PNM": lambda: encode(RGB, "PPM"),
    "PAM": lambda: encode_by_opencv(RGB[..., ::-1], ".pam"),
    "PFM": lambda: encode_by_opencv(RGB[..., ::-1].astype(np.float32), ".pfm"),
    "Radiance HDR": lambda: encode_by_opencv(RGB[..., ::-1].astype(np.float32), ".hdr"),
    "Sun raster": lambda: encode_by_opencv(RGB[..., ::-1], ".ras"),
    "JPEG 2000": lambda: encode(RGB, "JPEG2000"),
    "AVIF": lambda: encode(RGB, "AVIF", quality=100, subsampling="4:4:4"),
}


# ---- what is decoded


@pytest.mark.parametrize("name", SAMPLES)
def test_format_is_known_by_its_content_and_decoded(name: str, tmp_path: Path) -> None:
    need(name)
    data = SAMPLES[name]()
    known = picture_format(data)
    assert known is not None
    assert known.name == name
    path = tmp_path / "misnamed.txt"
    path.write_bytes(data)
    expected = RGB[..., ::-1] if name in ("PFM", "Radiance HDR", "PAM") else as_pillow_shows(data)
    allowed = {"JPEG": 2, "AVIF": 3, "Radiance HDR": 3}.get(name, 0)
    assert difference(load_image(path), expected) <= allowed
    assert difference(load_image(str(path)), expected) <= allowed
    assert difference(load_image(data), expected) <= allowed


@pytest.mark.parametrize("name", SAMPLES)
def test_size_in_the_header_is_the_size_of_the_picture(name: str) -> None:
    data = SAMPLES[name]()
    known = picture_format(data)
    assert known is not None
    assert known.header(data).size == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        pytest.param(encode(GRAY, "PNG"), "PNG", id="png"),
        pytest.param(encode(GRAY, "JPEG"), "JPEG", id="jpeg"),
        pytest.param(encode(GRAY, "BMP"), "BMP", id="bmp"),
        pytest.param(encode(GRAY, "TIFF"), "TIFF", id="tiff"),
        pytest.param(encode(GRAY, "PPM"), "PNM", id="pgm"),
        pytest.param(encode(Image.fromarray(GRAY > 99), "PNG"), "PNG", id="png of one bit"),
        pytest.param(encode(Image.fromarray(GRAY > 99), "PPM"), "PNM", id="pbm"),
        pytest.param(encode(Image.fromarray(GRAY > 99), "TIFF", compression="group4"), "TIFF", id="fax"),
        pytest.param(encode(Image.fromarray(GRAY > 99), "TIFF", tiffinfo={262: 0}), "TIFF", id="tiff, white is 0"),
    ],
)
def test_gray_stays_one_channel(data: bytes, name: str) -> None:
    image = load_image(data)
    assert image.shape == (HEIGHT, WIDTH)
    assert difference(image, as_pillow_shows(data)) <= (2 if name == "JPEG" else 0)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encode(RGBA, "PNG"), id="png"),
        pytest.param(encode(np.dstack([GRAY, ALPHA]), "PNG"), id="png of gray and alpha"),
        pytest.param(encode(palette_picture(), "PNG", transparency=1), id="png with a clear palette entry"),
        pytest.param(encode(palette_picture(), "PNG", transparency=b"\x00\x80\xff"), id="png with a palette of alphas"),
        pytest.param(encode(GRAY, "PNG", transparency=40), id="png with a clear gray"),
        pytest.param(encode(RGB, "PNG", transparency=(40, 60, 20)), id="png with a clear color"),
        pytest.param(encode(RGBA, "WEBP", lossless=True, exact=True), id="webp"),
        pytest.param(encode(RGBA, "TIFF"), id="tiff"),
        pytest.param(encode(palette_picture(), "GIF", transparency=1), id="gif"),
        pytest.param(encode(RGBA, "JPEG2000"), id="jpeg 2000"),
    ],
)
def test_transparency_is_laid_on_white(data: bytes) -> None:
    known = picture_format(data)
    assert known is not None
    need(known.name)
    expected = as_pillow_shows(data)
    assert (expected == 255).all(axis=-1).any()
    assert difference(load_image(data), expected) <= 1


def test_ink_on_a_transparent_page_is_dark_on_light() -> None:
    page = np.zeros((20, 20, 4), np.uint8)  # ink and page are both black, and differ in alpha alone
    page[5:15, 9:11, 3] = 255
    image = load_image(encode(page, "PNG"))
    assert (image[5:15, 9:11] == 0).all()
    assert (image[:5] == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("pixels", [GRAY, RGB, RGBA], ids=["gray", "color", "transparent"])
def test_exif_rotation_is_applied_once(kind: str, orientation: int, pixels: np.ndarray) -> None:
    need("WebP" if kind == "WEBP" else kind)
    if kind == "JPEG" and pixels is RGBA:
        pytest.skip("JPEG has no transparency")
    exif = Image.Exif()
    exif[0x112] = orientation
    exact: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}
    options = exact.get(kind, {})
    data = encode(pixels, kind, exif=exif, **options)
    expected = as_pillow_shows(data)
    assert expected.shape[:2] == ((WIDTH, HEIGHT) if orientation > 4 else (HEIGHT, WIDTH))
    assert difference(load_image(data), expected) <= {"JPEG": 2, "AVIF": 3}.get(kind, 1)


def test_broken_exif_does_not_cost_the_picture() -> None:
    data = encode(RGB, "JPEG", exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff rubbish")
    assert load_image(data).shape == RGB.shape


def test_sixteen_bits_are_scaled_to_eight() -> None:
    deep = np.linspace(0, 65535, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
    expected = np.rint(deep / 257).astype(np.uint8)
    for data in (encode(deep, "PNG"), encode(deep, "TIFF"), encode(deep, "PPM"), encode_by_opencv(deep, ".jp2")):
        assert (load_image(data) == expected).all()
    clear = np.dstack([deep] * 3 + [np.zeros_like(deep)])
    assert (load_image(encode_by_opencv(clear, ".png")) == 255).all()


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_few_bits_of_sixteen_are_not_all_but_black(bits: int) -> None:
    deep = np.rint(GRAY / 255.0 * (2**bits - 1)).astype(np.uint16)
    for image in map(load_image, (encode(deep, "PNG"), encode(deep, "TIFF"), deep, np.dstack([deep] * 3))):
        assert difference(image, GRAY if image.ndim == 2 else np.dstack([GRAY] * 3)) == 0
    clear = np.dstack([np.dstack([deep] * 3), np.full_like(deep, 65535)])
    assert difference(load_image(clear), np.dstack([GRAY] * 3)) == 0
    assert (load_image(np.full((9, 9), 3, np.uint16)) == 3).all()  # black is black


def test_float_tiff_is_scaled_and_its_holes_are_white() -> None:
    holed = np.linspace(0, 1, HEIGHT * WIDTH).astype(np.float32).reshape(HEIGHT, WIDTH)
    holed[3, 4] = np.nan
    image = load_image(encode(holed, "TIFF"))
    assert image[3, 4] == 255
    assert (image[0] == np.rint(holed[0] * 255)).all()


def test_cmyk_is_shown_as_pillow_shows_it() -> None:
    for data in (encode(Image.fromarray(RGB).convert("CMYK"), kind) for kind in ("JPEG", "TIFF")):
        assert difference(load_image(data), as_pillow_shows(data)) <= 3


def test_filler_channel_of_a_tiff_is_left_out() -> None:
    data = bytearray(encode(RGBA, "TIFF"))
    data[data.index(struct.pack("<HHI", 338, 3, 1)) + 8] = 0  # ExtraSamples: unspecified
    assert difference(load_image(bytes(data)), RGB[..., ::-1]) == 0


def test_tiff_of_gray_and_alpha_is_refused_rather_than_misread() -> None:
    assert "gray with transparency" in reason(encode(np.dstack([GRAY, ALPHA]), "TIFF"))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_picture(kind: str) -> None:
    need("WebP" if kind == "WEBP" else kind)
    frames = [palette_picture(), ImageOps.invert(palette_picture().convert("RGB"))]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=100, **options)
    assert len(data) > len(encode(frames[0], kind, **options))
    if kind == "WEBP" and cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) is None:
        pytest.skip("this OpenCV cannot decode animated WebP")
    assert difference(load_image(data), np.asarray(frames[0].convert("RGB"))[..., ::-1]) == 0


@pytest.mark.parametrize(
    "text",
    [
        "P1 # a comment\n3 2\n1 0 1\n0 1 0",
        "P2\n# a comment\n3 2\n15\n0 5 10\n15 3 0",
        "P2\n3 2\n1000\n0 5 10\n1000 300 0",
        "P3\n1 2\n15\n15 0 5 1 2 3",
        "P5\n3 2\n15\n\x00\x05\x0a\x0f\x03\x00",
        "P5\n3 2\n1000\n\x00\x05\x00\x0a\x03\x00\x03\xe8\x00\x00\x01\x00",
        "P6\n1 2\n100\n\x64\x32\x00\x00\x01\x02",
    ],
)
def test_pnm_is_scaled_by_its_own_white(text: str) -> None:
    data = text.encode("latin-1")
    with Image.open(io.BytesIO(data)) as picture:
        deep = picture.mode.startswith("I")
        expected = np.asarray(picture.convert("I" if deep else "RGB"))
    expected = np.rint(expected / 257) if deep else expected[..., ::-1]
    assert difference(load_image(data), expected.astype(np.uint8)) <= 1


def test_whole_pictures_with_something_behind_them_are_read() -> None:
    for name, sample in SAMPLES.items():
        if decodes(name) and name in ("PNG", "JPEG", "GIF", "BMP", "WebP", "TIFF", "PNM"):
            assert (load_image(sample() + b"\0trailing bytes" * 9) == load_image(sample())).all(), name
    jpeg = encode(RGB, "JPEG")
    assert (load_image(jpeg[:2] + b"\xff\x01" + jpeg[2:]) == load_image(jpeg)).all()  # a marker that stands alone
    phone = encode(RGB, "JPEG", exif=b"Exif\0\0" + encode(RGB[::4, ::4], "JPEG"))  # a thumbnail with its own end marker
    assert load_image(phone + encode(GRAY, "JPEG")).shape == RGB.shape
    assert load_image(encode(RGB, "JPEG", progressive=True)).shape == RGB.shape
    assert load_image(encode(RGB, "JPEG", restart_marker_blocks=2)).shape == RGB.shape


# ---- arrays


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, np.float16, ">u2", ">f4"])
def test_arrays_of_every_type_become_the_same_image(dtype: Any) -> None:
    kind = np.dtype(dtype)
    array = RGB.astype(np.float64) / 255 if kind.kind == "f" else RGB.astype(kind) * (257 if kind.itemsize == 2 else 1)
    assert difference(load_image(array.astype(kind)), RGB) == 0


def test_array_shapes_become_gray_or_color() -> None:
    assert (load_image(GRAY) == GRAY).all()
    assert (load_image(GRAY[..., np.newaxis]) == GRAY).all()
    assert (load_image(RGB[:, ::-1]) == RGB[:, ::-1]).all()
    assert load_image(RGB[:, ::-1]).flags.c_contiguous
    assert (load_image(GRAY > 99) == np.where(GRAY > 99, 255, 0)).all()
    bgra = np.dstack([RGB[..., ::-1], ALPHA])
    assert difference(load_image(bgra), as_pillow_shows(encode(RGBA, "PNG"))) <= 1
    assert difference(load_image(bgra / 255.0), as_pillow_shows(encode(RGBA, "PNG"))) <= 1


def test_float_ranges_are_understood() -> None:
    ramp = np.linspace(0, 1, 256).reshape(16, 16)
    expected = np.arange(256).reshape(16, 16)
    for array in (ramp, ramp * 255, ramp * 2 - 1, ramp * 1e300, ramp * 1e6 - 7e5, np.float32(3e38) * (ramp * 2 - 1)):
        assert (load_image(array) == expected).all()
    overshot = ramp * 1.2 - 0.1  # as resizing leaves it
    assert (load_image(overshot) == np.rint(np.clip(overshot, 0, 1) * 255)).all()
    assert (load_image(np.full((2, 2), np.nan)) == 255).all()
    assert load_image(np.array([[np.inf, -np.inf, 0.0, 1.0]])).tolist() == [[255, 0, 0, 255]]
    assert load_image(np.full((2, 2), 255.0)).min() == 255
    assert load_image(np.array([[-1e308, 1e308]])).tolist() == [[0, 255]]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3,)), np.zeros((0, 4), np.uint8), np.zeros((4, 0, 3), np.uint8), np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 5), np.uint8), np.zeros((1, 4, 4, 3), np.uint8), np.zeros((4, 4), np.int64),
        np.zeros((4, 4), np.complex128), np.array([["a"]]), np.array([[None]]), [[1, 2]], None, 7,
    ],
)  # fmt: skip
def test_what_is_no_image_is_misuse(array: Any) -> None:
    with pytest.raises(ValueError, match=r"image is|image has|picture is"):
        load_image(array)


# ---- what is refused


def damaged_at_random(data: bytes, chance: random.Random) -> bytes:
    """One to three bits flipped, often near the start, where headers are."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(data) if chance.random() < 0.5 else min(64, len(data)))
        changed[place] ^= 1 << chance.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("name", SAMPLES)
def test_cut_or_flipped_files_raise_nothing_but_image_errors(name: str) -> None:
    data, chance = SAMPLES[name](), random.Random(name)
    cuts = sorted({*range(min(len(data), 100)), *(chance.randrange(len(data)) for _ in range(100)), len(data) - 1})
    refused = 0
    for cut in cuts:
        try:
            load_image(data[:cut], max_pixels=1_000_000)
        except ImageError:
            refused += 1
    if name != "PNG":
        assert refused >= len(cuts) - 2  # a last byte or two may be padding
    else:
        assert refused == len(cuts)
    for _ in range(300):
        try:
            image = load_image(damaged_at_random(data, chance), max_pixels=1_000_000)
        except ImageError:
            continue
        assert image.dtype == np.uint8
        assert image.ndim in (2, 3)


@pytest.mark.parametrize("name", ["PNG", "JPEG", "GIF", "BMP", "WebP", "TIFF", "PNM", "PAM", "PFM", "Sun raster"])
def test_cut_file_is_called_damaged(name: str) -> None:
    data = SAMPLES[name]()
    for share in (0.3, 0.6, 0.95):
        assert reason(data[: int(len(data) * share)]).startswith("is damaged: ")


def test_tiff_that_ends_before_its_last_strip_says_so() -> None:
    data = encode(RGB, "TIFF")  # uncompressed, Pillow writes the folder first
    assert "should be at least" in reason(data[:-9])


def test_every_flipped_bit_of_a_png_is_noticed() -> None:
    data = encode(RGB[:6, :6], "PNG")
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        reason(bytes(changed))


def test_jpeg_cut_short_with_an_end_marker_glued_on_is_damaged() -> None:
    data = encode(np.random.default_rng(0).integers(0, 255, (99, 99, 3), np.uint8), "JPEG")
    assert reason(data[: len(data) // 2] + b"\xff\xd9").startswith("is damaged: ")


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_tiff_whose_packed_pixels_make_no_sense_is_damaged(compression: str) -> None:
    """libtiff fills with white or black what it cannot unpack, and OpenCV takes it for the picture."""
    if int(cv2.__version__.split(".")[0]) < 5:
        pytest.skip("this OpenCV does not pass on what libtiff says")
    data = bytearray(encode(RGB, "TIFF", compression=compression))
    with Image.open(io.BytesIO(data)) as picture:
        start, length = picture.tag_v2[273][0], picture.tag_v2[279][0]
    data[start : start + length] = b"\xeb" * length
    assert reason(bytes(data)).startswith("is damaged: ")


def test_further_pages_of_a_tiff_may_be_missing() -> None:
    data = bytearray(encode(RGB, "TIFF"))
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    for following in (first, 0xFFFFFFF0):  # round in a circle, and beyond the end
        struct.pack_into("<I", data, first + 2 + 12 * entries, following)
        assert (load_image(bytes(data)) == RGB[..., ::-1]).all()


def test_jpeg_of_endless_scans_is_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of a few bytes costs a pass over all the pixels that the header announces: 2 MB of them, hours."""
    data = encode(RGB, "JPEG", progressive=True)
    first = data.index(b"\xff\xda")
    scan = data[first : data.index(b"\xff\xc4", first)]  # up to the table of the second
    assert (load_image(data[:first] + 50 * scan + data[first + len(scan) :]) == load_image(data)).all()
    monkeypatch.setattr(images, "_run_decoder", None)
    assert reason(data[:first] + 101 * scan + b"\xff\xd9") == (
        "is a JPEG of 101 scans, and the limit is 100: save it anew"
    )


@pytest.mark.parametrize("name", ["PNG", "JPEG", "GIF", "BMP", "WebP", "TIFF", "PNM"])
def test_too_many_pixels_are_refused_before_decoding(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = SAMPLES[name]()
    if decodes(name):
        assert load_image(data, max_pixels=WIDTH * HEIGHT).shape == RGB.shape
    monkeypatch.setattr(images, "_run_decoder", None)
    text = reason(data, max_pixels=WIDTH * HEIGHT - 1)
    assert "61 × 40 = 2,440 pixels" in text
    assert "2,439 (--max-pixels)" in text


def test_too_many_pixels_of_an_array_are_refused() -> None:
    assert "--max-pixels" in reason(RGB, max_pixels=100)


def test_decompression_bomb_costs_no_memory() -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")
    )
    assert "40,000,000,000 pixels" in reason(bomb)


def as_decoded(data: bytes, monkeypatch: pytest.MonkeyPatch, photo: int) -> np.ndarray | str:
    """The image, or why there is none, where so many pixels make a photo."""
    monkeypatch.setattr(images, "_PHOTO", photo)
    try:
        return load_image(data)
    except ImageError as error:
        return error.reason


@pytest.mark.skipif(
    "dst" not in (cv2.imread.__doc__ or "") or not hasattr(os, "memfd_create"),
    reason="this OpenCV decodes into its own memory alone, or there are no files in memory",
)
def test_a_photo_is_decoded_where_it_shall_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("which copies what it has decoded"))
    assert load_image(encode(np.tile(RGB, (30, 30, 1)), "JPEG")).shape == (1200, 1830, 3)


def test_a_photo_without_a_file_in_memory_is_decoded_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(np.tile(RGB, (30, 30, 1)), "JPEG")
    expected = load_image(data)
    monkeypatch.setattr(cv2, "imread", lambda *_: None)  # as where /proc is missing
    assert (load_image(data) == expected).all()
    monkeypatch.delattr(os, "memfd_create", raising=False)
    assert (load_image(data) == expected).all()


def test_a_photo_is_the_same_picture_or_as_damaged_as_imdecode_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[274] = 6
    samples = [
        encode(RGB, "JPEG", quality=95, subsampling=0),
        encode(GRAY, "JPEG"),
        encode(RGB, "JPEG", progressive=True),
        encode(RGB, "JPEG", restart_marker_blocks=2, exif=exif),
        encode(Image.fromarray(RGB).convert("CMYK"), "JPEG"),
    ]
    chance = random.Random(0)
    refused = 0
    for number in range(400):
        data = bytearray(chance.choice(samples))
        for _ in range(number % 4):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        expected, found = (as_decoded(bytes(data), monkeypatch, photo) for photo in (sys.maxsize, 0))
        assert np.array_equal(found, expected)
        refused += isinstance(found, str)
    assert 50 < refused < 350


@pytest.mark.parametrize("error", [MemoryError(), cv2.error("(-4:Insufficient memory)"), cv2.error("an assertion")])
def test_failing_decoder_is_an_image_error(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(cv2, "imdecode", fail)
    assert "memory" in reason(SAMPLES["PNG"]()) or "is damaged" in reason(SAMPLES["PNG"]())


def test_format_without_a_decoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    monkeypatch.setattr(cv2, "haveImageWriter", lambda _: False)
    for name in SAMPLES:
        assert reason(SAMPLES[name]()).startswith(f"is in {name} format, which this OpenCV (")
    assert reason(b"\x76\x2f\x31\x01" + bytes(99)).startswith("is in OpenEXR format")


ROW = b",".join([b"0"] * 784)


def zipped(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is an empty file"),
        (b"%PDF-1.7\n%\xe2\xe3", "is a PDF, not a picture"),
        (b'<?xml version="1.0"?>\n<!-- x -->\n<svg xmlns="http://www.w3.org/2000/svg"></svg>', "is an SVG drawing"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "is a web page"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isommp41" + bytes(40), "is a video"),
        (b"\x1a\x45\xdf\xa3\x9f" + bytes(40), "is a video"),
        (b"RIFF\0\0\0\0AVI LIST", "is a video"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40), "is a HEIC picture"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(40), '"most compatible"'),
        (b"label,pixel0,pixel1\n1,0,0\n", "edge-digits submit"),
        (b"pixel0,pixel1\n0,0\n", "edge-digits submit"),
        (ROW + b"\n" + ROW, "edge-digits submit"),
        (gzip.compress(b"pixel0,pixel1\n" + ROW * 99, mtime=0), "is a compressed CSV table"),
        (gzip.compress(b"hello", mtime=0), "is a gzip file"),
        (zipped("test.csv", ROW), "is a zipped CSV table"),
        (zipped("a.txt", ROW), "is a ZIP archive"),
        (b"hello, world\n", "is text"),
        ("Größe\n".encode() * 2000, "is text"),
        (b"BM is no bitmap, and P5 no map\n", "is text"),
        (b"\x93NUMPY\1\0", "is a NumPy array"),
        (bytes(range(128, 256)), "is not a picture of any format known here"),
        (bytes(4), "is not a picture of any format known here"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "file.png"
    path.write_bytes(data)
    assert words in reason(path)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("missing.png", "does not exist"),
        ("", "names no file"),
        (".", "is a folder"),
        ("file/x.png", "does not exist"),
        ("loop", "leads back to itself"),
        ("dangling", "is a link to a file that does not exist"),
        ("pipe", "is not a regular file but a pipe"),
        ("socket", "is not a regular file but a socket"),
        ("/dev/null", "is not a regular file but a device"),
        ("x" * 5000, "too long"),
        ("a\0b", "not a name that a file can have"),
        ("\ud800", "not a name that a file can have"),
        ("-", "does not exist"),
    ],
)
def test_path_that_cannot_be_read_says_why(
    path: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_bytes(b"x")
    Path("loop").symlink_to("loop")
    Path("dangling").symlink_to("nowhere")
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert words in reason(path)
        for item in [] if path == "-" else find_pictures([path]):
            with pytest.raises(ImageError) as caught:
                item.load()
            assert caught.value.source == path
            assert path == "." or words in caught.value.reason


def test_permission_denied_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(SAMPLES["PNG"]())

    def deny(*_: Any) -> None:  # root may read everything, so chmod would show nothing
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", deny)
        assert "permission denied" in reason(path)
        items = list(find_pictures([str(tmp_path)]))
    assert [(item.source, item.error) for item in items] == [(str(path), "may not be read: permission denied")]


def test_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(images.MAX_BYTES + 1)  # takes no room on the disk
    assert "is too large for a picture" in reason(path)


# ---- standard input and standard error


def run_python(code: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", code], input=stdin, capture_output=True, timeout=60, check=True)


def test_standard_input_is_read_as_bytes() -> None:
    code = "from edge_digits.images import *; print(load_image(read_bytes('-')).shape)"
    assert run_python(code, SAMPLES["PNG"]()).stdout.strip() == b"(40, 61, 3)"


def test_standard_input_that_is_closed_or_too_long_is_an_image_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ImageError, match="closed"):
        read_bytes("-")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(bytes(9))))
    monkeypatch.setattr(images, "MAX_BYTES", 8)
    with pytest.raises(ImageError, match="too large"):
        read_bytes("-")


def test_decoders_print_nothing_and_others_still_do(capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (99, 99, 3), np.uint8)
    broken = bytearray(encode(noise, "JPEG"))
    broken[3000:3002] = b"\xff\xd9"
    reason(bytes(broken))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    load_image(encode(RGB, "PNG", icc_profile=profile[:-9] + b"123456789"))
    load_image(encode(RGB, "PNG", icc_profile=b"x" * 200))
    for name in SAMPLES:
        with pytest.raises(ImageError):
            load_image(SAMPLES[name]()[:60])
    assert capfd.readouterr().err == ""
    with images._captured_stderr() as heard:
        os.write(2, b"Corrupt JPEG data: premature end of data segment\nfrom another thread\n")
    assert b"premature" in heard
    assert capfd.readouterr().err == "from another thread\n"


def test_decoding_works_with_standard_error_closed() -> None:
    code = "import os; os.close(2); from edge_digits.images import *; print(load_image(read_bytes('-')).shape)"
    assert run_python(code, SAMPLES["JPEG"]()).stdout.strip() == b"(40, 61, 3)"


# ---- arguments


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pics/ with pictures, other files, hidden ones and links in circles; the current folder is the one above."""
    monkeypatch.chdir(tmp_path)
    png = SAMPLES["PNG"]()
    names = [
        "img10.png",
        "img2.png",
        "IMG1.png",
        "no extension",
        "sub/b.txt",
        "sub/deep/c.png",
        ".hidden.png",
        ".h/d.png",
    ]
    for name in names:
        path = tmp_path / "pics" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png)
    (tmp_path / "pics/notes.md").write_bytes(b"these are notes")
    (tmp_path / "pics/sub/Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (tmp_path / "pics/sub/circle").symlink_to("..")
    (tmp_path / "pics/sub/deep/circle").symlink_to("../..")
    (tmp_path / "pics/broken").symlink_to("nowhere")
    (tmp_path / "pics/itself").symlink_to("itself")
    os.mkfifo(tmp_path / "pics/pipe")
    return tmp_path


IN_ORDER = ["IMG1.png", "img2.png", "img10.png", "no extension", "sub/b.txt", "sub/deep/c.png"]


def sources(*arguments: str) -> list[str]:
    return [item.source if item.error is None else f"{item.source}: {item.error}" for item in find_pictures(arguments)]


@pytest.mark.parametrize("argument", ["pics", "pics/", "./pics"])
def test_folder_gives_its_pictures_in_natural_order(pictures: Path, argument: str) -> None:
    search = find_pictures([argument])
    items = list(search)
    assert [item.source for item in items] == [f"{argument.rstrip('/')}/{name}" for name in IN_ORDER]
    assert all(item.load().shape == RGB.shape for item in items)
    assert search.skipped == 5  # notes.md, Thumbs.db, two broken links, the pipe


def test_what_is_named_as_a_picture_and_is_none_is_told(pictures: Path) -> None:
    (pictures / "pics/IMG3.JPEG").touch()
    (pictures / "pics/sub/lost.tif").symlink_to("nowhere")
    (pictures / "pics/sub/loop.bmp").symlink_to("loop.bmp")
    found = {item.source: item for item in find_pictures(["pics"])}
    assert set(found) == {f"pics/{name}" for name in (*IN_ORDER, "IMG3.JPEG", "sub/lost.tif", "sub/loop.bmp")}
    for name, reason in (("IMG3.JPEG", "empty"), ("sub/lost.tif", "does not exist"), ("sub/loop.bmp", "link")):
        with pytest.raises(ImageError, match=rf"pics/{name}: .*{reason}"):
            found[f"pics/{name}"].load()
    assert sources("pics/*.JPEG") == ["pics/IMG3.JPEG"]


def test_current_and_absolute_folders_keep_their_names(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sources(str(pictures / "pics"))[0] == str(pictures / "pics/IMG1.png")
    monkeypatch.chdir("pics")
    assert sources(".") == [f"./{name}" for name in IN_ORDER]


def test_folder_is_searched_only_as_far_as_is_asked(pictures: Path) -> None:
    search = find_pictures(["pics"])
    assert next(search) == PictureSource("pics/IMG1.png", "pics/IMG1.png")
    (pictures / "pics/sub/deep/c.png").unlink()
    assert "pics/sub/deep/c.png" not in [item.source for item in search]


def test_file_is_itself_and_arguments_keep_their_order(pictures: Path) -> None:
    assert sources("pics/img2.png", "pics/.hidden.png", "pics/img2.png", "pics/notes.md") == [
        "pics/img2.png", "pics/.hidden.png", "pics/img2.png", "pics/notes.md",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("pics/*.png", ["pics/IMG1.png", "pics/img2.png", "pics/img10.png"]),
        ("pics/img?.png", ["pics/img2.png"]),
        ("pics/[iI][mM]*1*", ["pics/IMG1.png", "pics/img10.png"]),
        ("*/sub/*.txt", ["pics/sub/b.txt"]),
        ("pics/.*.png", ["pics/.hidden.png"]),
        ("./p*/sub/deep/*", ["./pics/sub/deep/c.png", *(f"./pics/sub/deep/circle/{name}" for name in IN_ORDER[:4])]),
        ("**/c.png", ["pics/sub/deep/c.png"]),
        ("pics/**", [f"pics/{name}" for name in IN_ORDER]),
        ("pics/**/**/*.png", [f"pics/{name}" for name in (*IN_ORDER[:3], "sub/deep/c.png")]),
        ("pics", [f"pics/{name}" for name in IN_ORDER]),
    ],
)
def test_pattern_that_the_shell_left_is_expanded(pictures: Path, pattern: str, expected: list[str]) -> None:
    found = sources(pattern)
    assert [name for name in found if "circle" not in name] == [name for name in expected if "circle" not in name]
    assert len(found) == len(set(found))


def test_absolute_pattern_is_expanded(pictures: Path) -> None:
    assert sources(f"{pictures}/pics/img*.png") == [f"{pictures}/pics/img2.png", f"{pictures}/pics/img10.png"]


def test_file_named_like_a_pattern_is_itself(pictures: Path) -> None:
    Path("pics/img[2].png").write_bytes(SAMPLES["PNG"]())
    assert sources("pics/img[2].png") == ["pics/img[2].png"]
    Path("pics/img*").symlink_to("nowhere")
    assert sources("pics/img*") == ["pics/img*: is a link to a file that does not exist"]


def test_argument_without_pictures_says_why_and_the_others_go_on(pictures: Path) -> None:
    Path("empty").mkdir()
    Path("texts").mkdir()
    Path("texts/a.txt").write_text("a")
    assert sources("missing.png", "empty", "texts", "x*", "texts/*", "", "pics/img2.png") == [
        "missing.png: does not exist",
        "empty: holds no pictures",
        "texts: holds no pictures, only 1 other file",
        "x*: is a pattern that nothing matches",
        "texts/*: holds no pictures, only 1 other file",
        ": names no file",
        "pics/img2.png",
    ]


def test_dash_is_standard_input_and_only_once(pictures: Path) -> None:
    assert list(find_pictures(["-", "-"])) == [
        PictureSource("-", "-"),
        PictureSource("-", None, "standard input can be read only once"),
    ]
    Path("-").write_bytes(SAMPLES["PNG"]())
    assert list(find_pictures(["./-", "[-]"])) == [PictureSource("./-", "./-")] * 2


@pytest.mark.parametrize("name", ["new\nline.png", "größe 数字.png", "\udcff\udcfe.png", " ", "-x", "7" * 200])
def test_strange_names_work(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(SAMPLES["PNG"]())
    for argument in (str(tmp_path), f"{tmp_path}/*", f"{tmp_path}/{name}"):
        (item,) = find_pictures([argument])
        assert item.source == f"{tmp_path}/{name}"
        assert item.load().shape == RGB.shape
    (tmp_path / name).write_bytes(SAMPLES["PNG"]()[:-1])
    assert reason(tmp_path / name).startswith("is damaged")


def test_folder_deeper_than_the_call_stack_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    deep = "/".join(["d"] * 300)
    Path(deep).mkdir(parents=True)
    Path(deep, "a.png").write_bytes(SAMPLES["PNG"]())
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(len(inspect.stack(0)) + 100)
        found = sources("d"), sources("**/*.png")
    finally:
        sys.setrecursionlimit(limit)
    assert found == ([f"{deep}/a.png"],) * 2

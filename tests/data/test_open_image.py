"""Opening images: kinds of pixels, metadata that cannot be read, other kinds of files, pages and frames."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_denoise import console
from gan_denoise.data.image_files import Skipped
from gan_denoise.data.image_metadata import PNG
from gan_denoise.data.open_image import open_image, read_frame_sizes
from gan_denoise.errors import InputError

RAMP = (np.arange(32 * 32) % 256).astype(np.uint8).reshape(32, 32)


def png_chunk(name: bytes, data: bytes, crc: int | None = None) -> bytes:
    check = zlib.crc32(name + data) if crc is None else crc
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def insert(path: Path, chunk: bytes, before: bytes = b"IDAT") -> None:
    """Write a PNG file of RAMP with a chunk before its pixels or before its end."""
    Image.fromarray(RAMP).save(path, format="PNG")
    content = path.read_bytes()
    position = content.index(before) - 4
    path.write_bytes(content[:position] + chunk + content[position:])


def text_bomb(before: bytes) -> Callable[[Path], None]:
    data = b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9)
    return lambda path: insert(path, png_chunk(b"zTXt", data), before)


def trailing_garbage(path: Path) -> None:
    insert(path, b"")
    path.write_bytes(path.read_bytes() + b"garbage" * 100)


def webp_with_exif(path: Path) -> None:
    Image.fromarray(RAMP).convert("RGB").save(path, format="WEBP", lossless=True, exif=b"Exif\0\0garbage!")


def webp_cut_in_its_exif(path: Path) -> None:
    webp_with_exif(path)
    path.write_bytes(path.read_bytes()[:-6])


@pytest.mark.row(60)
def test_metadata_that_hides_the_rest_is_left_out_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "_warned", set())
    text_bomb(b"IDAT")(tmp_path / "a.png")
    open_image(tmp_path / "a.png", 1)
    assert capsys.readouterr().err == f"warning: {tmp_path / 'a.png'}: metadata that cannot be read was left out\n"


@pytest.mark.parametrize(
    "save",
    [
        lambda path: Image.fromarray(RAMP).save(path, format="PNG", exif=b"Exif\0\0garbage!"),
        lambda path: insert(path, png_chunk(b"tEXt", b"Title\0x", crc=1)),
        lambda path: insert(path, png_chunk(b"iTXt", b"XML:com.adobe.xmp")),
        lambda path: insert(path, png_chunk(b"iTXt", b"a\0\1\0\0\0damaged"), before=b"IEND"),
        lambda path: insert(path, png_chunk(b"iCCP", b"profile\0\0damaged")),
        lambda path: insert(path, png_chunk(b"gAMA", b"\0")),
        lambda path: insert(path, png_chunk(b"pHYs", b"\0\0")),
        lambda path: insert(path, png_chunk(b"cHRM", b"\0\0\0")),
        lambda path: insert(path, png_chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff")),
        text_bomb(b"IDAT"),
        text_bomb(b"IEND"),
        trailing_garbage,
        webp_with_exif,
        webp_cut_in_its_exif,
    ],
)
@pytest.mark.row(60)
def test_damaged_metadata_is_ignored(tmp_path: Path, save: Callable[[Path], None]) -> None:
    save(tmp_path / "a.png")
    np.testing.assert_array_equal(open_image(tmp_path / "a.png", 1), RAMP)
    assert read_frame_sizes(tmp_path / "a.png") == [(32, 32)]


@pytest.mark.parametrize(
    "segment",
    [
        b"\xff\xe1\x00\x10Exif\0\0garbage!",
        b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 16,
        b"\xff\xed\x00\x15Photoshop 3.0\0008BIM\x04",
        b"\xff\xe2\x00\x10ICC_PROFILE\0\x09\x01",
        b"\xff\xe2\x00\x0cMPF\0MM\0*\0\xff",
        b"\xff\xfe\x00\x04\xff\xfe",
    ],
)
@pytest.mark.row(60)
def test_damaged_metadata_of_jpeg_is_ignored(tmp_path: Path, segment: bytes) -> None:
    Image.fromarray(RAMP).save(tmp_path / "good.jpg")
    content = (tmp_path / "good.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[:2] + segment + content[2:])
    np.testing.assert_array_equal(open_image(tmp_path / "a.jpg", 1), open_image(tmp_path / "good.jpg", 1))


@pytest.mark.row(60)
def test_damaged_pixels_are_refused_with_damaged_metadata_or_without(tmp_path: Path) -> None:
    for name, chunk in (("a.png", b""), ("b.png", png_chunk(b"tEXt", b"Title\0x", crc=1))):
        insert(tmp_path / name, chunk)
        content = bytearray((tmp_path / name).read_bytes())
        content[content.index(b"IDAT") + 20] ^= 0xFF
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}: unreadable image|{name}: expected an image"):
            open_image(tmp_path / name, 1)


def palette(image: Image.Image) -> Image.Image:
    return image.quantize(256)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(RAMP.astype(np.uint16) * 257), RAMP),
        (Image.fromarray(np.full((32, 32), 129, np.uint16)), np.full((32, 32), 1, np.uint8)),  # 0.502 rounds up
        (Image.fromarray(np.full((32, 32), 128, np.uint16)), np.zeros((32, 32), np.uint8)),  # 0.498 rounds down
        (Image.fromarray(RAMP.astype(np.float32) / 255), RAMP),
        (Image.fromarray(RAMP).convert("CMYK"), RAMP),
        (Image.fromarray(RAMP).convert("LA"), RAMP),
        (Image.fromarray(RAMP).convert("RGBA"), RAMP),
        (Image.fromarray(RAMP > 99), (RAMP > 99).astype(np.uint8) * 255),
        (palette(Image.fromarray(RAMP)), RAMP),
    ],
)
@pytest.mark.row(61)
def test_kinds_of_pixels_become_grey_of_8_bits(tmp_path: Path, image: Image.Image, expected: np.ndarray) -> None:
    image.save(tmp_path / "a.tif")
    pixels = np.asarray(open_image(tmp_path / "a.tif", 1), int)
    assert np.abs(pixels - expected).max() <= (image.mode in ("CMYK", "P"))
    colours = np.asarray(open_image(tmp_path / "a.tif", 3))
    assert (colours == colours[..., :1]).all()


def test_16_bits_in_png_and_pgm_are_rounded(tmp_path: Path) -> None:
    pixels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "a.pgm").write_bytes(b"P5 256 256 65535\n" + pixels.astype(">u2").tobytes())
    for name in ("a.png", "a.pgm"):
        np.testing.assert_array_equal(open_image(tmp_path / name, 1), np.rint(pixels / 257).astype(np.uint8))


@pytest.mark.parametrize("values", [(0, 248), (-0.5, 1), (0, np.nan), (0, np.inf)])
@pytest.mark.row(61)
def test_floats_of_another_range_are_refused_with_it(tmp_path: Path, values: tuple[float, float]) -> None:
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif: expected float pixels from 0 to 1, got (-?[\d.]+|nan) to"):
        open_image(tmp_path / "a.tif", 1)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
@pytest.mark.row(61)
def test_what_is_under_transparency_is_white(tmp_path: Path, mode: str) -> None:
    """A grey square cut out, with a colour (in grey modes a level) under what is transparent."""
    image = Image.new("RGBA", (32, 32), (200, 10, 90, 0))
    image.paste((50, 50, 50, 255), (8, 8, 24, 24))
    suffix = "tif" if mode == "PA" else "png"
    alpha, image = image.getchannel("A"), image.convert("LA" if mode == "PA" else mode).convert(mode)
    if mode == "PA":  # the conversion makes it opaque
        image.putalpha(alpha)
    image.save(tmp_path / f"a.{suffix}")
    colours = np.asarray(open_image(tmp_path / f"a.{suffix}", 3))
    expected = np.full((32, 32, 3), 255)
    expected[8:24, 8:24] = 50
    np.testing.assert_array_equal(colours, expected)


@pytest.mark.parametrize(
    ("start", "kind", "hint"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC", "magick"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "AVIF", "magick"),
        (b"\xff\x0a" + bytes(20), "JPEG XL", "magick"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL", "magick"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000", "magick"),
        (b"%PDF-1.7", "PDF", "magick"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x">', "SVG", "magick"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "a camera raw file", "darktable"),
        (b"II*\0\x10\0\0\0CR\x02\0", "a camera raw file", "darktable"),
        (b"FUJIFILMCCD-RAW 0201", "a camera raw file", "darktable"),
        (b"<!DOCTYPE html><html>", "a web page", "download"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer", "git lfs pull"),
        (b"", "an empty file", ""),
        (b"no image", "another kind of file", ""),
    ],
)
@pytest.mark.row(62)
def test_other_kinds_are_named_by_their_first_bytes(tmp_path: Path, start: bytes, kind: str, hint: str) -> None:
    (tmp_path / "a.png").write_bytes(start)
    with pytest.raises(InputError, match=rf"a\.png: expected an image \(PNG, .*\), got {kind}$") as caught:
        open_image(tmp_path / "a.png", 1)
    assert hint in caught.value.hint
    assert bool(hint) == bool(caught.value.hint)


@pytest.mark.row(62)
def test_the_preview_in_a_camera_raw_file_is_not_taken_for_the_photograph(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.dng", format="TIFF", tiffinfo={50706: b"\1\4\0\0"})
    with pytest.raises(InputError, match=r"a\.dng: expected an image .*, got a camera raw file"):
        open_image(tmp_path / "a.dng", 1)


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.webp", "a.png"])
@pytest.mark.row(63)
def test_the_first_page_or_frame_is_opened_and_the_others_are_counted(tmp_path: Path, name: str) -> None:
    pages = [Image.new("L", (32, 32), level) for level in (40, 90, 200)]
    options: dict[str, Any] = {"lossless": True} if name == "a.webp" else {}
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:], **options)
    skipped = Skipped()
    assert np.unique(np.asarray(open_image(tmp_path / name, 1, skipped))).tolist() == [40]
    assert str(skipped) == f"2 later frames ({name})"
    assert read_frame_sizes(tmp_path / name) == [(32, 32)] * 3


def test_a_png_signature_alone_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    with pytest.raises(InputError, match=r"a\.png: "):
        open_image(tmp_path / "a.png", 1)

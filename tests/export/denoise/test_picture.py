"""Images in and out: all 16 bits, alpha, colour profiles, EXIF, XMP, orientation, formats."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from denoise_helpers import noise_16, png_16, png_chunk, read_png_16
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from gan_denoise.data.image_metadata import PNG
from gan_denoise.errors import InputError
from gan_denoise.export.denoise.metadata import Metadata
from gan_denoise.export.denoise.picture import Picture, read_pictures
from gan_denoise.export.denoise.tiling import Pixels
from gan_denoise.export.denoise.write_picture import write_picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" dc:title="t"/></x:xmpmeta>'
UPRIGHT_XMP = XMP.replace(b'"6"', b'"1"')


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def colours(height: int = 40, width: int = 50) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def only(path: str, content: bytes | None = None) -> Picture:
    (picture,) = read_pictures(Path(path), content)
    return picture


def channels(picture: Picture) -> np.ndarray:
    """All channels, (H, W, C)."""
    planes = picture.pixels[None] if picture.pixels.ndim == 2 else picture.pixels
    planes = planes if picture.alpha is None else np.concatenate([planes, picture.alpha[None]])
    return planes.transpose(1, 2, 0)


def written(picture: Picture, image_format: str, pixels: Pixels | None = None) -> bytes:
    file = io.BytesIO()
    write_picture(file, picture.pixels if pixels is None else pixels, picture, image_format, "out")
    return file.getvalue()


# --- 16 bits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.row(91)
def test_png_of_16_bits_is_read_and_written_with_its_low_bytes(count: int) -> None:
    pixels = noise_16(count)
    Path("a.png").write_bytes(png_16(pixels))
    picture = only("a.png")
    assert np.array_equal(channels(picture), pixels)
    assert picture.pixels.dtype == np.uint16
    assert (picture.alpha is None) == (count in (1, 3))
    assert np.array_equal(read_png_16(written(picture, "PNG")), pixels)
    assert np.array_equal(channels(only("-", written(picture, "PNG"))), pixels)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("count", [1, 3, 4])
@pytest.mark.row(91)
def test_tiff_of_16_bits_is_read_and_written_with_its_low_bytes(count: int, order: Any, compression: Any) -> None:
    pixels = noise_16(count)
    extra: Any = {"extrasamples": ["unassalpha"]} if count == 4 else {}
    tifffile.imwrite(
        "a.tif",
        pixels[..., 0] if count == 1 else pixels,
        photometric="minisblack" if count == 1 else "rgb",
        byteorder=order,
        compression=compression,
        **extra,
    )
    picture = only("a.tif")
    assert np.array_equal(channels(picture), pixels)
    Path("b.tif").write_bytes(written(picture, "TIFF"))
    assert np.array_equal(tifffile.imread("b.tif").reshape(pixels.shape), pixels)
    assert np.array_equal(channels(only("b.tif")), pixels)


@pytest.mark.row(91)
def test_tiff_with_lzw_and_predictor_is_read_with_its_low_bytes() -> None:
    """As photo editors write it; tifffile alone cannot. The file: RGB as 8 bits of twice the width, with other tags."""
    pixels = noise_16(3, 8, 6)
    wide = Image.frombytes("RGB", (12, 8), pixels.astype("<u2").tobytes())
    wide.save("a.tif", compression="tiff_lzw")
    content = bytearray(Path("a.tif").read_bytes())
    tags, (start,) = {}, struct.unpack_from("<I", content, 4)
    for entry in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", content, start)[0], 12):
        tags[struct.unpack_from("<H", content, entry)[0]] = entry
    struct.pack_into("<H", content, tags[256] + 8, 6)
    struct.pack_into("<HHH", content, struct.unpack_from("<I", content, tags[258] + 8)[0], 16, 16, 16)
    Path("a.tif").write_bytes(content)
    assert np.array_equal(channels(only("a.tif")), pixels)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.row(91)
def test_16_bit_channels_one_after_the_other_are_refused(order: Any) -> None:
    """Pillow reads 8 of their bits."""
    tifffile.imwrite(
        "a.tif", noise_16(3).transpose(2, 0, 1), photometric="rgb", planarconfig="separate", byteorder=order
    )
    with pytest.raises(InputError, match=r"a\.tif: expected 16-bit channels side by side") as caught:
        only("a.tif")
    assert "tiffcp" in caught.value.hint
    pixels = noise_16(3).astype(np.uint8)
    tifffile.imwrite("b.tif", pixels.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    assert np.array_equal(channels(only("b.tif")), pixels)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.row(91)
def test_a_tiff_whose_largest_number_is_black_is_inverted(compression: Any) -> None:
    pixels = noise_16(1)[..., 0]
    unit = pixels.astype(np.float32) / 65535
    for name, stored in (("deep", pixels), ("eight", pixels.astype(np.uint8)), ("floats", unit)):
        tifffile.imwrite(f"{name}.tif", stored, photometric="miniswhite", compression=compression)
    assert np.array_equal(only("deep.tif").pixels, 65535 - pixels)
    assert np.array_equal(only("eight.tif").pixels, 255 - pixels.astype(np.uint8))
    np.testing.assert_allclose(only("floats.tif").pixels, 65535 - pixels.astype(int), atol=1)


@pytest.mark.row(91)
def test_12_bits_are_scaled_to_16() -> None:
    levels = np.arange(0, 4096, 64, dtype=np.uint16).reshape(8, 8)
    tifffile.imwrite("a.tif", np.zeros((8, 6), np.uint16), photometric="minisblack")  # as long as 8x8 pixels of 12 bits
    content = bytearray(Path("a.tif").read_bytes())
    tags, (start,) = {}, struct.unpack_from("<I", content, 4)
    for entry in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", content, start)[0], 12):
        tags[struct.unpack_from("<H", content, entry)[0]] = entry
    struct.pack_into("<H", content, tags[256] + 8, 8)
    struct.pack_into("<H", content, tags[258] + 8, 12)
    pairs = levels.reshape(-1, 2).astype(int)
    packed = [(a >> 4, (a & 15) << 4 | b >> 8, b & 255) for a, b in pairs]
    (offset,) = struct.unpack_from("<I", content, tags[273] + 8)
    content[offset : offset + 96] = np.array(packed, np.uint8).tobytes()
    Path("a.tif").write_bytes(content)
    np.testing.assert_array_equal(only("a.tif").pixels, np.rint(levels * 65535.0 / 4095))


@pytest.mark.parametrize("count", [1, 3, 4])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.row(91)
def test_an_uncompressed_tiff_is_turned_upright(count: int, orientation: int, dtype: Any) -> None:
    pixels = noise_16(count, 9, 14).astype(dtype)
    extra: Any = {"extrasamples": ["unassalpha"]} if count == 4 else {}
    stored = pixels[..., 0] if count == 1 else pixels
    photometric = "minisblack" if count == 1 else "rgb"
    tags = [(274, 3, 1, orientation, True)]
    tifffile.imwrite("a.tif", stored, photometric=photometric, extratags=tags, metadata=None, **extra)
    turned = np.swapaxes(pixels, 0, 1) if orientation >= 5 else pixels
    flips = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(orientation, (1, 1))
    assert np.array_equal(channels(only("a.tif")), turned[:: flips[0], :: flips[1]])


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.row(91)
def test_the_level_that_png_makes_transparent_becomes_alpha(bits: int) -> None:
    levels = np.array([range(8)], np.uint8) & np.uint8(2**bits - 1)
    rows = b"\0" + np.packbits(np.unpackbits(levels[..., None], axis=-1)[..., 8 - bits :].reshape(-1)).tobytes()
    header = struct.pack(">IIBBBBB", 8, 1, bits, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"tRNS", b"\0\1"), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    Path("a.png").write_bytes(PNG + b"".join(png_chunk(*part) for part in parts))
    picture = only("a.png")
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha, np.where(levels == 1, 0, 255))


@pytest.mark.row(91)
def test_premultiplied_colours_are_divided_by_their_alpha() -> None:
    colour, alpha = np.array([60000, 30000, 1000]), 16384
    pixels = np.zeros((4, 4, 4), np.uint16)
    pixels[:2] = [*(colour * alpha / 65535).round(), alpha]
    tifffile.imwrite("a.tif", pixels, photometric="rgb", extrasamples=["assocalpha"])
    picture = only("a.tif")
    assert np.abs(picture.pixels[:, 0, 0].astype(int) - colour).max() <= 4  # 65535 / 16384 steps of one
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, pixels[..., 3])
    assert (picture.pixels[:, 2:] == 0).all()


@pytest.mark.row(91)
def test_ppm_keeps_16_bits_and_scales_10() -> None:
    pixels = noise_16(3)
    Path("a.ppm").write_bytes(b"P6 50 40 65535\n" + pixels.astype(">u2").tobytes())
    assert np.array_equal(channels(only("a.ppm")), pixels)
    Path("b.ppm").write_bytes(b"P6 50 40 1023\n" + (pixels >> 6).astype(">u2").tobytes())
    expected = np.rint((pixels >> 6) * 65535.0 / 1023)
    np.testing.assert_array_equal(channels(only("b.ppm")), expected)


@pytest.mark.row(91)
def test_a_colour_that_png_makes_transparent_becomes_alpha() -> None:
    pixels = noise_16(3)
    pixels[3, 4] = pixels[5, 6] = (1, 2, 3)
    Path("a.png").write_bytes(png_16(pixels, png_chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))))
    alpha = only("a.png").alpha
    assert alpha is not None
    assert (alpha == 0).sum() == 2
    assert alpha[3, 4] == alpha[5, 6] == 0


@pytest.mark.row(91)
def test_floats_become_16_bits_and_others_than_0_to_1_are_refused() -> None:
    tifffile.imwrite("a.tif", np.array([[0, 0.25], [0.5, 1]], np.float32))
    assert only("a.tif").pixels.tolist() == [[0, 16384], [32768, 65535]]
    tifffile.imwrite("hdr.tif", np.array([[0, 2.5]], np.float32))
    with pytest.raises(InputError, match=r"hdr\.tif: expected float pixels from 0 to 1, got 0 to 2.5"):
        only("hdr.tif")


@pytest.mark.row(91)
def test_16_bits_that_are_damaged_are_refused() -> None:
    content = png_16(noise_16(3))
    Path("a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"a\.png: unreadable image"):
        only("a.png")


# --- 8 bits, alpha, CMYK ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.row(91)
def test_8_bits_and_alpha_come_back(mode: str, image_format: str) -> None:
    image = colours().convert(mode)
    if "A" in mode:
        image.putalpha(colours().getchannel(2))
    image.save("a", image_format, **({"lossless": True, "exact": True} if image_format == "WEBP" else {}))
    picture = only("a")
    grey = image_format != "WEBP" and mode in ("L", "LA")
    assert np.array_equal(channels(picture)[..., -1], np.asarray(image.convert("RGBA"))[..., 3 if "A" in mode else 2])
    assert (picture.pixels.ndim == 2) == grey
    copy = only("-", written(picture, image_format))
    opaque = slice(None) if picture.alpha is None else picture.alpha > 0  # WebP changes colours that do not show
    assert np.array_equal(channels(copy)[opaque], channels(picture)[opaque])


@pytest.mark.row(91)
def test_palettes_and_1_bit_are_read() -> None:
    colours().quantize(16).save("p.png")
    picture = only("p.png")
    assert np.array_equal(channels(picture), np.asarray(Image.open("p.png").convert("RGB")))
    Image.fromarray(np.eye(9, dtype=bool)).save("one.png")
    assert only("one.png").pixels.tolist() == (np.eye(9) * 255).tolist()
    image = colours().quantize(16)
    image.save("t.png", transparency=bytes([0, 100]))
    alpha = only("t.png").alpha
    assert alpha is not None
    assert set(np.unique(alpha)) == {0, 100, 255}


@pytest.mark.row(91)
def test_cmyk_becomes_rgb_and_a_wrong_profile_is_dropped() -> None:
    colours().convert("CMYK").save("a.tif", icc_profile=SRGB)  # a profile of other colours
    picture = only("a.tif")
    assert np.abs(channels(picture).astype(int) - np.asarray(colours())).max() <= 1
    assert picture.metadata.icc == b""


# --- metadata -----------------------------------------------------------------------------------


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112], tags[271], tags[33432] = orientation, "Maker", "Somebody"
    tags.get_ifd(0x8769).update({0x829A: 0.01, 0x927C: b"note of the maker"})
    return tags


def turned(orientation: int) -> np.ndarray:
    """What a viewer shows, by Pillow's own function."""
    from PIL import ImageOps

    image = colours()
    image.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def save(path: str, image: Image.Image, tags: Image.Exif) -> None:
    kind = Path(path).suffix
    if kind == ".png":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        image.save(path, exif=tags, icc_profile=SRGB, pnginfo=info, dpi=(300, 300))
    elif kind == ".tif":
        tiff_tags = {**tags, 0x8769: tags.get_ifd(0x8769), 700: XMP}
        image.save(path, icc_profile=SRGB, tiffinfo=tiff_tags, dpi=(300, 300))
    else:
        options = {"lossless": True} if kind == ".webp" else {"quality": 100, "subsampling": 0, "dpi": (300, 300)}
        image.save(path, exif=tags, icc_profile=SRGB, xmp=XMP, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
@pytest.mark.row(91)
def test_pixels_are_turned_upright_and_the_tag_is_reset(suffix: str, orientation: int) -> None:
    save(f"a{suffix}", colours(), exif(orientation))
    picture = only(f"a{suffix}")
    difference = np.abs(channels(picture).astype(int) - turned(orientation))
    assert difference.max() <= (6 if suffix == ".jpg" else 0)
    with Image.open(io.BytesIO(written(picture, "PNG"))) as image:
        image.load()
        assert image.getexif().get(0x0112, 1) == 1
        assert image.size == picture.pixels.shape[:0:-1]


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
@pytest.mark.row(91)
def test_exif_xmp_profile_and_resolution_are_kept(suffix: str, image_format: str, deep: bool) -> None:
    save(f"a{suffix}", colours(), exif(6))
    picture = only(f"a{suffix}")
    pixels = picture.pixels.astype(np.uint16) * 257 if deep and image_format in ("PNG", "TIFF") else None
    with Image.open(io.BytesIO(written(picture, image_format, pixels))) as image:
        image.load()
        tags = image.getexif()
        assert (tags.get(0x0112, 1), tags[271], tags[33432]) == (1, "Maker", "Somebody")
        assert tags.get_ifd(0x8769)[0x829A] == pytest.approx(0.01)
        assert tags.get_ifd(0x8769)[0x927C] == b"note of the maker"
        xmp = image.info["xmp"]
        assert xmp == UPRIGHT_XMP or (suffix == ".tif" and b"Orientation" not in xmp and b'dc:title="t"' in xmp)
        assert image.info["icc_profile"] == SRGB
        if image_format != "WEBP" and suffix != ".webp":
            assert image.info["dpi"] == pytest.approx((300, 300), rel=1e-3)


@pytest.mark.row(91)
def test_the_colour_chunks_of_png_are_kept_and_of_two_meanings_one() -> None:
    chunks = [png_chunk(b"gAMA", struct.pack(">I", 45455)), png_chunk(b"sRGB", b"\0"), png_chunk(b"cICP", bytes(4))]
    Path("a.png").write_bytes(png_16(noise_16(3), *chunks))
    picture = only("a.png")
    for pixels in (picture.pixels, (picture.pixels >> 8).astype(np.uint8)):
        content = written(picture, "PNG", pixels)
        assert all(chunk in content for chunk in chunks)
    with_profile = Picture(picture.pixels, None, picture.metadata._replace(icc=SRGB), {})
    for pixels in (picture.pixels, (picture.pixels >> 8).astype(np.uint8)):
        content = written(with_profile, "PNG", pixels)
        assert b"iCCP" in content
        assert b"sRGB\0" not in content.split(b"IDAT")[0].replace(b"iCCP", b"")


@pytest.mark.parametrize(
    "damaged", [b"Exif\0\0garbage!", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
@pytest.mark.row(91)
def test_damaged_exif_is_left_out(damaged: bytes) -> None:
    colours().save("a.jpg", exif=damaged, icc_profile=SRGB)
    picture = only("a.jpg")
    assert picture.metadata.exif == b""
    assert picture.metadata.icc == SRGB
    assert Image.open(io.BytesIO(written(picture, "JPEG"))).size == (50, 40)


@pytest.mark.row(91)
def test_metadata_that_a_format_does_not_take_are_left_out_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    picture = Picture(np.zeros((8, 8), np.uint8), None, Metadata(exif=b"II*\0" + bytes(70_000)), {})
    assert Image.open(io.BytesIO(written(picture, "JPEG"))).size == (8, 8)
    assert capsys.readouterr().err.startswith("warning: out: written without EXIF and XMP (")


def test_what_no_encoder_takes_is_an_input_error() -> None:
    """Pillow's encoder of WebP takes at most 16,383 pixels a side."""
    picture = Picture(np.zeros((1, 20_000), np.uint8), None, Metadata(), {})
    with pytest.raises(InputError, match="out: cannot be written as WEBP"):
        written(picture, "WEBP")


@pytest.mark.row(91)
def test_a_jpeg_whose_tables_have_other_numbers_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    colours().save("a.jpg", quality=80)
    content = Path("a.jpg").read_bytes()
    for number in (0, 1):  # the tables, and the components that use them
        content = content.replace(b"\xff\xdb\x00\x43" + bytes([number]), b"\xff\xdb\x00\x43" + bytes([number + 2]), 1)
    frame = content.index(b"\xff\xc0")
    changed = bytearray(content)
    for component in range(3):
        changed[frame + 12 + 3 * component] += 2
    Path("a.jpg").write_bytes(changed)
    with Image.open("a.jpg") as source:
        assert sorted(source.quantization) == [2, 3]  # type: ignore[attr-defined]
        tables = list(source.quantization.values())  # type: ignore[attr-defined]
    with Image.open(io.BytesIO(written(only("a.jpg"), "JPEG"))) as copy:
        assert list(copy.quantization.values()) == tables  # type: ignore[attr-defined]
    assert capsys.readouterr().err == ""


@pytest.mark.row(91)
def test_each_page_of_a_tiff_has_its_own_profile_and_resolution() -> None:
    first = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    first.save("a.tif", icc_profile=SRGB, dpi=(300, 300))
    with tifffile.TiffWriter("a.tif", append=True) as file:
        file.write(np.zeros((8, 8), np.uint8), photometric="minisblack", resolution=None, metadata=None)
    one, two = read_pictures(Path("a.tif"))
    assert (one.metadata.icc, one.metadata.dpi) == (SRGB, (300, 300))
    assert two.metadata.icc == b""
    assert two.metadata.dpi != (300, 300)


@pytest.mark.parametrize(("kind", "code"), [(1, "B"), (3, "H"), (4, "I")])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.row(91)
def test_the_orientation_is_reset_whatever_its_type(kind: int, code: str, order: str) -> None:
    value = struct.pack(f"{order}{code}", 6).ljust(4, b"\0")
    entry = struct.pack(f"{order}HHI", 274, kind, 1) + value
    exif = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)
    colours().save("a.jpg", exif=b"Exif\0\0" + exif)
    parsed = Image.Exif()
    parsed.load(only("a.jpg").metadata.exif)
    assert parsed[274] in (1, b"\1")


@pytest.mark.row(91)
def test_a_large_profile_and_long_text_hide_no_metadata(capsys: pytest.CaptureFixture[str]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    info = PngInfo()
    info.add_text("Comment", "x" * 3_000_000, zip=True)
    profile = SRGB + np.random.default_rng(0).bytes(2_000_000)
    colours(8, 14).save("a.png", icc_profile=profile, pnginfo=info, exif=exif)
    picture = only("a.png")
    assert picture.pixels.shape == (3, 14, 8)
    assert picture.metadata.icc == profile
    assert capsys.readouterr().err == ""


@pytest.mark.row(91)
def test_jpeg_keeps_its_quantization_and_subsampling() -> None:
    from PIL import JpegImagePlugin

    for subsampling, quality in ((0, 95), (1, 80), (2, 40)):
        colours().save("a.jpg", quality=quality, subsampling=subsampling)
        with Image.open("a.jpg") as source, Image.open(io.BytesIO(written(only("a.jpg"), "JPEG"))) as copy:
            assert getattr(copy, "quantization") == getattr(source, "quantization")  # noqa: B009
            assert JpegImagePlugin.get_sampling(copy) == subsampling
    colours().convert("CMYK").save("c.jpg")
    with Image.open(io.BytesIO(written(only("c.jpg"), "JPEG"))) as copy:
        assert (copy.mode, JpegImagePlugin.get_sampling(copy)) == ("RGB", 0)
    colours().convert("L").save("g.jpg")
    assert Image.open(io.BytesIO(written(only("g.jpg"), "JPEG"))).mode == "L"


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.row(91)
def test_webp_stays_lossless_or_lossy(lossless: bool) -> None:
    colours().save("a.webp", lossless=lossless, icc_profile=SRGB)
    assert (b"VP8L" in written(only("a.webp"), "WEBP")) == lossless


@pytest.mark.row(91)
def test_lossless_webp_keeps_the_colours_of_transparent_pixels() -> None:
    image = colours()
    image.putalpha(0)
    image.save("a.webp", lossless=True, exact=True)
    copy = Image.open(io.BytesIO(written(only("a.webp"), "WEBP")))
    assert np.array_equal(np.asarray(copy), np.asarray(image))


@pytest.mark.row(91)
def test_pages_are_read_one_after_the_other() -> None:
    tifffile.imwrite("a.tif", np.stack([noise_16(3, seed=i) for i in range(3)]), photometric="rgb")
    for i, picture in enumerate(read_pictures(Path("a.tif"))):
        assert np.array_equal(channels(picture), noise_16(3, seed=i))
    assert i == 2


@pytest.mark.row(91)
def test_the_first_image_of_mpo_is_the_photograph() -> None:
    colours().save("a.mpo", save_all=True, append_images=[colours().resize((20, 20))])
    assert [picture.pixels.shape for picture in read_pictures(Path("a.mpo"))] == [(3, 40, 50)]

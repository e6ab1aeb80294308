"""Metadata of an image file that the denoised file keeps: EXIF, XMP, colour profile, resolution."""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from PIL import Image

from gan_denoise.data.image_metadata import PNG
from gan_denoise.data.open_image import ORIENTATION

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
# Tags of TIFF that describe the image, and not how its pixels are stored: title, camera, author, rating, IPTC.
DESCRIPTIVE_TAGS = (270, 271, 272, 274, 305, 306, 315, 316, 18246, 33432, 33723, *range(40091, 40096))
XMP, ICC, X_RESOLUTION, UNIT = 700, 34675, 282, 296  # tags of TIFF
EXIF_PREFIX = b"Exif\0\0"
XMP_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[2-8]")
COLOUR_CHUNKS = (b"cHRM", b"cICP", b"gAMA", b"sRGB")  # of PNG


class Metadata(NamedTuple):
    """Metadata as bytes, empty where there is none; `chunks` are the colour chunks of a PNG file."""

    exif: bytes = b""  # a TIFF structure, without EXIF_PREFIX
    xmp: bytes = b""
    icc: bytes = b""
    dpi: tuple[float, float] | None = None
    chunks: tuple[tuple[bytes, bytes], ...] = ()


def read_metadata(image: Image.Image, chunks: tuple[tuple[bytes, bytes], ...] = ()) -> Metadata:
    """The metadata of a decoded image, for pixels that are turned upright; what is damaged is left out."""
    exif, dpi = b"", None
    with contextlib.suppress(Exception):
        exif = _make_upright(_exif_of_tiff(image) if image.format == "TIFF" else _exif(image))
    info = _info_of_page(image) if image.format == "TIFF" else image.info
    with contextlib.suppress(Exception):
        x, y = (float(side) for side in info["dpi"])
        dpi = (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None
    xmp, icc = (_as_bytes(info.get(key)) for key in ("xmp", "icc_profile"))
    return Metadata(exif, XMP_ORIENTATION.sub(rb"\g<1>1", xmp), icc, dpi, chunks)


def _info_of_page(image: Image.Image) -> dict[Any, Any]:
    """`image.info` of a page of a TIFF file, in which Pillow leaves what the pages before had."""
    tags = getattr(image, "tag_v2", {})
    own = {"xmp": XMP in tags, "icc_profile": ICC in tags, "dpi": X_RESOLUTION in tags and tags.get(UNIT) != 1}
    return {key: value for key, value in image.info.items() if own.get(str(key), False)}


def read_colour_chunks(file: IO[bytes]) -> tuple[tuple[bytes, bytes], ...]:
    """The chunks of a PNG file that say what its numbers mean as colours, without its profile; keeps the position."""
    place = file.tell()
    file.seek(0)
    found = tuple(_colour_chunks(file)) if file.read(len(PNG)) == PNG else ()
    file.seek(place)
    return found


def _colour_chunks(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name == b"IDAT":
            break
        if name in COLOUR_CHUNKS and length <= 32:
            yield name, file.read(length)
            length = 0
        file.seek(length + 4, 1)


def _as_bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _exif(image: Image.Image) -> bytes:
    exif = image.info.get("exif")
    if exif is None:  # a PNG file may have it as text
        exif = image.getexif().tobytes() if len(image.getexif()) else b""
    return bytes(exif).removeprefix(EXIF_PREFIX)


def _exif_of_tiff(image: Image.Image) -> bytes:
    source, exif = image.getexif(), Image.Exif()
    for tag in DESCRIPTIVE_TAGS:
        if tag in source:
            exif[tag] = source[tag]
    for tag in (EXIF_IFD, GPS_IFD):
        if entries := source.get_ifd(tag):
            exif.get_ifd(tag).update(entries)
            exif[tag] = exif.get_ifd(tag)
    return bytes(exif.tobytes()).removeprefix(EXIF_PREFIX) if len(exif) else b""


def _make_upright(exif: bytes) -> bytes:
    """EXIF with orientation 1 and without its thumbnail, which shows the image as it was; the rest byte for byte.

    The bytes are changed in place: in a newly written block, maker notes would point to wrong offsets. Raises an
    exception if it is damaged.
    """
    if not exif:
        return b""
    content, order = bytearray(exif), {b"II": "<", b"MM": ">"}[exif[:2]]
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    end = start + 2 + 12 * count
    for entry in range(start + 2, end, 12):
        tag, kind = struct.unpack_from(f"{order}HH", exif, entry)
        if tag == ORIENTATION:  # a short, in some files a byte or a long
            struct.pack_into(order + {1: "B", 4: "I"}.get(kind, "H"), content, entry + 8, 1)
    if end + 4 <= len(exif):
        struct.pack_into(f"{order}I", content, end, 0)
    return bytes(content)


def exif_tags(exif: bytes) -> dict[int, Any]:
    """EXIF as the tags of a TIFF file: numbers and texts, and EXIF's and GPS's own as nested ones."""
    if not exif:
        return {}
    parsed = Image.Exif()
    parsed.load(EXIF_PREFIX + exif)
    nested = {tag: parsed.get_ifd(tag) for tag in (EXIF_IFD, GPS_IFD)}
    plain = {tag: parsed[tag] for tag in DESCRIPTIVE_TAGS if tag in parsed}
    return plain | {tag: entries for tag, entries in nested.items() if entries}

"""Name a file that is not a readable image, by its first bytes, with a hint how to convert it."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from gan_denoise.data.image_files import CONVERT_HINT, OTHER_KINDS
from gan_denoise.errors import InputError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # not EPS, for which Pillow runs a program
RAW = "a camera raw file"
RAW_HINT = 'gan-denoise denoise develops it with pip install "gan-denoise[raw]"; or: darktable-cli FILE FILE.png'
RAW_NAME_HINT = (
    "give gan-denoise denoise a file with the suffix of its kind, such as .dng; or: darktable-cli FILE FILE.png"
)
OTHER_TIFF = "TIFF with another kind of pixels"  # such as floats of 64 bits, or complex numbers
OTHER_TIFF_HINT = "convert it to 8 bits a channel, or to 16 bits in grey, RGB or RGBA"
BRANDS = {  # of files in the ISO base media format (ISO/IEC 14496-12), whose bytes 4 to 8 are `ftyp`
    "HEIC": (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"),
    "AVIF": (b"avif", b"avis"),
    RAW: (b"crx ",),
}
SIGNATURES = (  # kind, offset, bytes
    ("JPEG XL", 0, b"\xff\x0a"),
    ("JPEG XL", 4, b"JXL "),
    ("JPEG 2000", 4, b"jP  "),
    ("JPEG 2000", 0, b"\xff\x4f\xff\x51"),
    ("PDF", 0, b"%PDF"),
    ("PostScript", 0, b"%!PS"),
    ("a Photoshop file", 0, b"8BPS"),
    ("OpenEXR", 0, b"\x76\x2f\x31\x01"),
    ("Radiance HDR", 0, b"#?RADIANCE"),
    (RAW, 8, b"CR\x02"),
    (RAW, 0, b"FUJIFILMCCD-RAW"),
    (RAW, 0, b"IIRO"),
    (RAW, 0, b"IIRS"),
    (RAW, 0, b"MMOR"),
    (RAW, 0, b"IIU\0"),
    (RAW, 0, b"FOVb"),
    (RAW, 0, b"\0MRM"),
    ("a Git LFS pointer", 0, b"version https://git-lfs"),
    ("a ZIP archive", 0, b"PK\x03\x04"),
    ("a gzip file", 0, b"\x1f\x8b"),
    ("a numpy array", 0, b"\x93NUMPY"),
    *((OTHER_TIFF, 0, start) for start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
)
HINTS = {
    RAW: RAW_HINT,
    OTHER_TIFF: OTHER_TIFF_HINT,
    "a Git LFS pointer": "git lfs pull gets the file",
    "a web page": "download the file itself",
    "a ZIP archive": "unpack it first",
    "a gzip file": "unpack it first",
    "a numpy array": "",
    "an empty file": "",
    "another kind of file": "",
}
REDUCED_IMAGE, SUB_IMAGES, DNG_VERSION = 254, 330, 50706  # TIFF tags


def unreadable_kind(path: Path, content: bytes | None = None) -> InputError:
    """The error for a file, or `content`, that Pillow does not identify: what it is, and how to convert it."""
    if content is None:
        with path.open("rb") as file:
            content = file.read(1024)
    kind = name_kind(content[:1024])
    return InputError.expected(path, f"an image ({', '.join(FORMATS)})", kind, HINTS.get(kind, CONVERT_HINT))


def check_not_raw(image: Image.Image, path: Path) -> None:
    """Raise InputError for a camera raw file, which is a TIFF file whose first image is only a preview."""
    tags = getattr(image, "tag_v2", {})
    if DNG_VERSION in tags or (tags.get(REDUCED_IMAGE) == 1 and SUB_IMAGES in tags):
        is_named = path.suffix.lower() in OTHER_KINDS["camera raw"]
        raise InputError.expected(
            path, f"an image ({', '.join(FORMATS)})", RAW, RAW_HINT if is_named else RAW_NAME_HINT
        )


def name_kind(start: bytes) -> str:
    """What a file is, by its first bytes: a key of HINTS, another kind of image, or "another kind of file"."""
    if not start:
        return "an empty file"
    if start[4:8] == b"ftyp":
        return next((kind for kind, brands in BRANDS.items() if start[8:12] in brands), "a video")
    for kind, offset, signature in SIGNATURES:
        if start.startswith(signature, offset):
            return kind
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<svg", b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in text:
        return "SVG"
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return "another kind of file"

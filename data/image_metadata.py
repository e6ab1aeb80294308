"""Copy image files without their metadata, for images whose pixels are good and whose metadata cannot be read."""

from __future__ import annotations

import struct
import zlib

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT", b"eXIf")  # what pixels depend on
WEBP_CHUNKS = (b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF")
WEBP_METADATA_FLAGS = 0b00101100  # of VP8X: ICC profile, EXIF, XMP
JPEG_METADATA = (
    *range(0xE1, 0xEE),
    0xEF,
    0xFE,
)  # all APPn and comments except JFIF (E0) and Adobe's (EE), which defines colours


def without_metadata(content: bytes) -> bytes | None:
    """The bytes of a PNG, JPEG or WebP file without metadata and without what follows the image; None for others.

    Pixels and checksums of the remaining parts are unchanged, so damaged pixels stay damaged.
    """
    if content.startswith(PNG):
        return _strip_png(content)
    if content.startswith(JPEG):
        return _strip_jpeg(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _strip_webp(content)
    return None


def _strip_png(content: bytes) -> bytes:
    parts, position = [PNG], len(PNG)
    while position + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        chunk = content[position:end]
        is_intact = len(chunk) == 12 + length and chunk[-4:] == struct.pack(">I", zlib.crc32(chunk[4:-4]))
        if name in PNG_CHUNKS and (is_intact or name not in (b"tRNS", b"eXIf")):
            parts.append(chunk)
        position = end
        if name == b"IEND":
            break
    return b"".join(parts)


def _strip_jpeg(content: bytes) -> bytes:
    parts, position = [JPEG], len(JPEG)
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker, length = struct.unpack_from(">xBH", content, position)
        if marker == 0xDA:  # the pixels
            break
        end = position + 2 + length
        if marker not in JPEG_METADATA:
            parts.append(content[position:end])
        position = end
    return b"".join([*parts, content[position:]])


def _strip_webp(content: bytes) -> bytes:
    parts, position = [b"WEBP"], 12
    while position + 8 <= len(content):
        name, length = struct.unpack_from("<4sI", content, position)
        end = position + 8 + length + length % 2
        chunk = content[position:end]
        if name == b"VP8X" and length:
            chunk = chunk[:8] + bytes([chunk[8] & ~WEBP_METADATA_FLAGS]) + chunk[9:]
        if name in WEBP_CHUNKS:
            parts.append(chunk)
        position = end
    body = b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body

"""Write PNG files of 16 bits and TIFF files of 8 or 16 bits a channel, which Pillow does in grey only."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from PIL import TiffImagePlugin, TiffTags

from gan_denoise.data.image_metadata import PNG
from gan_denoise.export.denoise.metadata import Metadata, exif_tags
from gan_denoise.export.denoise.tiling import Pixels

BLOCK = 2**20  # bytes of pixels that are compressed at a time
LEVEL = 4  # of zlib: twice as fast as 6 on photographs, and files 2 % larger
DEFLATE, DIFFERENCES, UNPREMULTIPLIED = 8, 2, 2  # values of TIFF's compression, predictor, extra samples
STRIP_STARTS, STRIP_SIZES = 273, 279  # TIFF tags
PAETH = 4  # a PNG filter


def write_png(file: IO[bytes], planes: Pixels, metadata: Metadata) -> None:
    """Write channels (C, H, W) uint16, C 1 to 4 with even numbers for alpha, as a PNG file of 16 bits."""
    channels, height, width = planes.shape
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    file.write(PNG)
    _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
    for name, content in png_chunks(metadata):
        _write_chunk(file, name, content)
    packer = zlib.compressobj(LEVEL)
    above = np.zeros((1, width * channels * 2), np.uint8)
    for block in _blocks(planes):
        rows = block.astype(">u2").view(np.uint8).reshape(len(block), -1)
        if content := packer.compress(_filter(rows, above, 2 * channels).tobytes()):
            _write_chunk(file, b"IDAT", content)
        above = rows[-1:]
    _write_chunk(file, b"IDAT", packer.flush())
    _write_chunk(file, b"IEND", b"")


def png_chunks(metadata: Metadata) -> Iterator[tuple[bytes, bytes]]:
    """Metadata as PNG chunks, in an order in which they may stand before the pixels."""
    for name, content in metadata.chunks:
        if not (metadata.icc and name == b"sRGB"):  # a file has one of the two
            yield name, content
    if metadata.icc:
        yield b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc)
    if metadata.dpi:
        yield b"pHYs", struct.pack(">IIB", *(round(side / 0.0254) for side in metadata.dpi), 1)
    if metadata.exif:
        yield b"eXIf", metadata.exif
    if metadata.xmp:
        yield b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp


def write_tiff(file: IO[bytes], planes: Pixels, metadata: Metadata) -> None:
    """Write channels (C, H, W) uint8 or uint16, C 1 to 4 with even numbers for alpha, as a TIFF file (Deflate)."""
    sizes = [0] * math.ceil(planes.shape[1] / _rows_per_block(planes))
    kept = _tiff_metadata(metadata)
    _write_tags(file, _structure(planes, sizes) | kept)
    for i, block in enumerate(_blocks(planes)):
        strip = _compress_differences(block)
        file.write(strip)
        sizes[i] = len(strip)
    file.seek(0)  # the sizes are known now, and the tags as long as before
    _write_tags(file, _structure(planes, sizes) | kept)


def _write_tags(file: IO[bytes], values: dict[int, Any]) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    for tag, value in values.items():
        tags[tag] = value
    for tag in (STRIP_STARTS, STRIP_SIZES):
        tags.tagtype[tag] = TiffTags.LONG  # whatever the values are
    tags.save(file)


def _structure(planes: Pixels, sizes: list[int]) -> dict[int, Any]:
    channels, height, width = planes.shape
    structure: dict[int, Any] = {
        256: width,
        257: height,
        258: (8 * planes.itemsize,) * channels,
        259: DEFLATE,
        262: 1 if channels < 3 else 2,  # grey with black 0, or RGB
        STRIP_STARTS: tuple(int(start) for start in np.cumsum([0, *sizes[:-1]])),  # Pillow adds where the pixels start
        277: channels,
        278: _rows_per_block(planes),
        STRIP_SIZES: tuple(sizes),
        284: 1,  # channels of a pixel side by side
        317: DIFFERENCES,
    }
    return structure | ({338: UNPREMULTIPLIED} if channels in (2, 4) else {})


def _tiff_metadata(metadata: Metadata) -> dict[int, Any]:
    tags = exif_tags(metadata.exif)
    if metadata.dpi:
        tags |= {282: metadata.dpi[0], 283: metadata.dpi[1], 296: 2}  # per inch
    if metadata.xmp:
        tags[700] = metadata.xmp
    if metadata.icc:
        tags[34675] = metadata.icc
    return tags


def _rows_per_block(planes: Pixels) -> int:
    channels, _, width = planes.shape
    return max(1, BLOCK // int(width * channels * planes.itemsize))


def _blocks(planes: Pixels) -> Iterator[Pixels]:
    """The rows as contiguous (h, W, C), some at a time."""
    rows = _rows_per_block(planes)
    for top in range(0, planes.shape[1], rows):
        yield np.ascontiguousarray(planes[:, top : top + rows].transpose(1, 2, 0))


def _compress_differences(block: Pixels) -> bytes:
    differences = block.copy()
    differences[:, 1:] -= block[:, :-1]  # modulo 2**8 or 2**16
    return zlib.compress(differences.astype(block.dtype.newbyteorder("<")).tobytes(), LEVEL)


def _filter(rows: Pixels, above: Pixels, step: int) -> Pixels:
    """Rows (h, bytes) filtered by Paeth's predictor (PNG specification, 9.4), each after the filter's number."""
    up = np.concatenate([above, rows[:-1]]).astype(np.int16)
    left = np.pad(rows[:, :-step], ((0, 0), (step, 0))).astype(np.int16)
    corner = np.pad(up[:, :-step], ((0, 0), (step, 0)))
    to_left, to_up = np.abs(up - corner), np.abs(left - corner)
    to_corner = np.abs(left + up - 2 * corner)
    nearest_two = np.where(to_up <= to_corner, up, corner)
    predicted = np.where((to_left <= to_up) & (to_left <= to_corner), left, nearest_two)
    return np.pad(rows - predicted.astype(np.uint8), ((0, 0), (1, 0)), constant_values=PAETH)


def _write_chunk(file: IO[bytes], name: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + name)
    file.write(content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(name))))

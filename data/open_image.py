"""Open untrusted image files as grey or colour images of 8 bits a channel."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, PngImagePlugin, UnidentifiedImageError

from gan_denoise.console import warn_once
from gan_denoise.data.image_files import Skipped, check_regular
from gan_denoise.data.image_kinds import FORMATS, check_not_raw, unreadable_kind
from gan_denoise.data.image_metadata import without_metadata
from gan_denoise.data.images import ImagesU8, from_pil
from gan_denoise.errors import InputError
from gan_denoise.options import CENTRE, RESIZE

RANDOM_CROPS = 8  # of a large photograph
MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")  # 8 bits a channel or less
MODES_16_BITS = ("I", "I;16", "I;16B", "I;16L", "I;16N")
MAX_PIXELS = 160_000_000  # of one file: the largest camera sensors; Pillow's own limit is 179 million
MAX_FRAMES = 100_000  # of an animation: an hour; the header of a damaged file can say any number
MAX_BYTES = 1024**3  # of a file that is copied without its metadata
MAX_TEXT = 32 * 1024**2  # of a PNG file's colour profile or text, unpacked; Pillow's own limit is 1 MB
FRAME_LEFT_OUT = "later frame"
BITS_PER_SAMPLE, PHOTOMETRIC, PLANAR = 258, 262, 284  # tags of TIFF
WHITE_IS_ZERO, ONE_AFTER_THE_OTHER = 0, 2  # values of the last two
ORIENTATION = 0x0112  # EXIF tag; how to turn an image with each of its values upright:
TRANSPOSITIONS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_image(path: Path, channels: int, skipped: Skipped | None = None) -> Image.Image:
    """Open an image file in grey (1 channel) or colour (3), 8 bits a channel, turned upright by its EXIF orientation.

    The header is checked before any pixel is decoded. Transparent pixels are shown on white; 16 bits a channel are
    rounded to 8; floats must be in [0, 1]. Metadata that cannot be read is ignored. Of several pages or frames the
    first is used and the others are counted in `skipped`. Raises InputError, which names the file, if it is missing,
    not a regular file, not an image, damaged, of more than MAX_PIXELS pixels or of another pixel type.
    """
    with open_checked(path) as image:
        first = _convert(image, path, channels)
        if skipped is not None:
            with contextlib.suppress(Exception):  # the first is good, later ones do not matter
                if (left_out := count_frames(image) - 1) > 0:
                    skipped.add(FRAME_LEFT_OUT, path, left_out)
        return first


def seek_later_frames(image: Image.Image, path: Path) -> Iterator[int]:
    """Move the open image to its second page or frame and so on, and check the size of each."""
    for frame in range(1, count_frames(image)):
        image.seek(frame)
        _check_size(image, path)
        _check_planes(image, path)
        yield frame


def read_frame_sizes(path: Path) -> list[tuple[int, int]]:
    """The sizes that `read_header` finds."""
    return read_header(path).sizes


class Header(NamedTuple):
    """What the headers of an image file say: Pillow's name of the format; width and height of each frame."""

    format: str
    sizes: list[tuple[int, int]]


def read_header(path: Path, content: bytes | None = None) -> Header:
    """The format, and width and height of each page or frame, before any rotation; no pixels are decoded.

    Raises InputError as `open_image` does, except for damage after the header. `content` is as in `open_checked`.
    """
    with open_checked(path, load=None, content=content) as image:
        sizes = [image.size]
        if image.format == "TIFF":  # pages may differ; frames have the size of the whole
            sizes += [image.size for _ in seek_later_frames(image, path)]
        else:
            if (frames := count_frames(image)) > MAX_FRAMES:
                raise InputError.expected(path, f"at most {MAX_FRAMES:,} frames", f"{frames:,}", "split the animation")
            sizes *= frames
        return Header(str(image.format), sizes)


def crop_and_resize(image: Image.Image, size: int) -> ImagesU8:
    """Crop the central square and resize it (Lanczos): uint8 (size, size), or (3, size, size) in colour."""
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    return from_pil(image)


def cut_squares(image: Image.Image, size: int, crop: str, seed: int) -> list[ImagesU8]:
    """Squares of an image, each resized to (size, size), or (3, size, size) in colour.

    `centre`: the central one. `resize`: the whole image, squeezed. `random`: RANDOM_CROPS of them, between half and all
    of the shorter side, drawn with `seed`; the central one of an image that is not twice as large as `size`.
    """
    if crop == RESIZE:
        return [from_pil(image.resize((size, size), Image.Resampling.LANCZOS))]
    shorter = min(image.size)
    if crop == CENTRE or shorter < 2 * size:
        return [crop_and_resize(image, size)]
    rng = np.random.default_rng(seed)
    squares = []
    for _ in range(RANDOM_CROPS):
        side = int(rng.integers(max(size, shorter // 2), shorter + 1))
        left, top = (int(rng.integers(0, length - side + 1)) for length in image.size)
        square = image.resize((size, size), Image.Resampling.LANCZOS, (left, top, left + side, top + side))
        squares.append(from_pil(square))
    return squares


Load = Callable[[ImageFile.ImageFile], object]


@contextmanager
def open_checked(
    path: Path, load: Load | None = lambda image: image.load(), content: bytes | None = None
) -> Iterator[Image.Image]:
    """Open an image file, check its header, decode its first frame; errors inside the block become InputErrors too.

    `load` decodes; with None nothing is decoded. `content` are the bytes of the image where it comes from no file;
    `path` then only names it.
    """
    if content is None:
        check_regular(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about sizes and palettes, which are checked here
            with _open_tolerantly(path, load, content) as image:
                yield image
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise unreadable_kind(path, content) from error
    except Image.DecompressionBombError as error:
        raise _too_large(path, error) from error
    except Exception as error:  # Pillow raises a dozen exception types for damaged files
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"{path}: unreadable image ({reason})") from error


def _open_tolerantly(path: Path, load: Load | None, content: bytes | None) -> Image.Image:
    """Open the file; if that fails, its copy without metadata. Raises the first error if that fails too."""
    try:
        return _open(path if content is None else io.BytesIO(content), path, load)
    except (InputError, Image.DecompressionBombError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:
        if content is None and path.stat().st_size <= MAX_BYTES:
            content = path.read_bytes()
        copy = without_metadata(content) if content is not None else None
        if copy is None:
            raise
        try:
            image = _open(io.BytesIO(copy), path, load)
        except InputError:
            raise
        except Exception:
            raise error from None
        warn_once("metadata that cannot be read was left out", path)
        return image


def _open(file: Path | io.BytesIO, path: Path, load: Load | None) -> Image.Image:
    PngImagePlugin.MAX_TEXT_CHUNK = max(PngImagePlugin.MAX_TEXT_CHUNK, MAX_TEXT)
    image = Image.open(file, formats=FORMATS)
    image.filename = ""  # Pillow would map an uncompressed TIFF file into memory, and takes it for turned already
    try:
        check_not_raw(image, path)
        _check_size(image, path)
        if image.mode not in (*MODES, *MODES_16_BITS, "F"):
            hint = "convert it to 8 bits a channel, grey or RGB"
            raise InputError.expected(path, "grey or colour pixels", f"mode {image.mode}", hint)
        _check_planes(image, path)
        _scale_transparency(image)
        if load is not None:
            load(image)
    except BaseException:
        image.close()
        raise
    return image


def _check_planes(image: Image.Image, path: Path) -> None:
    """Raise InputError for a TIFF frame with one channel after the other in 16 bits, of which Pillow reads 8."""
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(BITS_PER_SAMPLE, (8,))
    if tags.get(PLANAR) == ONE_AFTER_THE_OTHER and len(bits) > 1 and max(bits) > 8:
        hint = "tiffcp -p contig FILE OTHER.tif converts it"
        raise InputError.expected(path, "16-bit channels side by side", "one channel after the other", hint)


def _scale_transparency(image: Image.Image) -> None:
    """Give the transparent level of a PNG file of 2 or 4 bits in 8 bits, as Pillow gives the pixels."""
    level, tiles = image.info.get("transparency"), getattr(image, "tile", [])
    factor = {"L;2": 85, "L;4": 17}.get(str(tiles[0][3]), 1) if image.format == "PNG" and tiles else 1
    if isinstance(level, int):
        image.info["transparency"] = factor * level


def _check_size(image: Image.Image, path: Path) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(path, f"{image.width}x{image.height}")


def _too_large(path: Path, got: object) -> InputError:
    return InputError.expected(path, f"at most {MAX_PIXELS:,} pixels", got, "make the image smaller")


def count_frames(image: Image.Image) -> int:
    """How many pages or frames; 1 for photographs (MPO), whose further images are previews and depth maps."""
    return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)


def _convert(image: Image.Image, path: Path, channels: int) -> Image.Image:
    """A copy in 8 bits a channel, upright, in grey (1 channel) or colour (3), with transparent pixels on white."""
    image.load()
    orientation = TRANSPOSITIONS.get(read_orientation(image))
    mode = "L" if channels == 1 else "RGB"
    if image.mode in MODES_16_BITS or image.mode == "F":
        image = Image.fromarray(_to_8_bits(image, path))
    elif image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = _on_white(image)
    image = image.convert(mode)
    return image if orientation is None else image.transpose(orientation)


def read_orientation(image: Image.Image) -> object:
    """The EXIF orientation of a decoded image, 1 to 8; None or anything else if it has none or a damaged one."""
    with contextlib.suppress(Exception):  # metadata that cannot be read; the pixels count
        return image.getexif().get(ORIENTATION)
    return None


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("La", "RGBa"):  # colours multiplied by alpha
        image = image.convert(image.mode.upper())
    colours = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), colours).convert("RGB")


def _to_8_bits(image: Image.Image, path: Path) -> ImagesU8:
    """Pixels (H, W) of 16 bits (0 to 65535) or floats (0 to 1), rounded to nearest. Raises InputError outside these."""
    pixels = checked_deep(image, path)
    if image.mode == "F":
        return np.rint(pixels * np.float32(255)).astype(np.uint8)
    return ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def checked_deep(image: Image.Image, path: Path) -> NDArray[Any]:
    """Pixels (H, W) of a grey image of 16 bits, 0 to 65535, or of floats, 0 to 1. Raises InputError outside these.

    White is the largest: TIFF files with black as that are inverted, those of 12 bits scaled.
    """
    pixels = np.asarray(image)
    low, high = pixels.min(), pixels.max()
    limit = 1 if image.mode == "F" else 65535
    if not (low >= 0 and high <= limit):  # NaN fails both comparisons
        expected = f"{'float' if limit == 1 else 'integer'} pixels from 0 to {limit}"
        raise InputError.expected(path, expected, f"{low:g} to {high:g}", f"divide them so that white is {limit}")
    if image.mode == "I" and image.format == "TIFF":  # 32 bits: white may be any number
        expected, hint = "at most 16 bits a channel", "convert it to 16 or 8 bits"
        raise InputError.expected(path, expected, f"32 bits, {low} to {high}", hint)
    tags = getattr(image, "tag_v2", {})
    if tags.get(BITS_PER_SAMPLE) == (12,):
        pixels = ((pixels.astype(np.uint32) * 65535 + 2047) // 4095).astype(np.uint16)
    return limit - pixels if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else pixels

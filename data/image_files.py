"""Folders of anybody's image files, read as arrays of one size."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gan_denoise.data.images import ImagesU8, from_pil
from gan_denoise.errors import InputError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # none that runs a program, as EPS does
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")  # 8 bits a channel or less
MAX_PIXELS = 64_000_000  # of one file
AT_MOST, SMALLER = f"{MAX_PIXELS:,} in all at most wanted", "make it smaller"
WANTED = f"image files ({' '.join(SUFFIXES[:3])} ...)"


def read_folder(folder: Path, size: int, channels: int) -> tuple[ImagesU8, ImagesU8, tuple[str, ...]]:
    """The images below `folder` as squares, their labels, and the names of the classes.

    uint8 (N, size, size), or (N, 3, size, size) for 3 channels, and uint8 (N,). Each sub-folder is a class; a folder of
    files has none. Other files are passed over. Raises InputError, which names the file or folder, when there are no
    images, or when one is damaged, too large or of more than 8 bits.
    """
    groups = _groups(folder)
    if len(groups) > 256:
        raise InputError(f"{folder}: {len(groups)} sub-folders of images found, at most 256 wanted")
    images = [crop_and_resize(open_image(file, channels), size) for files in groups.values() for file in files]
    labels = np.repeat(np.arange(len(groups), dtype=np.uint8), [len(files) for files in groups.values()])
    return np.stack(images), labels, tuple(name for name in groups if name)


def list_image_files(folder: Path) -> list[Path]:
    """The image files in `folder` itself, by name. Raises InputError when it is no folder that can be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not _hidden(path))
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror} found, a folder of {WANTED} wanted") from error


def open_image(path: Path, channels: int) -> Image.Image:
    """An image file in grey (1 channel) or colour (3), the right way up. Its header is checked before any pixel.

    Transparency is dropped. Raises InputError when it is missing, no image, damaged, of more than MOST_PIXELS, or of
    more than 8 bits a channel.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of sizes and palettes is decided here
            with Image.open(path, formats=FORMATS) as image:
                _check_header(image, path)
                return ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: no image found, one of {', '.join(FORMATS)} wanted") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: {error}, {AT_MOST}", SMALLER) from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file, a PNG or the like wanted") from error
    except Exception as error:  # Pillow raises a dozen types over damaged files
        raise InputError(f"{path}: unreadable image ({error}), a whole one wanted") from error


def crop_and_resize(image: Image.Image, size: int) -> ImagesU8:
    """The image's middle square, resampled: uint8 (size, size), or (3, size, size) in colour."""
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    return from_pil(image)


def _groups(folder: Path) -> dict[str, list[Path]]:
    """The image files by class, or all under "" where there are no classes."""
    here = list_image_files(folder)
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and not _hidden(path))
    if here:
        mixed = next((path for path in folders if list_image_files(path)), None)
        if mixed is not None:
            message = f"{folder}: {here[0].name} beside the folder {mixed.name} of images found"
            raise InputError(f"{message}, either files or a folder a class wanted")
        return {"": here}
    groups = {path.name: list_image_files(path) for path in folders}
    empty = [path for path, files in zip(folders, groups.values(), strict=True) if not files]
    if empty or not groups:
        raise InputError(f"{empty[0] if empty else folder}: no images found, {WANTED} wanted")
    return groups


def _check_header(image: Image.Image, path: Path) -> None:
    if image.width * image.height > MAX_PIXELS:
        found = f"{image.width}x{image.height}"
        raise InputError(f"{path}: {found} pixels found, {AT_MOST}", SMALLER)
    if image.mode not in MODES:
        raise InputError(f"{path}: mode {image.mode} found, 8 bits a channel wanted", "convert it to 8 bits first")


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")

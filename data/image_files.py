"""Read image files and folders of them as arrays of one size."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gan_denoise.data.images import ImagesU8, from_pil
from gan_denoise.errors import InputError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # not EPS, for which Pillow runs a program
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")  # 8 bits a channel or less
MAX_PIXELS = 64_000_000  # of one file
MAX_CLASSES = 256  # labels are uint8
IMAGE_FILES = f"image files ({' '.join(SUFFIXES[:3])} ...)"


def read_folder(folder: Path, size: int, channels: int) -> tuple[ImagesU8, ImagesU8, tuple[str, ...]]:
    """Read the images below `folder`: images, labels uint8 (N,), and the names of the classes.

    The images are uint8 (N, size, size), or (N, 3, size, size) for 3 channels. Each sub-folder is a class; a folder
    of files has no classes. Other files are ignored. Raises InputError, which names the file or folder, if there are
    no images, or if one is damaged, too large or of more than 8 bits a channel.
    """
    groups = _group_by_class(folder)
    if len(groups) > MAX_CLASSES:
        raise InputError.expected(folder, f"at most {MAX_CLASSES} sub-folders of images", len(groups))
    images = [crop_and_resize(open_image(path, channels), size) for paths in groups.values() for path in paths]
    labels = np.repeat(np.arange(len(groups), dtype=np.uint8), [len(paths) for paths in groups.values()])
    return np.stack(images), labels, tuple(name for name in groups if name)


def list_image_files(folder: Path) -> list[Path]:
    """The image files directly in `folder`, sorted by name. Raises InputError if it is not a readable folder."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not _is_hidden(path))
    except OSError as error:
        raise InputError.expected(folder, f"a folder of {IMAGE_FILES}", error.strerror) from error


def open_image(path: Path, channels: int) -> Image.Image:
    """Open an image file in grey (1 channel) or colour (3), turned upright by its EXIF orientation.

    The header is checked before any pixel is decoded. Transparency is dropped. Raises InputError if the file is
    missing, not an image, damaged, of more than MAX_PIXELS pixels, or of more than 8 bits a channel.
    """
    with _open_checked(path) as image:
        return ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")


def read_image_size(path: Path) -> tuple[int, int]:
    """Width and height that the header of an image file states, before any rotation; no pixels are decoded.

    Raises InputError as `open_image` does, except for damage after the header.
    """
    with _open_checked(path) as image:
        return image.size


@contextmanager
def _open_checked(path: Path) -> Iterator[Image.Image]:
    """Open an image file and check its header; errors inside the block become InputErrors too."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about sizes and palettes, which are checked here
            with Image.open(path, formats=FORMATS) as image:
                _check_header(image, path)
                yield image
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError.expected(path, f"an image ({', '.join(FORMATS)})", "another kind of file") from error
    except Image.DecompressionBombError as error:
        raise _too_large(path, error) from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: not found") from error
    except Exception as error:  # Pillow raises a dozen exception types for damaged files
        raise InputError(f"{path}: unreadable image ({error})") from error


def crop_and_resize(image: Image.Image, size: int) -> ImagesU8:
    """Crop the central square and resize it (Lanczos): uint8 (size, size), or (3, size, size) in colour."""
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    return from_pil(image)


def _group_by_class(folder: Path) -> dict[str, list[Path]]:
    """The image files by class, or all under "" if there are no classes."""
    paths = list_image_files(folder)
    subfolders = sorted(path for path in folder.iterdir() if path.is_dir() and not _is_hidden(path))
    if paths:
        mixed = next((path for path in subfolders if list_image_files(path)), None)
        if mixed is not None:
            got = f"{paths[0].name} beside the folder {mixed.name} of images"
            raise InputError.expected(folder, "either image files or one sub-folder per class", got)
        return {"": paths}
    groups = {path.name: list_image_files(path) for path in subfolders}
    empty = [path for path in subfolders if not groups[path.name]]
    if empty or not groups:
        raise InputError.expected(empty[0] if empty else folder, IMAGE_FILES, "none")
    return groups


def _check_header(image: Image.Image, path: Path) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(path, f"{image.width}x{image.height}")
    if image.mode not in MODES:
        raise InputError.expected(path, "at most 8 bits a channel", f"mode {image.mode}", "convert it to 8 bits first")


def _too_large(path: Path, got: object) -> InputError:
    return InputError.expected(path, f"at most {MAX_PIXELS:,} pixels", got, "make the image smaller")


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")

"""Choose the files that `denoise` writes for image files and folders of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from gan_denoise.data.image_files import Skipped, image_name, none_found, normalize, walk_image_folders
from gan_denoise.errors import UsageError
from gan_denoise.export.images import check_header


def list_outputs(images: Sequence[Path], out: Path, shape: tuple[int, ...], skipped: Skipped) -> dict[Path, list[Path]]:
    """The files in `out` to write for each image file, one per page or frame, for a model of `shape` (C, H, W).

    `scan.0001.tif` becomes `scan.0001.png`; its pages, if it has several, `scan.0001-000.png` and so on. Of a folder
    all images are taken, with its sub-folders, but not those in `out`. Names are compared as macOS and Windows do:
    composed (NFC) and in any case. A repeated image counts once. Raises UsageError when two images share an output,
    InputError for a folder without images and as `check_header` does.
    """
    sources: dict[Path, list[Path]] = {}
    owners: dict[str, Path] = {}  # the image of each output
    seen: set[tuple[str, str]] = set()
    for path, name in _named_images(images, out, skipped):
        identity = os.path.realpath(path), _key(name)  # `a.png` and `b/../a.png` are one
        if identity in seen:
            continue
        seen.add(identity)
        frames = check_header(path, shape)
        endings = [".png"] if frames == 1 else [f"-{frame:03d}.png" for frame in range(frames)]
        sources[path] = [name.with_name(name.name + ending) for ending in endings]
        for target in sources[path]:
            other = owners.setdefault(_key(target), path)
            if other != path:
                got = f"{other} and {path}, both written as {target.relative_to(out)}"
                raise UsageError.expected("IMAGES", "different names", got, "denoise them into different folders")
    return sources


def _named_images(images: Sequence[Path], out: Path, skipped: Skipped) -> Iterator[tuple[Path, Path]]:
    """Each image file and the path below `out` of its output, without a suffix."""
    for path in images:
        if not path.is_dir():
            yield path, out / image_name(path)
            continue
        if out.exists() and path.samefile(out):
            raise UsageError.expected("--out", "another folder than that of the images", out, "--out clean")
        is_empty = True
        for folder, files in walk_image_folders(path, skipped, exclude=out):
            is_empty = False
            yield from ((file, out / folder.relative_to(path) / image_name(file)) for file in files)
        if is_empty:
            raise none_found(path, skipped)


def _key(path: Path) -> str:
    return normalize(str(path)).casefold()

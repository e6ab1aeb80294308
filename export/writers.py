"""Write generated images as a grid, an array file, or a folder of PNG files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from gan_denoise.data.images import ImagesF32
from gan_denoise.errors import OutputError, UsageError
from gan_denoise.export.images import paired_grid, save_numbered, save_png
from gan_denoise.files import atomic_path, keep_mode, link_target, make_folder, staging_dir

Batches = Iterable[tuple[ImagesF32, ImagesF32]]
NAMES = ("image", "denoised")
OTHER_FILES = (".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".npy", ".onnx", ".pdf", ".zip")


def writer_for(out: Path) -> Callable[[Batches, Path], None]:
    """The function that writes batches of (image, denoised) to a path with the suffix of `out`.

    Raises UsageError for the suffix of another kind of file.
    """
    if out.suffix.lower() in OTHER_FILES:
        raise UsageError.expected("--out", "a name ending in .png or .npz, or a folder", out.name)
    return {".png": write_grid, ".npz": write_arrays}.get(out.suffix.lower(), write_folder)


def write_grid(batches: Batches, out: Path) -> None:
    """Write one PNG file, each row of raw images above the same images denoised."""
    image, denoised = _concatenate(batches)
    save_png(paired_grid({"raw": image, "denoised": denoised}), out)


def write_arrays(batches: Batches, out: Path) -> None:
    """Write one `.npz` file with float32 arrays `image` and `denoised`, (N, C, H, W) in [0, 1]."""
    image, denoised = _concatenate(batches)
    with atomic_path(out) as temporary, temporary.open("wb") as file:
        np.savez(file, image=image, denoised=denoised)


def write_folder(batches: Batches, out: Path) -> None:
    """Write `out`/image/000000.png ... and `out`/denoised/000000.png ...; they appear when all are written.

    Images of an earlier call are replaced. Raises OutputError when these folders hold other files, or writing fails.
    """
    for name in NAMES:
        _check_only_our_files(out / name)
    try:
        with staging_dir(out) as staging:
            written = 0
            for batch in batches:
                for name, images in zip(NAMES, batch, strict=True):
                    save_numbered(images, staging / name, written)
                written += len(batch[0])
            if out.is_file():
                link_target(out).unlink()
            make_folder(out)
            for name in NAMES:
                if (out / name).exists():
                    keep_mode(out / name, staging / name)
                    (out / name).replace(staging / f"old {name}")
                (staging / name).replace(out / name)
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror or error}", "choose another --out, or free some space") from error


def _check_only_our_files(folder: Path) -> None:
    unexpected = [path for path in folder.glob("*") if not re.fullmatch(r"\d{6,}\.png", path.name)]
    if unexpected:
        raise OutputError(f"{unexpected[0]}: unexpected file, not overwritten", "choose another --out")


def _concatenate(batches: Batches) -> tuple[ImagesF32, ...]:
    return tuple(np.concatenate(arrays) for arrays in zip(*batches, strict=True))

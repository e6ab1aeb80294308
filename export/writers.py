"""Write generated images as a grid, an animation, an array file, or a folder of PNG files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from gan_denoise.data.images import ImagesF32
from gan_denoise.errors import OutputError, UsageError
from gan_denoise.export.images import COLUMNS, grid, paired_grid, save_numbered, save_png
from gan_denoise.files import atomic_path, keep_mode, link_target, make_folder, staging_dir

Batches = Iterable[tuple[ImagesF32, ImagesF32]]
NAMES = ("image", "denoised")
FRAME_MS = 100  # milliseconds that a frame of an animation is shown
OTHER_FILES = (".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".npy", ".onnx", ".pdf", ".zip")


Writer = Callable[[Batches, Path], None]


def is_folder(out: Path) -> bool:
    """Whether the name is that of a folder, not of one file.

    Raises UsageError for the suffix of a kind of file that is not written.
    """
    suffix = out.suffix.lower()
    if suffix in OTHER_FILES:
        raise UsageError.expected("--out", "a name ending in .png or .npz, or a folder", out.name)
    return suffix not in (".png", ".npz", ".gif")


def writer_for(out: Path, walk: int = 0, numbers: Sequence[int] | None = None) -> Writer:
    """The function that writes batches of (image, denoised) to a path with the suffix of `out`.

    `walk` is the number of frames from one latent to the next, or 0 for images that are no walk; `numbers` are the
    numbers by which a folder's files are named, by default from 0. Raises UsageError as `is_folder` does, and for a
    `.gif` that is no walk.
    """
    if is_folder(out):
        return partial(write_folder, numbers=numbers) if numbers else write_folder
    if out.suffix.lower() == ".npz":
        return write_arrays
    if out.suffix.lower() == ".png":
        return partial(write_grid, columns=walk) if walk else write_grid
    if not walk:
        hint = "--interpolate 8 makes an animation"
        raise UsageError.expected("--out", "a name ending in .png or .npz, or a folder", out.name, hint)
    return write_animation


def write_grid(batches: Batches, out: Path, columns: int = COLUMNS) -> None:
    """Write one PNG file, each row of raw images above the same images denoised."""
    image, denoised = _concatenate(batches)
    save_png(paired_grid({"raw": image, "denoised": denoised}, columns), out)


def write_animation(batches: Batches, out: Path) -> None:
    """Write one GIF file that repeats for ever, each frame a raw image and at its right the same image denoised."""
    frames = [
        grid(np.stack(pair), columns=2) for image, denoised in batches for pair in zip(image, denoised, strict=True)
    ]
    with atomic_path(out) as temporary:
        frames[0].save(temporary, "GIF", save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0)


def write_arrays(batches: Batches, out: Path) -> None:
    """Write one `.npz` file with float32 arrays `image` and `denoised`, (N, C, H, W) in [0, 1]."""
    image, denoised = _concatenate(batches)
    with atomic_path(out) as temporary, temporary.open("wb") as file:
        np.savez(file, image=image, denoised=denoised)


def write_folder(batches: Batches, out: Path, numbers: Sequence[int] | None = None) -> None:
    """Write `out`/image/000000.png ... and `out`/denoised/000000.png ...; they appear when all are written.

    The files are named by `numbers`, or from 0.
    Images of an earlier call are replaced. Raises OutputError when these folders hold other files, or writing fails.
    """
    for name in NAMES:
        _check_only_our_files(out / name)
    try:
        with staging_dir(out) as staging:
            written = 0
            for batch in batches:
                these = range(written, written + len(batch[0]))
                for name, images in zip(NAMES, batch, strict=True):
                    save_numbered(images, staging / name, [numbers[i] for i in these] if numbers else these)
                written += len(these)
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

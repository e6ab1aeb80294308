"""Where generated pictures go: a grid, an array file, or a folder of PNG files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_denoise.errors import OutputError
from gan_denoise.export import pictures
from gan_denoise.files import replacing

Batches = Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]]
NAMES = ("image", "denoised")


def writer_for(out: Path) -> Callable[[Batches, Path], None]:
    """The function that writes batches of (image, denoised) to a path named like `out`."""
    return {".png": write_grid, ".npz": write_arrays}.get(out.suffix, write_folder)


def write_grid(batches: Batches, out: Path) -> None:
    """One PNG, each row of raw pictures above the same ones denoised."""
    image, denoised = _joined(batches)
    pictures.save(pictures.paired_grid({"raw": image, "denoised": denoised}), out)


def write_arrays(batches: Batches, out: Path) -> None:
    """One `.npz` with float32 arrays `image` and `denoised`, (N, C, H, W) in [0, 1]."""
    image, denoised = _joined(batches)
    with replacing(out) as temporary, temporary.open("wb") as file:
        np.savez(file, image=image, denoised=denoised)


def write_folder(batches: Batches, out: Path) -> None:
    """`out`/image/000000.png and `out`/denoised/000000.png and on; `out` appears when all are written."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as name:
            staging = Path(name) / out.name
            written = 0
            for arrays in batches:
                for folder, images in zip(NAMES, arrays, strict=True):
                    pictures.save_each(images, staging / folder, written)
                written += len(arrays[0])
            _replace_folder(staging, out)
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror or error}", "choose another --out, or free some space") from error


def _replace_folder(new: Path, out: Path) -> None:
    """Put `new` in the place of `out`; an old `out` goes when the new one is ready."""
    if out.is_dir():
        for name in NAMES:
            shutil.rmtree(out / name, ignore_errors=True)
            (new / name).replace(out / name)
    else:
        out.unlink(missing_ok=True)
        new.replace(out)


def _joined(batches: Batches) -> tuple[NDArray[np.float32], ...]:
    return tuple(np.concatenate(arrays) for arrays in zip(*batches, strict=True))

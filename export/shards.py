"""Write any number of generated images as shards: memory stays flat, and an interrupted call can be resumed."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from gan_denoise.console import Track, untracked
from gan_denoise.data.images import to_uint8
from gan_denoise.errors import OutputError
from gan_denoise.export.generate import generate_batches
from gan_denoise.export.runtime import Graph
from gan_denoise.export.writers import NAMES, Batches
from gan_denoise.files import (
    atomic_path,
    check_free_space,
    check_overwrite,
    link_target,
    remove_leftovers,
    write_atomic,
)
from gan_denoise.locks import exclusive_lock
from gan_denoise.options import BATCH

SHARD = 10_000  # images per file
DESCRIPTION = "shards.json"
SHARD_NAME = re.compile(r"\d{6,}\.npz")


def write_shards(
    graph: Graph,
    seed: int,
    count: int,
    out: Path,
    batch: int = BATCH,
    label: int | None = None,
    force: bool = False,
    track: Track = untracked,
) -> None:
    """Write the images of latents 0 to count - 1 of `seed` as `out`/000000.npz ..., 10,000 images per file.

    Each file holds `image` and `denoised`, uint8 (n, H, W), or (n, 3, H, W) in colour; shards.json describes them all.
    A folder with the same description is completed: intact files are not written again. `force` starts from scratch.
    Raises OutputError when the folder holds other files and `force` is not set, when a file with the name of a shard
    was not written by this function, or when the disk has too little space, before any image is generated; LockedError
    when another process writes to the folder; InputError as `generate_batches` does.
    """
    channels, *sides = graph.output_shapes[0]
    shape = sides if channels == 1 else (channels, *sides)
    description = {"model_sha256": graph.sha256, "seed": seed, "label": label, "n": count, "images_per_file": SHARD}
    shards = [path for path in out.glob("*") if SHARD_NAME.fullmatch(path.name)]
    check_free_space(out, count * len(NAMES) * math.prod(shape) - sum(path.stat().st_size for path in shards))
    if out.is_file():
        check_overwrite(out, force)
        link_target(out).unlink()
    with exclusive_lock(out):
        _begin(out, description, force)
        for start in track(range(0, count, SHARD)):
            shard, size = out / f"{start // SHARD:06d}.npz", min(SHARD, count - start)
            if not _is_intact(shard, (size, *shape)):
                _write_shard(generate_batches(graph, seed, size, batch, label, first=start), shard)


def _begin(out: Path, description: dict[str, Any], force: bool) -> None:
    """Write the description of a new folder, or check that an existing folder has the same one."""
    existing = _read_description(out / DESCRIPTION)
    remove_leftovers(out)
    if existing == description and not force:
        return
    names = sorted(path.name for path in out.iterdir())
    if names and not force:
        raise OutputError(f"{out}: exists with other contents, not overwritten", "--force overwrites it")
    shards = [name for name in names if SHARD_NAME.fullmatch(name)]
    if shards and existing is None:
        raise OutputError(f"{out / shards[0]}: unexpected file, not overwritten", "choose another --out")
    _remove(out, SHARD_NAME)
    write_atomic(out / DESCRIPTION, json.dumps(description, indent=1) + "\n")


def _write_shard(batches: Batches, shard: Path) -> None:
    pairs = [(to_uint8(image), to_uint8(denoised)) for image, denoised in batches]
    image, denoised = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    with atomic_path(shard) as temporary, temporary.open("wb") as file:
        np.savez(file, image=image, denoised=denoised)


def _read_description(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _is_intact(shard: Path, shape: tuple[int, ...]) -> bool:
    """Whether the file holds both arrays as uint8 in this shape."""
    try:
        with shard.open("rb") as file, np.load(file) as arrays:
            return all(arrays[name].dtype == np.uint8 and arrays[name].shape == shape for name in NAMES)
    except Exception:  # zipfile and numpy raise a dozen types over damaged files
        return False


def _remove(folder: Path, names: re.Pattern[str]) -> None:
    for path in folder.iterdir():
        if names.fullmatch(path.name):
            path.unlink()

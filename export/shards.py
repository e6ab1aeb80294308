"""Any number of generated images in array files of one size, so that memory stays flat and a stopped call goes on."""

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
from gan_denoise.files import atomic_path, check_free_space, check_overwrite, exclusive_lock, write_atomic
from gan_denoise.options import BATCH

SHARD = 10_000  # images
DESCRIPTION = "shards.json"
SHARD_NAME = re.compile(r"\d{6,}\.npz")
LEFTOVER_NAME = re.compile(
    rf"\.({SHARD_NAME.pattern}|{re.escape(DESCRIPTION)})\..*"
)  # by a process that was killed while it wrote


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
    """Latents 0 to count - 1 of `seed` as `out`/000000.npz and on, 10,000 images each, and what they are made of.

    Each file holds `image` and `denoised`, uint8 (n, H, W), or (n, 3, H, W) in colour. A folder with the same
    description goes on: what is whole is kept. `force` starts anew. Raises OutputError when there is anything else and
    no `force`, or with it files of our names that are not ours, or no room for all before the first is made;
    LockedError when another process writes there; InputError as `generate` does.
    """
    channels, *sides = graph.output_shapes[0]
    shape = sides if channels == 1 else (channels, *sides)
    described = {"model_sha256": graph.sha256, "seed": seed, "label": label, "n": count, "images_per_file": SHARD}
    ours = [path for path in out.glob("*") if SHARD_NAME.fullmatch(path.name)]
    check_free_space(out, count * len(NAMES) * math.prod(shape) - sum(path.stat().st_size for path in ours))
    if out.is_file():
        check_overwrite(out, force)
        out.unlink()
    with exclusive_lock(out):
        _begin(out, described, force)
        for start in track(range(0, count, SHARD)):
            shard, size = out / f"{start // SHARD:06d}.npz", min(SHARD, count - start)
            if not _is_whole(shard, (size, *shape)):
                _write(generate_batches(graph, seed, size, batch, label, first=start), shard)


def _begin(out: Path, described: dict[str, Any], force: bool) -> None:
    """Describe a new folder, or see that an old one is of the same images."""
    known = _read(out / DESCRIPTION)
    if known is not None:
        _remove(out, LEFTOVER_NAME)
    if known == described and not force:
        return
    found = sorted(path.name for path in out.iterdir())
    if found and not force:
        raise OutputError(f"{out}: exists and holds other images, kept as it is", "--force replaces it")
    strangers = [name for name in found if SHARD_NAME.fullmatch(name)]
    if strangers and known is None:
        raise OutputError(f"{out / strangers[0]}: a file that is not ours, kept as it is", "choose another --out")
    _remove(out, SHARD_NAME)
    write_atomic(out / DESCRIPTION, json.dumps(described, indent=1) + "\n")


def _write(batches: Batches, shard: Path) -> None:
    pairs = [(to_uint8(image), to_uint8(denoised)) for image, denoised in batches]
    image, denoised = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    with atomic_path(shard) as temporary, temporary.open("wb") as file:
        np.savez(file, image=image, denoised=denoised)


def _read(description: Path) -> Any:
    try:
        return json.loads(description.read_text())
    except (OSError, ValueError):
        return None


def _is_whole(shard: Path, shape: tuple[int, ...]) -> bool:
    """Whether both arrays of a file are there, in bytes and in this shape."""
    try:
        with shard.open("rb") as file, np.load(file) as arrays:
            return all(arrays[name].dtype == np.uint8 and arrays[name].shape == shape for name in NAMES)
    except Exception:  # zipfile and numpy raise a dozen types over damaged files
        return False


def _remove(folder: Path, names: re.Pattern[str]) -> None:
    for path in folder.iterdir():
        if names.fullmatch(path.name):
            path.unlink()

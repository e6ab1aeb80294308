"""Any number of generated pictures in array files of one size, so that memory stays flat and a stopped call goes on."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data.fashion_mnist import to_uint8
from gan_denoise.errors import OutputError
from gan_denoise.export.output import NAMES
from gan_denoise.export.runtime import BATCH, Array, Graph, generate
from gan_denoise.files import replacing, write_atomic
from gan_denoise.progress import Track, untracked

SHARD = 10_000  # pictures
DESCRIPTION = "shards.json"


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
    """Latents 0 to count - 1 of `seed` as `out`/000000.npz and on, 10,000 pictures each, and what they are made of.

    Each file holds `image` and `denoised`, uint8 (n, H, W). A folder with the same description goes on after its
    last whole file. Raises OutputError when it holds anything else, unless `force` starts it anew; and InputError as
    `generate` does.
    """
    described = {"model_sha256": graph.sha256, "seed": seed, "label": label, "n": count, "pictures_a_file": SHARD}
    _begin(out, described, force)
    for start in track(range(0, count, SHARD)):
        shard = out / f"{start // SHARD:06d}.npz"
        size = min(SHARD, count - start)
        if not _is_whole(shard, (size, *graph.output_shapes[0][1:])):
            batches = generate(graph, seed, size, batch, label, first=start)
            image, denoised = (np.concatenate(parts) for parts in zip(*map(_in_bytes, batches), strict=True))
            with replacing(shard) as temporary, temporary.open("wb") as file:
                np.savez(file, image=image, denoised=denoised)


def _in_bytes(batch: tuple[Array, Array]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    image, denoised = batch
    return to_uint8(image), to_uint8(denoised)


def _begin(out: Path, described: dict[str, Any], force: bool) -> None:
    """Describe a new folder, or see that an old one is of the same pictures."""
    description = out / DESCRIPTION
    if out.exists() and not force and _read(description) != described:
        raise OutputError(f"{out}: exists and holds other pictures, kept as it is", "--force replaces it")
    if force and _read(description) != described and out.is_dir():
        for shard in out.glob("[0-9]*.npz"):
            shard.unlink()
    write_atomic(description, json.dumps(described, indent=1) + "\n")


def _read(description: Path) -> Any:
    try:
        return json.loads(description.read_text())
    except (OSError, ValueError):
        return None


def _is_whole(shard: Path, shape: tuple[int, ...]) -> bool:
    """Whether both arrays of a file are there in this shape; a file appears only when it is written."""
    try:
        with shard.open("rb") as file, np.load(file) as arrays:
            return all(arrays[name].shape == shape for name in NAMES)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return False

"""Write any number of generated images as shards: memory stays flat, and an interrupted call can be resumed.

Any number of processes, also on several machines, can write to one folder at the same time; see `shard_manifest`.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np

from gan_denoise.console import Track, untracked
from gan_denoise.errors import Interrupted, LockedError, OutputError
from gan_denoise.export.runtime import Graph
from gan_denoise.export.shard_formats import check_installed, largest_size
from gan_denoise.export.shard_job import Job, image_shape, made_with, make_shards
from gan_denoise.export.shard_manifest import LOG, Facts, Manifest, check_made_with, file_sha256
from gan_denoise.export.shard_ray import run_tasks
from gan_denoise.export.shard_workers import run_workers
from gan_denoise.export.writers import NAMES
from gan_denoise.files import (
    LEFTOVER,
    OUT_HINT,
    check_free_space,
    check_overwrite,
    link_target,
    make_folder,
    remove_leftovers,
)
from gan_denoise.locks import exclusive_lock
from gan_denoise.machine import stop_signals_call
from gan_denoise.options import BATCH, FileFormat

SHARD = 10_000  # images per file
SHARD_NAME = re.compile(r"\d{6,}\.(npz|tar|parquet)")


def write_shards(
    graph: Graph,
    seed: int,
    count: int,
    out: Path,
    batch: int = BATCH,
    label: int | None = None,
    force: bool = False,
    track: Track = untracked,
    *,
    part: tuple[int, int] = (1, 1),
    workers: int = 1,
    on_cluster: bool = False,
    other_machine: bool = False,
    file_format: FileFormat = FileFormat.npz,
) -> bool:
    """Write the images of latents 0 to count - 1 of `seed` as `out`/000000.npz ..., 10,000 images per file.

    Each file holds `image` and `denoised`, uint8 (n, H, W), or (n, 3, H, W) in colour, or PNG files of them in another
    `file_format`, see `shard_formats`; shards.json describes them all. Of `part` (k, n) only each n-th file is written,
    from the k-th on. Several `workers` are processes with the threads of `graph` each, or with `on_cluster`
    tasks on the connected Ray cluster. A folder with the same description is completed: whole files are not written
    again, and those that other processes write at the same time are left to them. `force` starts from scratch. Returns
    whether the folder is complete, with all parts.

    Raises OutputError when the folder holds other files and `force` is not set, when its files were made on another
    kind of processor or with other settings and `other_machine` is not set, when a file with the name of a shard was
    not written by this function, when the disk has too little space, before any image is generated, or when all
    workers were lost; LockedError when `force` is set and another process writes to the folder; Interrupted after a
    signal; InputError as `generate_batches` does, and if a package that the format needs is not installed.
    """
    check_installed(file_format)
    job = Job(out, seed, count, batch, label, SHARD, file_format)
    numbers = range(part[0] - 1, job.shards, part[1])
    there = [job.path(number) for number in _existing(job) if number in numbers]
    size = min(count, len(numbers) * job.images_per_file) * largest_size(file_format, math.prod(image_shape(graph)))
    check_free_space(out, size - sum(path.stat().st_size for path in there))
    if out.is_file():
        check_overwrite(out, force)
        link_target(out).unlink()
    manifest = Manifest(out, job.describe(graph), made_with(graph, job))
    with _interruptible(out):
        _begin(graph, job, manifest, force, other_machine)
        missing = _find_missing(job, manifest, numbers)
        if on_cluster:
            run_tasks(workers, graph, job, manifest, missing, track, other_machine)
        elif workers == 1:
            make_shards(graph, job, manifest, missing, track)
        else:
            run_workers(workers, graph, job, manifest, missing, track)
        remove_leftovers(out)  # of workers that were killed
        return manifest.finish([job.path(number).name for number in range(job.shards)])


class _Stopped(BaseException):
    """A signal came; no Exception, since what calls other libraries turns those into errors of its own."""


@contextlib.contextmanager
def _interruptible(out: Path) -> Iterator[None]:
    """A stop signal ends the block at once, wherever it is; raises Interrupted."""

    def stop(number: int) -> NoReturn:
        raise _Stopped(number)

    try:
        with stop_signals_call(stop):
            yield
    except _Stopped as stopped:
        remove_leftovers(out)  # the signal may have come just after a temporary file was made
        message = f"{out}: stopped; the files that it holds are whole"
        raise Interrupted(message, "the same command goes on", stopped.args[0]) from None


# --- the folder ---------------------------------------------------------------------------------


def _begin(graph: Graph, job: Job, manifest: Manifest, force: bool, other_machine: bool) -> None:
    """Describe a new folder, or check that an existing one has the same description."""
    if force:
        with exclusive_lock(job.out):
            if manifest.is_in_use():
                raise LockedError(f"{job.out}: another process is writing to it", "leave --force out to help it")
            _start_afresh(job, manifest, force)
        return
    try:
        make_folder(job.out)
    except OSError as error:
        raise OutputError(f"{job.out}: {error.strerror}", OUT_HINT) from error
    remove_leftovers(job.out)
    existing = manifest.read()
    if existing is None or not manifest.describes(existing):
        _start_afresh(job, manifest, force)
    elif "made_with" not in existing:
        _adopt(graph, job, manifest)
    elif not other_machine:
        check_made_with(job.out, existing["made_with"], manifest.made_with)


def _start_afresh(job: Job, manifest: Manifest, force: bool) -> None:
    """Remove the shards of another description and write this one."""
    remove_leftovers(job.out)
    # Listed before it is read: what another process begins now is there with its description.
    names = sorted(path.name for path in job.out.iterdir() if not LEFTOVER.fullmatch(path.name))
    existing = manifest.read()
    if not force and manifest.describes(existing):
        return
    if names and not force:
        _check_model(job.out, existing, manifest)
        raise OutputError(f"{job.out}: exists with other contents, not overwritten", "--force overwrites it")
    shards = [name for name in names if SHARD_NAME.fullmatch(name)]
    if shards and existing is None:
        raise OutputError(f"{job.out / shards[0]}: unexpected file, not overwritten", OUT_HINT)
    for name in names:
        if SHARD_NAME.fullmatch(name) or LOG.fullmatch(name):
            (job.out / name).unlink()
    manifest.write({}, manifest.made_with)


def _adopt(graph: Graph, job: Job, manifest: Manifest) -> None:
    """Take over a folder of a version that recorded no hashes: its whole files stay, made with what is not known."""
    whole = {}
    for number in _existing(job):
        path = job.path(number)
        if number < job.shards and _holds(path, (job.size(number), *image_shape(graph))):
            whole[path.name] = {"sha256": file_sha256(path), "made_with": None}
    manifest.write(whole, manifest.made_with)


def _check_model(out: Path, existing: Facts | None, manifest: Manifest) -> None:
    """Raise OutputError if a folder differs in its model alone."""
    key = "model_sha256"
    if existing and manifest.describes(existing | {key: manifest.description[key]}):
        wanted = f"the model of its other files, sha256 {existing[key]}"
        raise OutputError.expected(f"{out}: --model", wanted, manifest.description[key], f"that model, or {OUT_HINT}")


def _find_missing(job: Job, manifest: Manifest, numbers: range) -> list[int]:
    """The shards of `numbers` that are not there with a known hash. A damaged file is removed."""
    there = set(os.listdir(job.out))  # before the hashes are read: a file appears after its hash
    entries = manifest.entries()
    missing = []
    for number in numbers:
        path = job.path(number)
        if path.name in there:
            if file_sha256(path) in entries.get(path.name, {}):
                continue
            path.unlink(missing_ok=True)
        missing.append(number)
    return missing


def _existing(job: Job) -> list[int]:
    """The numbers of all files that are named as shards."""
    names = (path for path in job.out.glob("*") if SHARD_NAME.fullmatch(path.name))
    return [int(path.stem) for path in names if path.suffix == job.path(0).suffix]


def _holds(shard: Path, shape: tuple[int, ...]) -> bool:
    """Whether the file holds both arrays as uint8 in this shape."""
    try:
        with shard.open("rb") as file, np.load(file) as arrays:
            return all(arrays[name].dtype == np.uint8 and arrays[name].shape == shape for name in NAMES)
    except Exception:  # zipfile and numpy raise a dozen types over damaged files
        return False

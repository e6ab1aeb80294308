"""The images of a folder of shards, and how one process makes its files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gan_denoise.console import Track, untracked
from gan_denoise.data.images import to_uint8
from gan_denoise.export.generate import generate_batches
from gan_denoise.export.latents import latents
from gan_denoise.export.providers import runtime_version
from gan_denoise.export.runtime import Graph
from gan_denoise.export.shard_formats import SUFFIXES, WRITTEN_BY, write_file
from gan_denoise.export.shard_manifest import Facts, Manifest, file_sha256
from gan_denoise.files import atomic_path
from gan_denoise.machine import processor_kind, version
from gan_denoise.models.z_layout import chosen_class
from gan_denoise.options import FileFormat


@dataclass(frozen=True, slots=True)
class Job:
    """The images of a folder, and the files that hold them."""

    out: Path
    seed: int
    count: int
    batch: int
    label: int | None
    images_per_file: int
    file_format: FileFormat

    @property
    def shards(self) -> int:
        return math.ceil(self.count / self.images_per_file)

    def path(self, number: int) -> Path:
        return self.out / f"{number:06d}{SUFFIXES[self.file_format]}"

    def size(self, number: int) -> int:
        """How many images a shard holds."""
        return min(self.images_per_file, self.count - number * self.images_per_file)

    def describe(self, graph: Graph) -> Facts:
        """What the images are: where all of this is equal, so are the images."""
        facts = {"model_sha256": graph.sha256, "seed": self.seed, "label": self.label, "n": self.count}
        return facts | {"images_per_file": self.images_per_file, "file_format": str(self.file_format)}


def make_shards(graph: Graph, job: Job, manifest: Manifest, missing: Sequence[int], track: Track = untracked) -> None:
    """Make the shards `missing`, but those that other processes make; wait for these, and make what a dead one left."""
    try:
        for wait in (False, True):
            for number in track(missing):
                if job.path(number).exists():  # by another process
                    continue
                with manifest.claim(number, wait) as free:
                    if free and not job.path(number).exists():
                        _write_shard(graph, job, manifest, number)
    finally:
        manifest.close()


def made_with(graph: Graph, job: Job) -> Facts:
    """What the bytes of the files depend on beside the model and the latents."""
    facts = {"processor": processor_kind(), "threads": graph.threads, "batch": job.batch}
    facts |= {"provider": str(graph.provider), "onnxruntime": runtime_version()}
    return facts | {package: version(package) for package in WRITTEN_BY[job.file_format]}


def _write_shard(graph: Graph, job: Job, manifest: Manifest, number: int) -> None:
    path, first, size = job.path(number), number * job.images_per_file, job.size(number)
    batches = generate_batches(graph, job.seed, size, job.batch, job.label, first)
    pairs = ((to_uint8(image), to_uint8(denoised)) for image, denoised in batches)
    with atomic_path(path) as temporary:
        write_file(job.file_format, temporary, pairs, first, _classes(graph, job, first, size))
        manifest.record(path.name, file_sha256(temporary))


def _classes(graph: Graph, job: Job, first: int, size: int) -> list[int] | None:
    """The classes of the images from `first`, for the formats that hold them; None if the model has none."""
    if job.file_format is FileFormat.npz or not graph.classes:
        return None
    if job.label is not None:
        return [job.label] * size
    z = latents(job.seed, first, size, graph.input_shape[0])
    return [int(number) for number in chosen_class(z, graph.classes)]


def image_shape(graph: Graph) -> tuple[int, ...]:
    """The shape of an image in a file, (H, W) or (3, H, W)."""
    channels, *sides = graph.output_shapes[0]
    return tuple(sides) if channels == 1 else (channels, *sides)

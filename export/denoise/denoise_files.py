"""Denoise image files one after the other: a bad one does not stop the others, a repeated call continues."""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gan_denoise.console import print_status, print_warning
from gan_denoise.data.image_files import Skipped
from gan_denoise.errors import InputError
from gan_denoise.export.denoise import camera_raw
from gan_denoise.export.denoise.denoisers import Denoisers
from gan_denoise.export.denoise.files import Job, list_jobs
from gan_denoise.export.denoise.picture import Picture, read_pictures
from gan_denoise.export.denoise.progress import show_progress
from gan_denoise.export.denoise.record import Record, source_facts
from gan_denoise.export.denoise.tiling import Advance, Pixels, denoise_pixels, ignore
from gan_denoise.export.denoise.write_picture import write_comparison, write_picture
from gan_denoise.export.runtime import Graph


@dataclass(frozen=True, slots=True)
class Settings:
    """How to denoise: the arguments of the command that change what is written."""

    strength: float = 1
    keep_format: bool = False
    compare: bool = False
    force: bool = False


@dataclass(slots=True)
class Outcome:
    """What a call did."""

    written: list[Path] = field(default_factory=list)
    done_before: list[Path] = field(default_factory=list)  # by an earlier call with the same settings
    failed: dict[Path, InputError] = field(default_factory=dict)
    images: int = 0  # that are done, now or before
    pixels: int = 0  # denoised now
    seconds: float = 0


def denoise_files(
    images: list[Path], out: Path, denoisers: Denoisers, settings: Settings, content: bytes | None = None
) -> Outcome:
    """Denoise image files and folders of them into the folder `out`.

    All names are checked before anything is written. An image that cannot be read or denoised is reported on stderr
    and in the outcome; the only one of a call raises its error. Files that an earlier call wrote from the same images
    with the same settings are not written again. `content` is that of standard input. Raises UsageError as `list_jobs`
    does, OutputError if an output is in the way or cannot be written.
    """
    skipped = Skipped()
    listing = list_jobs(images, out, skipped, settings.keep_format, settings.compare, content)
    outcome = Outcome()
    is_only = len(listing.failed) + len(listing.jobs) == 1
    for path, error in listing.failed.items():
        _report(outcome, path, error, is_only)
    skipped.report("IMAGES")
    if listing.as_png:
        print_status(f"written as PNG, since their formats are not written: {listing.as_png}")
    if not listing.jobs:
        return outcome
    denoisers.load_for([size for job in listing.jobs for size in job.sizes])
    record = Record(out, settings.strength)
    jobs = []
    for job in listing.jobs:
        try:
            if not _skip_if_done(job, denoisers, record, settings.force, outcome):
                jobs.append(job)
        except InputError as error:  # the image is no longer there
            _report(outcome, job.source, error, is_only)
    started = time.perf_counter()
    try:
        with show_progress(sum(width * height for job in jobs for width, height in job.sizes)) as advance:
            for job in jobs:
                try:
                    with _naming_memory_errors(job):
                        _denoise_job(job, denoisers, settings, record, outcome, advance)
                except InputError as error:
                    _report(outcome, job.source, error, is_only)
    except (KeyboardInterrupt, SystemExit):
        without = " without --force" if settings.force else ""
        print_status(f"{len(outcome.written)} files written; the same command{without} continues")
        raise
    outcome.seconds = time.perf_counter() - started
    return outcome


def denoise_one(image: Path, denoisers: Denoisers, settings: Settings, content: bytes | None) -> bytes:
    """The file of the denoised image, for standard output. Raises InputError if it has several pages or frames."""
    skipped = Skipped()
    nowhere = Path(os.devnull)  # no file is written, so none can be in the way, such as the image itself
    listing = list_jobs([image], nowhere, skipped, settings.keep_format, content=content)
    skipped.report(image)
    for error in listing.failed.values():
        raise error
    job = listing.jobs[0]
    if len(job.targets) > 1:
        raise InputError.expected(image, "one image for standard output", f"{len(job.targets)} pages", "--out FOLDER")
    file = io.BytesIO()
    with _naming_memory_errors(job):
        picture = next(iter(_read(job)))
        write_picture(file, _denoise(picture, denoisers, settings, job, ignore)[1], picture, job.image_format, image)
    return file.getvalue()


def _skip_if_done(job: Job, denoisers: Denoisers, record: Record, force: bool, outcome: Outcome) -> bool:
    """Count a job as done if an earlier call wrote all its outputs. Raises OutputError if one of them is in the way."""
    facts, models = source_facts(job.source, job.content), denoisers.sha256s(job.sizes)
    missing = [target for target in job.outputs if force or not record.is_done(target, models, facts)]
    for target in missing:
        record.check_writable(target, models, facts, force)
    if not missing:
        outcome.done_before += job.outputs
        outcome.images += 1
    return not missing


def _denoise_job(
    job: Job, denoisers: Denoisers, settings: Settings, record: Record, outcome: Outcome, advance: Advance
) -> None:
    facts = source_facts(job.source, job.content)
    for i, (target, picture) in enumerate(zip(job.targets, _read(job), strict=False)):
        graph, pixels = _denoise(picture, denoisers, settings, job, advance)
        with record.writing(target, graph.sha256, facts, settings.force, graph.provider) as file:
            write_picture(file, pixels, picture, job.image_format, target)
        outcome.written.append(target)
        outcome.pixels += pixels.shape[-1] * pixels.shape[-2]
        if settings.compare:
            with record.writing(job.comparisons[i], graph.sha256, facts, settings.force, graph.provider) as file:
                write_comparison(file, picture.pixels, pixels, picture.metadata.icc)
            outcome.written.append(job.comparisons[i])
    outcome.images += 1


@contextlib.contextmanager
def _naming_memory_errors(job: Job) -> Iterator[None]:
    """Raise InputError, which names the image, if memory runs out."""
    try:
        yield
    except MemoryError as error:
        sizes = ", ".join(f"{width}x{height}" for width, height in job.sizes)
        raise InputError(f"{job.source}: not enough memory for {sizes} pixels") from error


def _read(job: Job) -> Iterable[Picture]:
    if camera_raw.is_raw(job.source) and camera_raw.can_develop():
        return iter([camera_raw.develop(job.source)])
    return read_pictures(job.source, job.content)


def _denoise(
    picture: Picture, denoisers: Denoisers, settings: Settings, job: Job, advance: Advance
) -> tuple[Graph, Pixels]:
    graph = denoisers.choose(picture.pixels)
    return graph, denoise_pixels(graph, picture.pixels, settings.strength, advance, job.source)


def _report(outcome: Outcome, path: Path, error: InputError, is_only: bool) -> None:
    if is_only:
        raise error
    print_warning(f"error: {error.message}")
    if error.hint:
        print_warning(f"hint: {error.hint}")
    outcome.failed[path] = error

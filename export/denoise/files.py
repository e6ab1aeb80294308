"""Choose the files that `denoise` writes for image files and folders of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gan_denoise.data.image_files import SUFFIXES, Skipped, image_name, none_found, normalize, walk_image_folders
from gan_denoise.data.image_kinds import RAW, RAW_HINT
from gan_denoise.data.open_image import Header, read_header
from gan_denoise.errors import InputError, UsageError
from gan_denoise.export.denoise import camera_raw
from gan_denoise.export.denoise.write_picture import KEPT, output_suffix
from gan_denoise.export.denoise.write_picture import SUFFIXES as SUFFIXES_WRITTEN

STDIN = Path("-")


@dataclass(frozen=True, slots=True)
class Job:
    """An image file, and a file to write for each of its pages or frames; `content` is that of standard input."""

    source: Path
    image_format: str  # of the outputs
    targets: list[Path]
    sizes: list[tuple[int, int]]  # of the frames, by the header; 0 where only decoding shows it
    comparisons: list[Path] = field(default_factory=list)
    content: bytes | None = None

    @property
    def outputs(self) -> list[Path]:
        """All files to write."""
        return self.targets + self.comparisons


@dataclass(frozen=True, slots=True)
class Listing:
    """The jobs of a call, and the images that cannot be read, with the reason."""

    jobs: list[Job] = field(default_factory=list)
    failed: dict[Path, InputError] = field(default_factory=dict)
    as_png: Skipped = field(default_factory=Skipped)  # images whose format was to be kept and is not written


def list_jobs(
    images: Sequence[Path],
    out: Path,
    skipped: Skipped,
    keep_format: bool = False,
    compare: bool = False,
    content: bytes | None = None,
) -> Listing:
    """What to write in `out` for each image file, by the headers.

    `scan.0001.tif` becomes `scan.0001.png`; its pages, if it has several, `scan.0001-000.png` and so on. With
    `keep_format` a format of KEPT stays, the others are counted in `as_png`. Of a folder all images are taken, with
    its sub-folders, but not those in `out`; see `_named_images` for those that differ in the suffix alone. Names are
    compared as macOS and Windows do: composed (NFC) and in any case. A repeated image counts once.
    Raises UsageError when two images share an output or one would replace an image.
    """
    listing = Listing()
    owners: dict[str, Path] = {}  # the image of each output
    seen: set[tuple[str, str]] = set()
    for path, name, unique in _named_images(images, out, skipped, listing.failed):
        identity = os.path.realpath(path), _key(name)  # `a.png` and `b/../a.png` are one
        if identity in seen:
            continue
        seen.add(identity)
        try:
            job = _make_job(path, name, unique, listing.as_png, keep_format, content)
        except InputError as error:
            listing.failed[path] = error
            continue
        if compare:
            job.comparisons.extend(_with_endings(unique, len(job.targets), "-compare.png"))
        for target in job.outputs:
            other = owners.setdefault(_key(target), path)
            if other != path:
                got = f"{other} and {path}, both written as {target.relative_to(out)}"
                raise UsageError.expected(
                    "IMAGES", "different names", got, "rename one, or give them to different calls"
                )
        listing.jobs.append(job)
    _check_sources_stay(listing.jobs)
    return listing


def _make_job(path: Path, name: Path, unique: Path, as_png: Skipped, keep_format: bool, content: bytes | None) -> Job:
    """The job of an image, whose output without a suffix is `name` where `keep_format` keeps its suffix, else `unique`.

    Raises InputError if its header cannot be read.
    """
    is_kept = False
    if camera_raw.is_raw(path) and camera_raw.can_develop():
        sizes, image_format = [(0, 0)], "TIFF"
    else:
        kind, sizes = _read_header(path, content if path == STDIN else None)
        is_kept = keep_format and kind in KEPT
        image_format = KEPT[kind] if is_kept else "PNG"
        if keep_format and not is_kept:
            as_png.add(f"{kind} image", path)
    suffix = output_suffix(path, image_format) if is_kept else SUFFIXES_WRITTEN[image_format][0]
    targets = _with_endings(name if keep_format and suffix == path.suffix else unique, len(sizes), suffix)
    return Job(path, image_format, targets, sizes, content=content if path == STDIN else None)


def _with_endings(name: Path, frames: int, ending: str) -> list[Path]:
    """The files of an image's frames: `name`, the number of the frame if there are several, `ending`."""
    numbers = [""] if frames == 1 else [f"-{frame:03d}" for frame in range(frames)]
    return [name.with_name(f"{name.name}{number}{ending}") for number in numbers]


def _read_header(path: Path, content: bytes | None) -> Header:
    try:
        return read_header(path, content)
    except InputError as error:
        if camera_raw.is_raw(path) and path.is_file():  # some of them look like nothing that is known
            raise InputError.expected(path, "an image", RAW, RAW_HINT) from error
        raise


def _named_images(
    images: Sequence[Path], out: Path, skipped: Skipped, failed: dict[Path, InputError]
) -> Iterator[tuple[Path, Path, Path]]:
    """Each image file with the path below `out` of its output, without the suffix of the output: short and unique.

    Both are `a` for `a.jpg`, unless its folder has `a.tif` too: then the unique one is `a.jpg`, for outputs that would
    both be `a.png`. A folder that cannot be read or has no images is put into `failed`.
    """
    suffixes = (*SUFFIXES, *(camera_raw.SUFFIXES if camera_raw.can_develop() else ()))
    for path in images:
        if path == STDIN:
            yield path, out / "stdin", out / "stdin"
            continue
        if not path.is_dir():
            yield path, out / _name(path), out / _name(path)
            continue
        if out.exists() and path.samefile(out):
            raise UsageError.expected("--out", "another folder than that of the images", out, "--out clean")
        try:
            folders = list(walk_image_folders(path, skipped, exclude=out, suffixes=suffixes))
            if not folders:
                raise none_found(path, skipped)
        except InputError as error:
            failed[path] = error
            continue
        for folder, files in folders:
            below = out / folder.relative_to(path)
            counts = Counter(map(_stem, files))
            for file in files:
                name = below / _name(file)
                yield file, name, below / file.name if counts[_stem(file)] > 1 else name


def _stem(path: Path) -> tuple[str, bool]:
    """What two images of a folder share if their outputs would have one name: developed camera raw becomes TIFF."""
    return _key(Path(_name(path))), camera_raw.is_raw(path)


def _name(path: Path) -> str:
    return path.stem if camera_raw.is_raw(path) else image_name(path)


def _check_sources_stay(jobs: Sequence[Job]) -> None:
    """Raise UsageError if an output is the file of an image: --force would replace the only original."""
    sources = {os.path.realpath(job.source): job.source for job in jobs}
    for job in jobs:
        for target in job.outputs:
            if source := sources.get(os.path.realpath(target)):
                got = f"{target.parent}, where {source} is"
                raise UsageError.expected("--out", "another folder than that of the images", got, "--out clean")


def _key(path: Path) -> str:
    return normalize(str(path)).casefold()

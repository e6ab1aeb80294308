"""The data set `photos`: free photographs, scaled down and cut into tiles. photographs.json lists them.

Each has its author, its licence and the Debian package that it is from; a few are scikit-image's. They are accepted by
their SHA-256 and not distributed with this package: `photograph_packages` brings them.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan_denoise.console import print_status, warn_once
from gan_denoise.data.dataset import Dataset, Split, content_sha256
from gan_denoise.data.dataset_options import PHOTOS
from gan_denoise.data.images import ImagesU8, from_pil
from gan_denoise.data.open_image import open_image
from gan_denoise.data.tiles import RELATIVE_SCALES, RULES, scale_down, tile_photograph
from gan_denoise.errors import InputError, OutputError
from gan_denoise.files import atomic_path
from gan_denoise.paths import cache_base, expand_home

LIST = Path(__file__).with_name("photographs.json")
TRAIN, HELD_OUT = "train", "held-out"
INSTALLED = {"scikit-image": "skimage"}  # Python packages with photographs, and what they are imported as
MIN_SHARE = 0.75  # of the photographs of a split; a newer version of a package may lack one
MAX_ENTRIES = 200_000  # files of a folder that is searched
TILES = "tiles.npz"  # in the cache


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph: whose it is, where it is from, and what it is used for."""

    title: str
    author: str
    licence: str  # SPDX identifier, or `public domain`
    package: str  # of Debian, or one of INSTALLED
    path: str  # in the package
    bytes: int
    sha256: str
    split: str  # TRAIN or HELD_OUT
    scale: float | None = None  # the largest that its noise allows, where that is less than MAX_SCALE


@functools.cache
def list_photographs() -> tuple[Photograph, ...]:
    """All photographs of the data set, in the order in which their tiles come."""
    return tuple(Photograph(**entry) for entry in json.loads(LIST.read_text())["photographs"])


def list_packages() -> dict[str, str]:
    """The Debian packages that hold photographs, and the Debian release in which each was read."""
    releases: dict[str, str] = json.loads(LIST.read_text())["releases"]
    return releases


def describe_manual_steps() -> str:
    """What to do where apt is missing."""
    return (
        f"by hand: apt-get download {' '.join(list_packages())} (on a machine with Debian's packages), "
        "dpkg-deb -x FILE DIR for each of the files; then --data DIR"
    )


def cache_folder() -> Path:
    """The folder of fetched photographs and their tiles, below `cache_base`."""
    return cache_base() / "photographs"


# --- finding ------------------------------------------------------------------------------------


def find_photographs(folder: Path, photographs: Iterable[Photograph]) -> dict[Photograph, Path]:
    """Those of the photographs that are anywhere in `folder`, or installed, by size and SHA-256, in their order."""
    wanted = list(photographs)
    hashes = {photograph.sha256 for photograph in wanted}
    sizes = {photograph.bytes for photograph in wanted}
    paths: dict[str, Path] = {}
    for path in [*_installed(wanted), *_files_below(folder)]:
        if len(paths) < len(hashes) and _size(path) in sizes and (sha256 := _sha256(path)) in hashes:
            paths.setdefault(sha256, path)
    return {photograph: paths[photograph.sha256] for photograph in wanted if photograph.sha256 in paths}


def check_folder(path: Path) -> Path:
    """The folder that a user names. Raises InputError if there is none."""
    folder = Path(expand_home(str(path)))
    if not folder.is_dir():
        raise InputError.expected(folder, "a folder with the photographs", "no folder", describe_manual_steps())
    return folder


def check_enough(folder: Path, found: Mapping[Photograph, Path], hint: str) -> None:
    """Raise InputError if fewer than MIN_SHARE of the photographs of a split were found; warn if any is missing.

    Data sets without some of the photographs have another SHA-256, which runs record.
    """
    for split in (TRAIN, HELD_OUT):
        of_split = [photo for photo in list_photographs() if photo.split == split]
        missing = [photo for photo in of_split if photo not in found]
        if len(missing) > (1 - MIN_SHARE) * len(of_split):
            got = f"{len(of_split) - len(missing)}, without {_name(missing)}"
            raise InputError.expected(folder, f"{len(of_split)} {split} photographs", got, hint)
    if missing := [photo for photo in list_photographs() if photo not in found]:
        count = f"{len(missing)} photograph{'s' * (len(missing) != 1)}"
        warn_once(f"continuing without {count}, missing or changed: {_name(missing)}", folder)


def _name(photographs: Sequence[Photograph]) -> str:
    """The first three titles, each with its package."""
    titles = [f"{photo.title} of {photo.package}" for photo in photographs[:3]]
    return ", ".join([*titles, "..."] if len(photographs) > 3 else titles)


def _installed(photographs: Iterable[Photograph]) -> list[Path]:
    """Where the photographs of Python packages are, if these are installed."""
    paths = []
    for photo in photographs:
        if (module := INSTALLED.get(photo.package)) and (spec := importlib.util.find_spec(module)) and spec.origin:
            paths.append(Path(spec.origin).parents[1] / photo.path)
    return paths


def _files_below(folder: Path) -> list[Path]:
    """The files in `folder` and below, at most MAX_ENTRIES, sorted by their paths."""
    paths: list[Path] = []
    for parent, _, names in os.walk(folder):
        paths += [Path(parent, name) for name in names]
        if len(paths) > MAX_ENTRIES:
            break
    return sorted(paths)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else -1
    except OSError:
        return -1


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # unreadable: as if it were not there
        return ""


# --- loading ------------------------------------------------------------------------------------


def load_photographs(path: Path | None = None) -> Dataset:
    """Load the tiles of the photographs in the folder `path`, or in the cache: uint8 (N, 3, 192, 192).

    `train` holds tiles of the train photographs at four scales, `test` and `held_out` those of the held-out
    photographs at the largest scale alone; no photograph is in both. All labels are 0 and there are no classes. The
    tiles are made once and kept in the cache folder. Raises InputError if too many photographs are missing; see
    `check_enough`.
    """
    found = _find_enough(path)
    train, held_out = _cached_tiles(found)
    splits = Split(train, np.zeros(len(train), np.uint8)), Split(held_out, np.zeros(len(held_out), np.uint8))
    source = str(path or cache_folder())
    return Dataset(*splits, source, content_sha256((), *splits), (), PHOTOS, published=False)


def load_held_out_photographs(path: Path | None = None) -> dict[str, ImagesU8]:
    """The whole held-out photographs by title, uint8 (3, H, W), at the scale at which tiles are held out.

    Raises InputError as `load_photographs` does.
    """
    found = _find_enough(path)
    held_out = {photo: file for photo, file in found.items() if photo.split == HELD_OUT}
    return {photo.title: from_pil(scale_down(open_image(file, 3), photo.scale)) for photo, file in held_out.items()}


def _find_enough(path: Path | None) -> dict[Photograph, Path]:
    folder = cache_folder() if path is None else check_folder(path)
    found = find_photographs(folder, list_photographs())
    check_enough(folder, found, f"gan-denoise data fetch --dataset photos, or {describe_manual_steps()}")
    return found


def _cached_tiles(found: Mapping[Photograph, Path]) -> tuple[ImagesU8, ImagesU8]:
    """Tiles of the train and of the held-out photographs from the cache, if they are of these, else new ones."""
    uses = [(photo.sha256, photo.split, photo.scale) for photo in found]
    key = hashlib.sha256(json.dumps([RULES, uses]).encode()).hexdigest()
    file = cache_folder() / TILES
    if (tiles := _read_tiles(file, key)) is not None:
        return tiles
    print_status(f"cutting {len(found)} photographs into tiles, once; kept in {file}")
    train = _cut(found, TRAIN, RELATIVE_SCALES)
    held_out = _cut(found, HELD_OUT, RELATIVE_SCALES[:1])
    try:
        with atomic_path(file) as temporary:
            np.savez(temporary, train=train, held_out=held_out, key=key, sha256=_tiles_sha256(train, held_out))
    except (OSError, OutputError) as error:
        print_status(f"tiles not kept: {error}")
    return train, held_out


def _cut(found: Mapping[Photograph, Path], split: str, relative_scales: tuple[float, ...]) -> ImagesU8:
    chosen = [(photo, file) for photo, file in found.items() if photo.split == split]
    tiles = [tile_photograph(open_image(file, 3), photo.scale, relative_scales) for photo, file in chosen]
    return np.stack([tile for photograph in tiles for tile in photograph])


def _read_tiles(file: Path, key: str) -> tuple[ImagesU8, ImagesU8] | None:
    """The tiles in the cache; None if there are none, if they are of other photographs, or damaged."""
    try:
        with file.open("rb") as stream, np.load(stream) as npz:  # np.load leaves a damaged file open
            if str(npz["key"]) != key:
                return None
            train, held_out, sha256 = npz["train"], npz["held_out"], str(npz["sha256"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        print_status(f"{file}: damaged ({error}); cutting the tiles again")
        return None
    if _tiles_sha256(train, held_out) != sha256:
        print_status(f"{file}: damaged (SHA-256); cutting the tiles again")
        return None
    return train, held_out


def _tiles_sha256(train: ImagesU8, held_out: ImagesU8) -> str:
    digest = hashlib.sha256(repr((train.shape, held_out.shape)).encode())
    for tiles in (train, held_out):
        digest.update(np.ascontiguousarray(tiles).data)
    return digest.hexdigest()

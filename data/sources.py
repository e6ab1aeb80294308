"""Find Fashion-MNIST on this machine, or fetch it into the cache. Files are accepted by their SHA-256."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.download import MANUAL_STEPS, download
from gan_denoise.data.fashion_mnist import find_idx_files, read_dataset, read_files
from gan_denoise.data.image_files import is_system_name
from gan_denoise.errors import InputError, OutputError
from gan_denoise.files import remove_leftovers, write_atomic
from gan_denoise.locks import exclusive_lock
from gan_denoise.options import DATA_VARIABLE
from gan_denoise.paths import CACHE_VARIABLE, cache_base, expand_home, home_folder

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
DEBIAN_LAYOUT = DEBIAN_FOLDER.relative_to("/")  # in an unpacked package
TORCHVISION_ROOTS = ("data", "~/data", "~/datasets")  # the roots in torchvision's and PyTorch's own examples
MAX_FOLDERS = 1_000  # that are searched for the files below a folder that a user names

CACHE_HINT = f"choose another cache folder with {CACHE_VARIABLE}=DIR"

Status = Callable[[str], None]  # receives lines of progress


def load_fashion_mnist(data: Path | None = None) -> Dataset:
    """Load the data set from `data`, else $GAN_DENOISE_DATA, else the first folder of this machine that holds it.

    Uses no network and changes no file. Raises InputError, with steps to get the data, if it is not found.
    """
    if root := _named_root(data):
        return read_dataset(_fashion_mnist_folder(root), str(root))
    problems = []
    for name, folder in _local_folders():
        try:
            return read_dataset(folder, f"{name} ({folder})")
        except InputError as error:
            problems.append(error.message)
    message = "; ".join(problems) or "Fashion-MNIST: not found on this machine"
    raise InputError(message, f"gan-denoise data fetch, or {MANUAL_STEPS}")


def fetch_fashion_mnist(data: Path | None = None, status: Status = lambda line: None) -> Path:
    """Fill the cache from where `load_fashion_mnist` looks, else from the network; return its folder.

    A valid cache is unchanged. Only verified files enter the cache, each atomically; a second fetch waits for the
    first. `status` receives progress. Raises InputError if no source works, OutputError if the cache cannot be written.
    """
    cache, root = cache_folder(), _named_root(data)
    if root is None and _is_valid(cache):
        return cache
    with locked_cache(cache, status):
        remove_leftovers(cache)
        if root is not None or not _is_valid(cache):  # another fetch may have filled it meanwhile
            store_files(_read_local(root, status) or download(cache, status), cache)
    return cache


def cache_folder() -> Path:
    """The folder of fetched files, below `cache_base`."""
    return cache_base() / "fashion-mnist"


def torchvision_roots() -> list[Path]:
    """The folders in which torchvision's own examples put data sets; those in the home folder if there is one."""
    return [Path(expand_home(root)) for root in TORCHVISION_ROOTS if home_folder() or not root.startswith("~")]


def _named_root(data: Path | None) -> Path | None:
    """The folder that the user names, if any; then no other is tried."""
    root = data or os.environ.get(DATA_VARIABLE)
    return Path(expand_home(str(root), DATA_VARIABLE)) if root else None


def folder_with_files(path: Path, title: str) -> Path | None:
    """The folder with the IDX files of the data set `title`, such as FashionMNIST; None if there is none.

    `path` is that folder, a file in it, or a folder up to three levels above it, such as a torchvision root. Among
    several folders those whose path contains `title` come first, then the highest.
    """
    root = path.parent if path.is_file() else path
    if find_idx_files(root):
        return root
    candidates = [folder for folder in _folders_below(root) if find_idx_files(folder)]
    return min(candidates, key=lambda folder: (not _is_titled(folder, title), len(folder.parts)), default=None)


def _is_titled(folder: Path, title: str) -> bool:
    return any(re.sub(r"[\W_]", "", part).lower() == title.lower() for part in folder.parts)


def _folders_below(root: Path) -> Iterator[Path]:
    """The folders below `root` to a depth of three, at most MAX_FOLDERS, and that of an unpacked Debian package."""
    yield root / DEBIAN_LAYOUT
    level, count = [root], 0
    for _ in range(3):
        inner: list[Path] = []
        for folder in level:
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                inner += [folder / entry.name for entry in entries if entry.is_dir() and not is_system_name(entry.name)]
        level = sorted(inner)[: MAX_FOLDERS - count]
        count += len(level)
        yield from level


def _fashion_mnist_folder(root: Path) -> Path:
    """The folder with the files at, below or around `root`, or `root` itself if there is none."""
    if not os.path.exists(root):
        raise InputError.expected(root, "a folder with the four files of Fashion-MNIST", "no folder", MANUAL_STEPS)
    return folder_with_files(root, "FashionMNIST") or root


def _local_folders() -> Iterator[tuple[str, Path]]:
    """Names and folders on this machine that hold any of the files, in order of preference."""
    candidates = [("cache", cache_folder())]
    candidates += [("torchvision root", root / "FashionMNIST/raw") for root in torchvision_roots()]
    candidates += [("Debian's dataset-fashion-mnist", DEBIAN_FOLDER)]
    yield from ((name, folder) for name, folder in candidates if find_idx_files(folder))


def _read_local(root: Path | None, status: Status) -> dict[str, bytes] | None:
    """Verified files from `root`, where an error is final, or from the first folder of this machine that is valid."""
    if root:
        return read_files(_fashion_mnist_folder(root))
    return first_valid((folder for _, folder in _local_folders()), read_files, status)


def first_valid(
    folders: Iterable[Path], read: Callable[[Path], dict[str, bytes]], status: Status
) -> dict[str, bytes] | None:
    """The files that `read` gives for the first folder where it raises no InputError; None if there is none.

    `status` receives which folder it is, and why those before it were not used.
    """
    for folder in folders:
        try:
            files = read(folder)
        except InputError as error:
            status(f"not used: {error.message}")
        else:
            status(f"found in {folder}")
            return files
    return None


def _is_valid(folder: Path) -> bool:
    try:
        read_files(folder)
    except InputError:
        return False
    return True


@contextlib.contextmanager
def locked_cache(cache: Path, status: Status) -> Iterator[None]:
    """Keep other fetches out of `cache` during the block, waiting for them; turn OSError into OutputError."""
    try:
        waiting = f"waiting for another fetch into {cache}"
        with exclusive_lock(cache, ".lock", hint=CACHE_HINT, on_wait=lambda: status(waiting)):
            yield
    except OSError as error:
        raise OutputError.expected(cache, "a writable folder", error.strerror or error, CACHE_HINT) from error


def store_files(files: Mapping[str, bytes], cache: Path) -> None:
    """Write verified files to the cache, decompressed, since every command reads them; each atomically."""
    for name, content in files.items():
        try:
            write_atomic(cache / name, content)
        except OutputError as error:
            raise OutputError(error.message, CACHE_HINT) from error

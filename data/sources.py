"""Find Fashion-MNIST on this machine, or fetch it into the cache. What counts as found is decided by its hashes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.download import MANUAL_STEPS, download
from gan_denoise.data.fashion_mnist import SHA256, read_dataset, read_files
from gan_denoise.errors import InputError, OutputError
from gan_denoise.files import write_atomic
from gan_denoise.options import DATA_VARIABLE

CACHE_VARIABLE = "GAN_DENOISE_CACHE"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
TORCHVISION_ROOTS = ("data", "~/data", "~/datasets")  # the roots of torchvision's and PyTorch's own examples
# Where the files lie below a folder that a user names: there, in a torchvision root, in an unpacked Debian package.
LAYOUTS = (Path(), Path("FashionMNIST/raw"), DEBIAN_FOLDER.relative_to("/"))

CACHE_HINT = f"{CACHE_VARIABLE}=DIR chooses another folder for the cache"


def load_fashion_mnist(data: Path | None = None) -> Dataset:
    """The data set from `data`, else $GAN_DENOISE_DATA, else the first folder of this machine that holds it.

    Uses no network and changes no file. Raises InputError, with the steps to mend it, when there is none.
    """
    if given := _given(data):
        return read_dataset(_files_folder(given), str(given))
    problems = []
    for name, folder in _folders():
        try:
            return read_dataset(folder, f"{name} ({folder})")
        except InputError as error:
            problems.append(error.message)
    message = "; ".join(problems) or "Fashion-MNIST: nothing found, a folder with its four files wanted"
    raise InputError(message, f"gan-denoise data fetch, or {MANUAL_STEPS}")


def fetch_fashion_mnist(data: Path | None = None, say: Callable[[str], None] = lambda line: None) -> Path:
    """The cache's folder, filled if need be from where `load` looks, then from the network; `say` gets progress.

    Only verified files get into the cache, each in one step; a second fetch waits for the first. Raises
    InputError when no source works and OutputError when the cache cannot be written.
    """
    cache, given = cache_folder(), _given(data)
    if given is None and _is_good(cache):
        return cache
    with _locked(cache, say):
        _sweep(cache)
        if given is not None or not _is_good(cache):  # another fetch may have filled it meanwhile
            _store(_found(given, say) or download(cache, say), cache)
    return cache


def cache_folder() -> Path:
    """Where fetched files are kept, below `cache_base`."""
    return cache_base() / "fashion-mnist"


def cache_base() -> Path:
    """The folder of all that is kept: $GAN_DENOISE_CACHE, $XDG_CACHE_HOME/gan-denoise or ~/.cache/gan-denoise."""
    base = os.environ.get(CACHE_VARIABLE) or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "gan-denoise")
    return Path(os.path.expanduser(base))


def _given(data: Path | None) -> Path | None:
    """The folder that the user named, which is then the only one tried."""
    named = data or os.environ.get(DATA_VARIABLE)
    return Path(os.path.expanduser(named)) if named else None


def _files_folder(root: Path) -> Path:
    """The folder with the files at or below `root`, or `root` itself when there is none."""
    if not os.path.isdir(root):
        raise InputError(f"{root}: no folder found, one with the four files of Fashion-MNIST wanted", MANUAL_STEPS)
    return next((root / layout for layout in LAYOUTS if holds_any(root / layout)), root)


def holds_any(folder: Path) -> bool:
    """Whether one of the four files is in `folder`."""
    return any(os.path.isfile(folder / f"{name}{suffix}") for name in SHA256 for suffix in ("", ".gz"))


def _folders() -> Iterator[tuple[str, Path]]:
    """Names and folders that hold files on this machine, best first."""
    yield from ((name, folder) for name, folder in _places() if holds_any(folder))


def _places() -> Iterator[tuple[str, Path]]:
    yield "cache", cache_folder()
    for root in TORCHVISION_ROOTS:
        yield "torchvision root", Path(os.path.expanduser(root)) / "FashionMNIST/raw"
    yield "Debian's dataset-fashion-mnist", DEBIAN_FOLDER


def _found(given: Path | None, say: Callable[[str], None]) -> dict[str, bytes] | None:
    """Verified files from `given`, where an error is final, or else from this machine's folders, if any has them."""
    if given:
        return read_files(_files_folder(given))
    for _, folder in _folders():
        try:
            files = read_files(folder)
        except InputError as error:
            say(f"not used: {error.message}")
        else:
            say(f"found in {folder}")
            return files
    return None


def _is_good(folder: Path) -> bool:
    try:
        read_files(folder)
    except InputError:
        return False
    return True


@contextlib.contextmanager
def _locked(cache: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Keep other fetches out of `cache` during the block; the lock dies with its holder.

    What goes wrong with writing in there becomes an OutputError.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"waiting for another fetch into {cache}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise OutputError(f"{cache}: {error.strerror or error} found, a writable folder wanted", CACHE_HINT) from error


def _sweep(cache: Path) -> None:
    """Remove what killed fetches left behind; the caller has the lock, so nobody writes to it."""
    for folder in cache.glob(".fetch-*"):
        shutil.rmtree(folder, ignore_errors=True)
    for name in SHA256:
        for file in cache.glob(f".{name}.*"):
            file.unlink(missing_ok=True)


def _store(files: dict[str, bytes], cache: Path) -> None:
    """Put verified files into the cache, decompressed, since they are read at each start."""
    for name, content in files.items():
        try:
            write_atomic(cache / name, content)
        except OutputError as error:
            raise OutputError(error.message, CACHE_HINT) from error

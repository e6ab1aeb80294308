"""Fetch the photographs of the data set `photos` from Debian's packages, or copy them from a folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gan_denoise.data import debian
from gan_denoise.data.download import probe_servers
from gan_denoise.data.photographs import (
    INSTALLED,
    Photograph,
    cache_folder,
    check_enough,
    check_folder,
    describe_manual_steps,
    find_photographs,
    list_packages,
    list_photographs,
)
from gan_denoise.data.sources import Status, locked_cache
from gan_denoise.errors import InputError
from gan_denoise.files import atomic_path, remove_leftovers, staging_dir

Apt = Callable[[str], Sequence[str]]  # the start of an apt-get command for a release; "" for this machine's lists


def fetch_photographs(data: Path | None = None, status: Status = lambda line: None) -> Path:
    """Copy the photographs into the cache from the folder `data`, else from Debian's packages; return its folder.

    The packages are downloaded with apt-get, without root, as this machine's package lists have them; a package that
    these lack, or whose photographs have changed, in the release in which it was read. Only files with the right
    SHA-256 are kept; the packages are removed. Raises InputError if apt is missing or does not work, or too many
    photographs are missing (see `check_enough`), OutputError if the cache cannot be written.
    """
    cache = cache_folder()
    source = None if data is None else check_folder(data)
    with locked_cache(cache, status):
        remove_leftovers(cache)
        if source is None:
            problems = _download(cache, status)
        else:
            problems = []
            _store(find_photographs(source, list_photographs()), cache)
    found = find_photographs(cache, list_photographs())
    check_enough(source or cache, found, "; ".join([*problems, describe_manual_steps()]))
    return cache


def fetched_files(folder: Path) -> dict[Path, str]:
    """The photographs in the cache folder, and the SHA-256 of each."""
    found = find_photographs(folder, list_photographs())
    return {file: photo.sha256 for photo, file in found.items() if file.is_relative_to(folder)}


def _download(cache: Path, status: Status) -> list[str]:
    """Bring the photographs that are missing in the cache; return what went wrong, by package."""
    found = find_photographs(cache, list_photographs())
    missing = [photo for photo in list_photographs() if photo not in found and photo.package not in INSTALLED]
    if not missing:
        return []
    _check_apt()
    problems = []
    with staging_dir(cache / "fetch") as work:
        apt = _apt_commands(work)
        for package, release in list_packages().items():
            of_package = [photo for photo in missing if photo.package == package]
            if of_package and (problem := _fetch_package(package, release, of_package, cache, apt, work, status)):
                problems.append(f"{package}: {problem}")
    return problems


def _check_apt() -> None:
    """Raise InputError, with the steps to take by hand, if apt is missing or none of its servers answers."""
    if tool := debian.missing_tool():
        raise InputError(f"Debian's packages: {tool} is not installed", describe_manual_steps())
    if probe_servers({"apt": debian.servers()}):
        raise InputError("Debian's packages: no server answers", describe_manual_steps())


def _apt_commands(work: Path) -> Apt:
    """A function that gives the start of apt-get commands; it downloads the lists of a release the first time."""
    commands: dict[str, Sequence[str]] = {"": debian.apt_command(work)}

    def command(release: str) -> Sequence[str]:
        if release not in commands:
            commands[release] = debian.with_private_lists(commands[""], work, release)
        return commands[release]

    return command


def _fetch_package(
    package: str, release: str, wanted: Sequence[Photograph], cache: Path, apt: Apt, work: Path, status: Status
) -> str:
    """Store the photographs of one package in the cache; return why some are missing, or an empty text."""
    problem = ""
    for source in ("", release):
        status(f"downloading {package}{' of ' * bool(source)}{source}")
        try:
            folder = debian.unpack_package(apt(source), package, work)
        except InputError as error:
            problem = error.message
            continue
        found = find_photographs(folder, wanted)
        _store(found, cache)
        shutil.rmtree(folder)
        wanted = [photo for photo in wanted if photo not in found]
        if not wanted:
            return ""
        problem = f"{len(wanted)} of its photographs are missing or changed"
    return problem


def _store(found: Mapping[Photograph, Path], cache: Path) -> None:
    """Copy verified files to the cache, each atomically, below the name of their package."""
    for photo, file in found.items():
        target = cache / photo.package / photo.path
        if file != target and photo.package not in INSTALLED:
            with atomic_path(target) as temporary:
                shutil.copyfile(file, temporary)

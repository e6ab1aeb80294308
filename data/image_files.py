"""List the image files of folders. Every command that takes a folder of images lists it here."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from gan_denoise.console import print_status
from gan_denoise.errors import InputError

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"),
    *(".pbm", ".pnm", ".apng", ".jpe", ".jfif"),
)
IMAGE_FILES = f"image files ({' '.join(SUFFIXES[:3])} ...)"
SYSTEM_NAMES = ("__macosx", "thumbs.db", "desktop.ini", "@eadir", "lost+found")  # others start with a dot
OTHER_KINDS = {  # images that this package cannot read
    "HEIC": (".heic", ".heif"),
    "AVIF": (".avif",),
    "JPEG XL": (".jxl",),
    "camera raw": (
        *(".cr2", ".cr3", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".dng", ".raf", ".orf", ".rw2", ".rwl", ".pef"),
        *(".srw", ".mrw", ".3fr", ".iiq", ".x3f", ".erf", ".kdc", ".dcr", ".mef", ".mos"),
    ),
    "PDF": (".pdf",),
    "SVG": (".svg",),
}
CONVERT_HINT = "convert it to PNG first, for example: magick FILE FILE.png"


class Skipped:
    """The files that a command skips, counted by reason, so that it prints one line at the end."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, reason: str, path: Path | str, count: int = 1) -> None:
        """Count `path` under `reason`, a noun in the singular."""
        self._counts[reason] += count
        self._first.setdefault(reason, os.path.basename(path))

    def __bool__(self) -> bool:
        return bool(self._counts)

    def merge(self, other: Skipped) -> None:
        """Add the counts of another."""
        self._counts += other._counts
        self._first = {**other._first, **self._first}

    def __str__(self) -> str:
        parts = (f"{n} {reason}{'s' * (n != 1)} ({self._first[reason]})" for reason, n in self._counts.items())
        return ", ".join(parts)

    def report(self, where: object) -> None:
        """Print what was skipped, with one example per reason, on stderr; nothing if nothing was."""
        if self:
            print_status(f"{where}: skipped {self}")


def scan_folder(folder: Path, skipped: Skipped, suffixes: Collection[str] = SUFFIXES) -> tuple[list[Path], list[Path]]:
    """The image files and the sub-folders directly in `folder`, each sorted by name.

    Image files are regular files with one of the suffixes in any case, or links to such files. Hidden files and
    folders, those that systems leave behind, broken links, pipes, sockets and devices are counted in `skipped`;
    nothing is opened. Raises InputError if `folder` is not a readable folder.
    """
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:  # the type comes with the name, without a system call per file
                reason = _reason_to_skip(entry, suffixes)
                if reason:
                    skipped.add(reason, entry.name)
                else:
                    (folders if entry.is_dir() else files).append(entry.name)
    except OSError as error:
        raise InputError.expected(folder, f"a folder of {IMAGE_FILES}", error.strerror) from error
    return [folder / name for name in sorted(files)], [folder / name for name in sorted(folders)]


def list_image_files(folder: Path, skipped: Skipped) -> list[Path]:
    """The image files directly in `folder`, as `scan_folder` lists them; sub-folders are counted in `skipped`."""
    files, folders = scan_folder(folder, skipped)
    for path in folders:
        skipped.add("sub-folder", path)
    return files


def walk_image_folders(
    folder: Path, skipped: Skipped, exclude: Path | None = None, suffixes: Collection[str] = SUFFIXES
) -> Iterator[tuple[Path, list[Path]]]:
    """Each folder at or below `folder` that holds image files directly, with these files, in order of their paths.

    Links to folders come last. Each folder is visited once, a link to one that was is counted in `skipped`, and
    `exclude` is left out. Raises InputError as `scan_folder` does.
    """
    excluded = os.path.realpath(exclude) if exclude else None
    visited: set[str] = set()
    waiting, links = [folder], list[Path]()
    while waiting or links:
        current = waiting.pop() if waiting else links.pop(0)
        if (identity := os.path.realpath(current)) in visited:
            skipped.add("repeated folder", current)
        if identity in visited or identity == excluded:
            continue
        visited.add(identity)
        files, folders = scan_folder(current, skipped, suffixes)
        if files:
            yield current, files
        waiting.extend(path for path in reversed(folders) if not path.is_symlink())
        links.extend(path for path in folders if path.is_symlink())


def none_found(folder: Path, skipped: Skipped) -> InputError:
    """The error for a folder without image files; it says what was skipped instead."""
    got = f"none; skipped {skipped}" if str(skipped) else "none"
    hint = CONVERT_HINT if any(kind in got for kind in OTHER_KINDS) else "name the folder that holds the images"
    return InputError.expected(folder, IMAGE_FILES, got, hint)


def check_regular(path: Path) -> None:
    """Raise InputError unless `path` is a regular file or a link to one: opening a pipe would wait for ever."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise InputError(f"{path}: {'broken link' if path.is_symlink() else 'not found'}") from error
    except OSError as error:
        raise InputError(f"{path}: unreadable ({error.strerror})") from error
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
        raise InputError.expected(path, "a regular file", kinds.get(stat.S_IFMT(mode), "a device"))


def image_name(path: Path) -> str:
    """The name of an image file without its suffix; only suffixes of SUFFIXES are removed."""
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def class_name(folder: Path) -> str:
    """The name of a class folder, the same on each system: in Unicode form NFC, and UTF-8 in any locale."""
    return normalize(os.fsencode(folder.name).decode(errors="surrogateescape"))


def normalize(name: str) -> str:
    """A name in Unicode form NFC: macOS stores names decomposed (NFD), other systems as typed."""
    return unicodedata.normalize("NFC", name)


def is_system_name(name: str) -> bool:
    """Whether a file or folder is hidden or left behind by a system: `._x.png`, `__MACOSX`, `Thumbs.db` ..."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def _reason_to_skip(entry: os.DirEntry[str], suffixes: Collection[str]) -> str:
    """Why an entry of a folder is neither an image file nor a sub-folder; empty if it is one of them."""
    if is_system_name(entry.name):
        return "hidden or system file"
    try:
        if entry.is_dir():
            return ""
        is_file = entry.is_file()
    except OSError:  # a link to itself
        is_file = False
    if not is_file:
        return "broken link" if entry.is_symlink() and not os.path.exists(entry.path) else "special file"
    suffix = os.path.splitext(entry.name)[1].lower()
    kind = next((kind for kind, others in OTHER_KINDS.items() if suffix in others), "other")
    return "" if suffix in suffixes else f"{kind} file"

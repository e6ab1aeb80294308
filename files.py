"""Write files atomically and check outputs before writing them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from gan_denoise.errors import OutputError
from gan_denoise.locks import UNSUPPORTED, has_locks, try_lock

OUT_HINT = "choose another --out"
LEFTOVER = re.compile(r"\..*\.gan-denoise-[0-9a-f]{8}(\.[^.]*)?", re.S)  # names of temporary files and folders
NOT_OPENED = UNSUPPORTED | {errno.EACCES, errno.EPERM, errno.EISDIR}  # folders on Windows, or without permission

_swept: set[Path] = set()  # folders from which this process removed leftovers


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` to `path` in one step: temporary file beside it, fsync, rename, fsync of the folder.

    Raises OutputError on failure; then `path` is unchanged and no temporary file remains.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, which it replaces atomically if the block ends without an exception.

    An existing file keeps its mode, and a symbolic link its target, which is replaced. Raises OutputError if the file
    cannot be written.
    """
    try:
        target = link_target(path)
        mode = _mode(target)
        make_folder(target.parent)
        # A new file gets the usual mode; one that replaces a private file is never more open than that.
        create_mode = 0o666 if mode is None else mode & 0o777 | 0o600
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with _temporary(target, lambda name: os.open(name, flags, create_mode)) as temporary:
            yield temporary
            _publish(temporary, target, mode)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}", f"{OUT_HINT}, or free some space") from error


@contextlib.contextmanager
def staging_dir(out: Path) -> Iterator[Path]:
    """A temporary folder on the file system of the folder `out`: inside it if it exists, else beside it."""
    parent = out if out.is_dir() else make_folder(Path(os.path.realpath(out)).parent)
    _sweep_once(out.absolute().parent)  # an earlier call may have been killed before `out` existed

    def create(name: Path) -> int | None:
        name.mkdir(0o700)
        return os.open(name, os.O_RDONLY) if has_locks() else None

    with _temporary(parent / out.name, create) as temporary:
        yield temporary


def move_file(source: Path, path: Path) -> None:
    """Move a finished file to `path` on the same file system; modes and links as in `atomic_path`."""
    if path.is_symlink():  # its target may be on another file system
        with atomic_path(path) as temporary:
            shutil.copyfile(source, temporary)
    else:
        keep_mode(path, source)
        source.replace(path)


def keep_mode(existing: Path, replacement: Path) -> None:
    """Give the replacement of a file or folder its mode, if the file system allows it."""
    with contextlib.suppress(OSError):
        os.chmod(replacement, stat.S_IMODE(existing.stat().st_mode))


def make_folder(folder: Path) -> Path:
    """Create the folder, with its parents, unless it exists; the target of a link too. Returns `folder`."""
    os.makedirs(os.path.realpath(folder), exist_ok=True)
    return folder


def link_target(path: Path) -> Path:
    """`path`, or the file that the symbolic link `path` leads to, which may be missing."""
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def sync(handle: int) -> None:
    """fsync, unless the file system has none for this kind of file; a failing disk raises OSError."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


# --- temporary files and folders ----------------------------------------------------------------


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders in `folder` of processes that were killed while they wrote there.

    A running process holds a lock on its own. Where there are no locks, nothing is removed.
    """
    try:
        with os.scandir(folder) as entries:
            leftovers = [Path(entry.path) for entry in entries if LEFTOVER.fullmatch(entry.name)]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    for path in leftovers:
        with contextlib.suppress(OSError):  # of another user, or already removed
            _remove_unlocked(path)


def _remove_unlocked(path: Path) -> None:
    mode = path.lstat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return  # not ours
    handle = os.open(path, os.O_RDONLY if stat.S_ISDIR(mode) else os.O_RDWR)  # NFS locks only what can be written
    try:
        if try_lock(handle):
            _remove(path)
    finally:
        os.close(handle)


def _sweep_once(folder: Path) -> None:
    """`remove_leftovers` for the first output of this process in the folder."""
    folder = folder.absolute()
    if folder not in _swept:
        _swept.add(folder)
        remove_leftovers(folder)


@contextlib.contextmanager
def _temporary(path: Path, create: Callable[[Path], int | None]) -> Iterator[Path]:
    """A temporary file or folder beside `path`, made by `create`, which returns a handle; removed at the end.

    It stays locked until then, so that `remove_leftovers` keeps it.
    """
    _sweep_once(path.parent)
    temporary, handle = _create_locked(path, create)
    try:
        yield temporary
    finally:
        _remove(temporary)
        if handle is not None:
            os.close(handle)


def _create_locked(path: Path, create: Callable[[Path], int | None]) -> tuple[Path, int | None]:
    while True:
        temporary = path.parent / _temporary_name(path.name)
        handle, locked = create(temporary), None
        if handle is not None:
            with contextlib.suppress(OSError):
                locked = try_lock(handle)
        if handle is None or (locked is not False and temporary.exists()):
            break
        os.close(handle)  # another process took it for a leftover before it was locked
    if handle is not None and locked is None:
        os.close(handle)  # no locks here; Windows moves no open files
        handle = None
    return temporary, handle


def _temporary_name(name: str) -> str:
    """A hidden name that starts with `name`, cut so that file systems with short names take it, and ends like it."""
    suffix = Path(name).suffix
    start = os.fsencode(name)[:100].decode(sys.getfilesystemencoding(), errors="ignore")  # no half character at the end
    return f".{start}.gan-denoise-{secrets.token_hex(4)}{suffix if len(os.fsencode(suffix)) <= 16 else ''}"


def _remove(path: Path) -> None:
    """Remove a temporary file or folder, if it still exists."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _mode(path: Path) -> int | None:
    """The permissions of an existing file; None if there is none."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(state.st_mode):
        raise OutputError.expected(path, "a regular file", "a folder or device", OUT_HINT)
    return stat.S_IMODE(state.st_mode)


def _publish(temporary: Path, path: Path, mode: int | None) -> None:
    if mode is not None:
        keep_mode(path, temporary)
    with temporary.open("r+b") as written:  # Windows syncs no file that is open for reading
        sync(written.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno in NOT_OPENED:
            return
        raise
    try:
        sync(handle)
    finally:
        os.close(handle)


# --- checks before writing ----------------------------------------------------------------------


def check_overwrite(path: Path, force: bool) -> None:
    """Raise OutputError if `path` cannot be written, or exists and `force` is not set."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if len(os.fsencode(path.name)) > _longest_name(_nearest_existing(path)):
            raise OutputError(f"{path}: File name too long", OUT_HINT) from None
        return
    except NotADirectoryError as error:
        raise OutputError.expected(_nearest_existing(path), "a folder", "a file", OUT_HINT) from error
    except OSError as error:  # for example a name that is too long for the system
        raise OutputError(f"{path}: {error.strerror}", OUT_HINT) from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OutputError.expected(path, "a regular file or folder", "a pipe or device", OUT_HINT)
    if not force:
        raise OutputError(f"{path}: exists, not overwritten", "--force overwrites it")


def check_empty(folder: Path, force: bool, hint: str) -> None:
    """Raise OutputError with `hint` if `folder` is a file or holds files, and `force` is not set."""
    remove_leftovers(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not force:
        raise OutputError(f"{folder}: exists and is not empty, not overwritten", hint)


def check_free_space(path: Path, size: int) -> None:
    """Raise OutputError if the file system of `path` (existing or not) has fewer than `size` bytes free."""
    total, _, free = shutil.disk_usage(_nearest_existing(path))
    if free < size and total:  # some network file systems say 0
        hint = f"{OUT_HINT}, fewer images, or free some space"
        raise OutputError.expected(path, f"{size / 1e9:.1f} GB free", f"{free / 1e9:.1f} GB", hint)


def _nearest_existing(path: Path) -> Path:
    """`path`, or the nearest parent that exists."""
    return next((parent for parent in (path, *path.parents) if parent.exists()), Path())


def _longest_name(folder: Path) -> float:
    """The number of bytes that a file's name in `folder` may have, if the system says so."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # Windows has no pathconf
        return float("inf")

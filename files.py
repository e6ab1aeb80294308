"""Write files atomically, check outputs before writing them, and lock folders."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from gan_denoise.errors import LockedError, OutputError

OUT_HINT = "choose another --out"


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` to `path` in one step: temporary file beside it, fsync, rename, fsync of the folder.

    Raises OutputError on failure; then `path` is unchanged and no temporary file remains.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, which it replaces atomically if the block ends without an exception.

    Raises OutputError if the file cannot be written.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_hidden_prefix(path), suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        _publish(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}", f"{OUT_HINT}, or free some space") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def staging_dir(out: Path) -> Iterator[Path]:
    """A temporary folder on the file system of the folder `out`: inside it if it exists, else beside it."""
    parent = out if out.is_dir() else out.parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_hidden_prefix(out), dir=parent) as name:
        yield Path(name)


def check_overwrite(path: Path, force: bool) -> None:
    """Raise OutputError if `path` cannot be written, or exists and `force` is not set."""
    try:
        path.stat()
    except FileNotFoundError:
        if len(os.fsencode(path.name)) > os.pathconf(_nearest_existing(path), "PC_NAME_MAX"):
            raise OutputError(f"{path}: File name too long", OUT_HINT) from None
        return
    except NotADirectoryError as error:
        raise OutputError.expected(_nearest_existing(path), "a folder", "a file", OUT_HINT) from error
    except OSError as error:  # for example a name that is too long for the system
        raise OutputError(f"{path}: {error.strerror}", OUT_HINT) from error
    if not force:
        raise OutputError(f"{path}: exists, not overwritten", "--force overwrites it")


def check_free_space(path: Path, size: int) -> None:
    """Raise OutputError if the file system of `path` (existing or not) has fewer than `size` bytes free."""
    free = shutil.disk_usage(_nearest_existing(path)).free
    if free < size:
        hint = f"{OUT_HINT}, fewer images, or free some space"
        raise OutputError.expected(path, f"{size / 1e9:.1f} GB free", f"{free / 1e9:.1f} GB", hint)


@contextlib.contextmanager
def exclusive_lock(
    folder: Path, lock_file: str | None = None, *, hint: str = OUT_HINT, on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Keep other processes that lock `folder` out of it during the block; create the folder if it is missing.

    The lock (flock) is on the file `lock_file` in the folder, which then holds the holder's process id, or without
    one on the folder itself. The kernel releases it when the holder ends, however it ends. If another process holds
    it: call `on_wait` and wait, or without `on_wait` raise LockedError. Raises OutputError with `hint` if the folder
    cannot be locked.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path, flags = (folder / lock_file, os.O_RDWR | os.O_CREAT) if lock_file else (folder, os.O_RDONLY)
        handle = os.open(path, flags, 0o666)
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}", hint) from error
    try:
        if not _try_lock(handle, folder, hint):
            if on_wait is None:
                pid = os.pread(handle, 20, 0).decode(errors="replace").strip() if lock_file else ""
                holder = f"process {pid}" if pid else "another process"
                raise LockedError(f"{folder}: {holder} is writing to it", "wait until it ends")
            on_wait()
            _try_lock(handle, folder, hint, wait=True)
        if lock_file:
            os.truncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int, folder: Path, hint: str, wait: bool = False) -> bool:
    """Lock the open file; False if another process holds the lock and `wait` is not set."""
    import fcntl  # missing on Windows, where commands that lock nothing must still work

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        raise OutputError(f"{folder}: cannot be locked ({error.strerror})", hint) from error
    return True


def _hidden_prefix(path: Path) -> str:
    """Prefix for temporary names: a dot and the name of `path`, cut so that the random suffix still fits."""
    return f".{os.fsdecode(os.fsencode(path.name)[:200])}."


def _nearest_existing(path: Path) -> Path:
    """`path`, or the nearest parent that exists."""
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _publish(temporary: Path, path: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(0o666 & ~umask)  # mkstemp creates private files; outputs get the usual permissions
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

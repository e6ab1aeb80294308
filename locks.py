"""Locks on files and folders, which the kernel releases when their holder ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from gan_denoise.console import warn_once
from gan_denoise.errors import LockedError, OutputError

UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})  # a file system lacks the call
NO_LOCKS = UNSUPPORTED | {errno.ENOLCK, errno.EBADF}  # EBADF: a folder on NFS, where only files can be locked
HELD = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES})


def has_locks() -> bool:
    """Whether the system has flock; Windows, which also opens no folders, has none."""
    try:
        import fcntl  # noqa: F401
    except ImportError:
        return False
    return True


def try_lock(handle: int, wait: bool = False) -> bool | None:
    """Lock an open file or folder (flock): True if locked, False if another process holds the lock and not `wait`.

    None if the system or the file system has no locks. Raises OSError for other failures.
    """
    if not has_locks():
        return None
    import fcntl

    return _try(partial(fcntl.flock, handle), wait)


def try_lock_bytes(handle: int, start: int, count: int = 1, wait: bool = False) -> bool | None:
    """`try_lock` for bytes, which need not exist, of a file that is open for writing; `count` 0 is all from `start`.

    These are POSIX record locks: machines that share the file over NFS see each other's. Closing any handle of the
    file gives up all that this process holds.
    """
    if not has_locks():
        return None
    import fcntl

    return _try(lambda flags: fcntl.lockf(handle, flags, count, start), wait)


def unlock_bytes(handle: int, start: int, count: int = 1) -> None:
    """Give up the lock of `try_lock_bytes`."""
    import fcntl

    fcntl.lockf(handle, fcntl.LOCK_UN, count, start)


def _try(lock: Callable[[int], None], wait: bool) -> bool | None:
    import fcntl

    try:
        lock(fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in HELD:
            return False
        if error.errno in NO_LOCKS:
            return None
        raise
    return True


@contextlib.contextmanager
def exclusive_lock(
    folder: Path,
    lock_file: str | None = None,
    *,
    hint: str = "choose another --out",
    on_wait: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Keep other processes that lock `folder` out of it during the block; create the folder if it is missing.

    The lock is on the file `lock_file` in the folder, which then holds the holder's process id, or without one on the
    folder itself. If another process holds it: call `on_wait` and wait, or without `on_wait` raise LockedError. Where
    there are no locks, warn and continue. Raises OutputError with `hint` if the folder cannot be locked.
    """
    try:
        os.makedirs(os.path.realpath(folder), exist_ok=True)  # realpath: the link may point to a missing folder
        handle = _open(folder, lock_file)
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}", hint) from error
    try:
        if not _acquire(handle, folder, hint, on_wait):
            pid = os.read(handle, 20).decode(errors="replace").strip() if lock_file else ""
            holder = f"process {pid}" if pid else "another process"
            raise LockedError(f"{folder}: {holder} is writing to it", "wait until it ends")
        if lock_file:
            with contextlib.suppress(OSError):  # only information: the file of another user, a full disk
                os.ftruncate(handle, 0)
                os.lseek(handle, 0, os.SEEK_SET)
                os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


def _open(folder: Path, lock_file: str | None) -> int:
    if lock_file is None:
        return os.open(folder if has_locks() else os.devnull, os.O_RDONLY)
    try:
        return os.open(folder / lock_file, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        if not os.access(folder, os.W_OK):
            raise
        return os.open(folder / lock_file, os.O_RDONLY)  # of another user in a shared folder


def _acquire(handle: int, folder: Path, hint: str, on_wait: Callable[[], None] | None) -> bool:
    """Lock the open file; False if another process holds the lock and nothing waits for it."""
    try:
        locked = try_lock(handle)
        if locked is False and on_wait is not None:
            on_wait()
            locked = try_lock(handle, wait=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be locked ({error.strerror})", hint) from error
    if locked is None:
        warn_once("this file system has no locks; run one command per folder at a time", folder)
    return locked is not False

"""Write files so that a reader sees the old one or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gan_denoise.errors import OutputError


def write_atomic(path: Path, content: bytes | str) -> None:
    """Put `content` at `path` in one step: a temporary file beside it, fsync, rename, fsync of the folder.

    Raises OutputError when that fails; then `path` is as before and no temporary file is left.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; what the block writes there replaces `path` when it ends without error."""
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_hidden(path), suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        _publish(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}", "choose another --out, or free some space") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def staging_dir(out: Path) -> Iterator[Path]:
    """A temporary folder on the file system of the folder `out`: inside it when it exists, else beside it."""
    parent = out if out.is_dir() else out.parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_hidden(out), dir=parent) as name:
        yield Path(name)


def check_overwrite(path: Path, force: bool) -> None:
    """Raises OutputError when `path` exists and `force` does not allow to replace it, or when it cannot be written."""
    try:
        path.stat()
    except FileNotFoundError:
        if len(os.fsencode(path.name)) > os.pathconf(_nearest(path), "PC_NAME_MAX"):
            raise OutputError(f"{path}: File name too long", "choose another --out") from None
        return
    except NotADirectoryError as error:
        raise OutputError(f"{_nearest(path)}: a file found, a folder wanted", "choose another --out") from error
    except OSError as error:  # as a name that is too long
        raise OutputError(f"{path}: {error.strerror}", "choose another --out") from error
    if not force:
        raise OutputError(f"{path}: exists, kept as it is", "--force replaces it")


def check_free_space(path: Path, size: int) -> None:
    """Raises OutputError when the file system that `path` is on, or will be, has fewer than `size` bytes free."""
    free = shutil.disk_usage(_nearest(path)).free
    if free < size:
        found = f"{free / 1e9:.1f} GB free found, {size / 1e9:.1f} GB wanted"
        raise OutputError(f"{path}: {found}", "choose another --out, fewer images, or free some space")


def _hidden(path: Path) -> str:
    """What the name of a temporary file for `path` begins with: its own, or as much as leaves room for the rest."""
    return f".{os.fsdecode(os.fsencode(path.name)[:200])}."


def _nearest(path: Path) -> Path:
    """`path` or the nearest of the folders above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def _publish(temporary: Path, path: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; an output is as public as any other
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

"""The user's folders: `~` in paths, and the cache."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import stat
import tempfile
from pathlib import Path

from gan_denoise.console import warn_once
from gan_denoise.errors import UsageError

CACHE_VARIABLE = "GAN_DENOISE_CACHE"
NAME = "gan-denoise"  # the cache folder's


def expand_home(text: str, what: str = "path") -> str:
    """`text` with a leading `~` or `~user` replaced by that home folder, as a shell does.

    Raises UsageError if the folder is not known. `~name` without a slash is then the name of a file, as in a shell.
    """
    if not text.startswith("~"):
        return text
    user, *rest = re.split(r"[/\\]" if os.name == "nt" else "/", text, maxsplit=1)
    expanded = text if user == "~" and home_folder(missing_ok=True) is None else os.path.expanduser(text)
    if expanded == text and (user == "~" or (rest and not os.path.lexists(text))):
        raise UsageError.expected(what, "a path", f"{text}, and the home folder is not known", "write the whole path")
    return expanded


def expand_argument(argument: str) -> str:
    """A word of the command line, with `~` expanded at its start and after the `=` of `--out=~/x` and `NAME=~/x`."""
    option, equals, path = argument.partition("=")
    if equals and path.startswith("~"):
        return f"{option}={expand_home(path, option)}"
    return expand_home(argument, argument)


def home_folder(missing_ok: bool = False) -> Path | None:
    """The home folder from HOME or the user database; None if there is none, or unless `missing_ok` it is missing."""
    home = os.path.expanduser("~") if os.environ.get("HOME") != "" else "~"
    return Path(home) if home != "~" and (missing_ok or os.path.isdir(home)) else None


def cache_base() -> Path:
    """The cache folder: $GAN_DENOISE_CACHE, $XDG_CACHE_HOME/gan-denoise or ~/.cache/gan-denoise.

    Without a home folder, or if the cache neither exists nor can be created, a temporary folder; a warning says so.
    """
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(expand_home(named, CACHE_VARIABLE))
    xdg, home = os.environ.get("XDG_CACHE_HOME", ""), home_folder()
    parent = Path(xdg) if os.path.isabs(xdg) else home and home / ".cache"  # a relative one is ignored (XDG 0.8)
    if parent is not None and _is_usable(parent / NAME):
        return parent / NAME
    folder = _temporary_cache()
    warn_once(f"temporary cache, since there is no usable home folder; set {CACHE_VARIABLE}=DIR", folder)
    return folder


def _is_usable(folder: Path) -> bool:
    """Whether the folder can be read, or created."""
    if os.path.isdir(folder):
        return os.access(folder, os.R_OK | os.X_OK)
    parent = next((parent for parent in folder.parents if os.path.lexists(parent)), Path())
    return os.path.isdir(parent) and os.access(parent, os.W_OK | os.X_OK)


@functools.cache
def _temporary_cache() -> Path:
    """A folder below the system's temporary one that this user alone can write, the same for later commands."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    try:
        folder = Path(tempfile.gettempdir(), f"{NAME}-{user}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(0o700)
        state = folder.lstat()
        is_private = state.st_uid == user and stat.S_IMODE(state.st_mode) & 0o022 == 0
        return folder if stat.S_ISDIR(state.st_mode) and is_private else Path(tempfile.mkdtemp(prefix=f"{NAME}-"))
    except OSError:  # nothing can be written anywhere
        return Path(os.devnull, NAME)

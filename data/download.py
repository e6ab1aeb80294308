"""Download Fashion-MNIST from torchvision's mirror or as Debian's package; neither needs root."""

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
from gan_denoise.errors import InputError, one_line
from gan_denoise.files import staging_dir

PROBE_S = 0.8  # time for a server to answer; without a network the whole command takes two seconds
STALL_S = 10.0  # time without a byte before a server is abandoned
LIMIT_S = 300.0  # time for one command; the data set is 31 MB
MIRROR = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
PACKAGE = "dataset-fashion-mnist"
APT_SOURCES = Path("/etc/apt")

MANUAL_STEPS = (
    f"by hand: apt-get download {PACKAGE} && dpkg-deb -x {PACKAGE}_*.deb DIR, "
    'or torchvision.datasets.FashionMNIST("DIR", download=True); then --data DIR'
)

# Runs in a separate process, so that an endlessly slow server can be stopped, and torch is not imported here.
# torchvision's MD5 are of archives with Zalando's gzip header. Here the SHA-256 of the decompressed files is verified,
# so plain HTTP is safe. The limit of 64 MiB per file stops an endless body or a gzip bomb.
TORCHVISION_SCRIPT = """
import socket, sys
from torchvision.datasets import FashionMNIST
try:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**26, 2**26))
except ImportError:  # Windows
    pass
socket.setdefaulttimeout(float(sys.argv[1]))
FashionMNIST.resources = [(name, None) for name, _ in FashionMNIST.resources]
FashionMNIST(".", download=True)
"""

# The administrator's hooks on `apt-get update` (cleaning /var, notifying desktops) must not run for private lists.
# As root, apt would switch to the user _apt, who has no access to the temporary folder.
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
    """A source on the network: the tool that it needs, its servers, and how to download from it."""

    name: str
    missing_tool: Callable[[], str]  # name of the tool that is not installed, or ""
    servers: Callable[[], list[str]]  # URLs; one answer is enough, an empty list skips the probe
    fetch: Callable[[Path], Path]  # downloads into an empty folder; returns the folder with the files


def download(parent: Path, status: Callable[[str], None]) -> dict[str, bytes]:
    """Download the four verified files from the first source that works, through temporary folders in `parent`.

    `status` gets a line per attempt. Raises InputError, with each source's reason and the manual steps, if all fail.
    """
    usable = [remote for remote in REMOTES if not remote.missing_tool()]
    silent = _probe({remote.name: remote.servers() for remote in usable})
    problems = [f"{remote.name}: {tool} is not installed" for remote in REMOTES if (tool := remote.missing_tool())]
    problems += [f"{name}: no answer within {PROBE_S:g} s" for name in silent]
    for remote in usable:
        if remote.name in silent:
            continue
        status(f"downloading from {remote.name}")
        try:
            with staging_dir(parent / "fetch") as work:
                return read_files(remote.fetch(work))
        except InputError as error:
            problems.append(f"{remote.name}: {error.message}")
    raise InputError(f"Fashion-MNIST: no download source works ({'; '.join(problems)})", MANUAL_STEPS)


def _probe(servers: Mapping[str, Sequence[str]]) -> list[str]:
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


def _torchvision_missing() -> str:
    return "" if importlib.util.find_spec("torchvision") else "torchvision"


def _from_torchvision(work: Path) -> Path:
    _run([sys.executable, "-c", TORCHVISION_SCRIPT, str(STALL_S)], work)
    return work / "FashionMNIST/raw"


def _apt_missing() -> str:
    return next((tool for tool in ("apt-get", "dpkg-deb") if not shutil.which(tool)), "")


def _apt_servers() -> list[str]:
    """The servers that apt connects to: its proxy, or those in its lists of sources."""
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
        output = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, check=True).stdout
        return "".join(shlex.split(output)).removeprefix("proxy=")
    return ""


def _from_debian(work: Path) -> Path:
    """Download the package with this machine's package lists or, if that fails, with fresh private lists."""
    settings = work / "apt.conf"
    settings.write_text(APT_SETTINGS)
    apt = ["apt-get", "-q", "-c", str(settings)]
    try:
        _run([*apt, "download", PACKAGE], work)
    except InputError as error:
        _download_with_fresh_lists(apt, work, error.message)
    package = next(work.glob(f"{PACKAGE}_*.deb"))
    _run(["dpkg-deb", "-x", str(package), "files"], work)
    return work / "files/usr/share/datasets/fashion-mnist"


def _download_with_fresh_lists(apt: Sequence[str], work: Path, problem: str) -> None:
    (work / "lists").mkdir()
    apt = [*apt, "-o", f"Dir::State::Lists={work}/lists", "-o", f"Dir::Cache={work}/cache"]
    with contextlib.suppress(InputError):  # one failing third-party source makes the whole update fail
        _run([*apt, "update"], work)
    try:
        _run([*apt, "download", PACKAGE], work)
    except InputError as error:
        raise InputError(f"{problem}; with fresh package lists {error.message}") from error


def _run(command: Sequence[str], work: Path) -> None:
    """Run `command` in `work`. Raises InputError if it fails or takes longer than LIMIT_S.

    The message is what apt marks as errors, or the last line of the output. The output goes to a file and the command
    leads a new session, so that its children can be stopped with it.
    """
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            code = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired as error:
            raise InputError(f"{Path(command[0]).name} ran for {LIMIT_S:g} s") from error
        finally:
            if process.poll() is None:
                _kill_group(process)
                process.wait()
        output.seek(0)
        lines = output.read().decode(errors="replace").split("\n")
    if code:
        lines = [line.strip() for line in lines if line.strip()]
        errors = [line for line in lines if line.startswith("E: ")]  # apt's
        raise InputError(one_line(" ".join(errors or lines[-1:]) or f"exit code {code}"))


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:  # Windows
        process.kill()


REMOTES = (
    Remote("torchvision's mirror", _torchvision_missing, lambda: [MIRROR], _from_torchvision),
    Remote(f"Debian's {PACKAGE}", _apt_missing, _apt_servers, _from_debian),
)

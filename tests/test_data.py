"""Fashion-MNIST: read, refused, found, fetched, shown."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from gan_denoise.data import commands, download, overview, sources
from gan_denoise.data.download import Remote
from gan_denoise.data.fashion_mnist import (
    CLASSES,
    SHA256,
    SIZES,
    Dataset,
    Split,
    fit_and_holdout,
    parse_images,
    parse_labels,
    read,
    read_files,
    to_float,
    to_uint8,
)
from gan_denoise.errors import InputError, OutputError, UsageError

EXCERPT = Path(__file__).parent / "excerpt"
LABELS = "t10k-labels-idx1-ubyte"
IMAGES = "t10k-images-idx3-ubyte"


def idx(array: np.ndarray) -> bytes:
    """The bytes of an IDX file, written independently of the code that reads it."""
    return bytes([0, 0, 8, array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape) + array.tobytes()


@pytest.fixture(scope="session")
def real_folder() -> Path:
    """The verified, decompressed real files; `make test` fetches them first, so this reads the cache."""
    return sources.fetch()


@pytest.fixture(scope="session")
def real(real_folder: Path) -> Dataset:
    return read(real_folder, "real")


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without data or network: an empty home, cache and working folder below the one returned."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GAN_DENOISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GAN_DENOISE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setattr(download, "REMOTES", ())
    return tmp_path


def link(source: Path, folder: Path) -> Path:
    """A folder with the files of `source`, without copying 55 MB."""
    folder.mkdir(parents=True)
    for file in source.glob("*-ubyte*"):
        (folder / file.name).symlink_to(file)
    return folder


def spoil(folder: Path, name: str = LABELS) -> Path:
    """Flip one bit in the middle of a file of `folder`."""
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).unlink()  # it may be a link
    (folder / name).write_bytes(content)
    return folder


# --- reading ---------------------------------------------------------------------------------------------------------


def test_real_data_has_the_published_counts_and_statistics(real: Dataset) -> None:
    assert real.train.images.shape == (60_000, 28, 28)
    assert real.test.images.shape == (10_000, 28, 28)
    assert np.bincount(real.train.labels).tolist() == [6_000] * 10
    assert np.bincount(real.test.labels).tolist() == [1_000] * 10
    assert real.train.images.mean() / 255 == pytest.approx(0.2860, abs=5e-5)  # as quoted everywhere to normalise with
    assert CLASSES[real.train.labels[0]] == "Ankle boot"  # the first picture of Zalando's README
    assert real.sha256 == hashlib.sha256("\n".join(SHA256.values()).encode()).hexdigest()


def test_excerpt_is_made_of_real_images(excerpt: Dataset, real: Dataset) -> None:
    for part, whole, per_class in ((excerpt.train, real.train, 40), (excerpt.test, real.test, 10)):
        pairs = {(image.tobytes(), int(label)) for image, label in zip(whole.images, whole.labels, strict=True)}
        assert all((i.tobytes(), int(n)) in pairs for i, n in zip(part.images, part.labels, strict=True))
        assert np.bincount(part.labels).tolist() == [per_class] * 10


def test_excerpt_is_refused_where_the_whole_set_is_wanted(excerpt: Dataset) -> None:
    found = hashlib.sha256(idx(excerpt.train.images)).hexdigest()
    with pytest.raises(InputError, match=rf"train-images.*{found}.*{SHA256['train-images-idx3-ubyte']}"):
        read(EXCERPT, "excerpt")


def test_images_and_labels_are_parsed(excerpt: Dataset) -> None:
    images = parse_images(idx(excerpt.test.images), "images")
    assert images.dtype == np.uint8
    assert (images == excerpt.test.images).all()
    assert images.flags.writeable
    assert parse_labels(idx(np.arange(10, dtype=np.uint8)), "labels").tolist() == list(range(10))


def header(*shape: int) -> bytes:
    return struct.pack(f">{1 + len(shape)}I", 0x0800 + len(shape), *shape)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "nothing"),
        (b"\0\0\x08\x03\0\0", "00000803"),
        (b"\x1f\x8b\x08\0" + bytes(20), "1f8b0800"),
        (idx(np.zeros(16, np.uint8)), "00000801"),
        (b"\0\0\x0d\x03" + header(1, 28, 28)[4:] + bytes(784), "00000d03"),
        (header(2**32 - 1, 28, 28) + bytes(784), "784 bytes found, 4294967295x28x28"),
        (header(2**32 - 1, 2**32 - 1, 2**32 - 1), "0 bytes found"),
        (header(0, 2**32 - 1, 2**32 - 1), "0 bytes found"),
        (header(0, 28, 28), "at least 1 wanted"),
        (header(1, 28, 28) + bytes(785), "785 bytes found"),
        (header(1, 28, 28) + bytes(783), "783 bytes found"),
        (header(1, 27, 28) + bytes(27 * 28), "27x28 found"),
    ],
)
def test_strange_images_are_refused_before_anything_is_allocated(content: bytes, found: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=rf"some/file: .*{found}"):
            parse_images(content, "some/file")
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_label_10_is_refused() -> None:
    with pytest.raises(InputError, match="label 10 found, 0 to 9 wanted"):
        parse_labels(idx(np.array([0, 9, 10], np.uint8)), "labels")


def test_as_many_labels_as_images_are_wanted(tmp_path: Path, excerpt: Dataset) -> None:
    folder = link(EXCERPT, tmp_path / "data")
    (folder / LABELS).write_bytes(idx(excerpt.test.labels))
    assert len(read(folder, "", checked=False).test) == 100
    (folder / LABELS).write_bytes(idx(excerpt.test.labels[1:]))
    with pytest.raises(InputError, match="100 t10k images and 99 labels found"):
        read(folder, "", checked=False)


@pytest.mark.parametrize("kept", [0, 1, 9, 12, 0.5, -9, -8, -5, -1])
def test_truncated_gzip_is_refused(kept: float, tmp_path: Path) -> None:
    folder = link(EXCERPT, tmp_path / "data")
    whole = (EXCERPT / f"{IMAGES}.gz").read_bytes()
    (folder / f"{IMAGES}.gz").unlink()
    (folder / f"{IMAGES}.gz").write_bytes(whole[: int(kept * len(whole)) if kept == 0.5 else int(kept)])
    with pytest.raises(InputError, match=rf"{IMAGES}(\.gz: a damaged archive|: IDX magic nothing) found") as caught:
        read(folder, "", checked=False)
    assert "gan-denoise data fetch" in caught.value.hint


@pytest.mark.parametrize(
    "content", [b"no gzip", gzip.compress(b"")[:10] + b"\xff" * 50, (EXCERPT / f"{LABELS}.gz").read_bytes() + b"more"]
)
def test_other_bytes_under_a_gzip_name_are_refused(content: bytes, tmp_path: Path) -> None:
    folder = link(EXCERPT, tmp_path / "data")
    (folder / f"{LABELS}.gz").unlink()
    (folder / f"{LABELS}.gz").write_bytes(content)
    with pytest.raises(InputError, match=rf"{LABELS}.gz: a damaged archive found"):
        read(folder, "", checked=False)


def test_gzip_bomb_is_read_up_to_the_expected_size(tmp_path: Path) -> None:
    folder = link(EXCERPT, tmp_path / "data")
    (folder / f"{LABELS}.gz").unlink()
    (folder / f"{LABELS}.gz").write_bytes(gzip.compress(bytes(200_000_000), 1))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=f"more than {SIZES[LABELS]} bytes found"):
            read(folder, "", checked=False)
        assert tracemalloc.get_traced_memory()[1] < 60_000_000  # the buffer for the training images is 47 MB
    finally:
        tracemalloc.stop()


def test_one_flipped_bit_is_refused(real_folder: Path, tmp_path: Path) -> None:
    folder = link(real_folder, tmp_path / "data")
    assert read_files(folder)[LABELS] == (real_folder / LABELS).read_bytes()
    with pytest.raises(InputError, match=rf"{LABELS}: 10008 bytes with SHA-256 .* found, 10008 with {SHA256[LABELS]}"):
        read_files(spoil(folder))


def test_known_other_files_are_called_by_their_name(
    real_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = link(real_folder, tmp_path / "data")
    (folder / "train-labels-idx1-ubyte").unlink()
    (folder / "train-labels-idx1-ubyte").symlink_to(real_folder / LABELS)
    with pytest.raises(InputError, match=f"this is {LABELS}"):
        read_files(folder)
    monkeypatch.setattr("gan_denoise.data.fashion_mnist.MNIST_SHA256", {SHA256[LABELS]})
    with pytest.raises(InputError, match="this is MNIST, not Fashion-MNIST"):
        read_files(folder)


def test_a_missing_file_is_named(real_folder: Path, tmp_path: Path) -> None:
    folder = link(real_folder, tmp_path / "data")
    (folder / IMAGES).unlink()
    with pytest.raises(InputError, match=rf"{folder}: no {IMAGES}\[.gz\] found"):
        read_files(folder)


# --- splits and pixels -----------------------------------------------------------------------------------------------


def test_holdout_is_the_last_5000_and_balanced(real: Dataset) -> None:
    fit, holdout = fit_and_holdout(real.train)
    assert (len(fit), len(holdout)) == (55_000, 5_000)
    assert (holdout.images == real.train.images[-5_000:]).all()
    assert (np.concatenate([fit.labels, holdout.labels]) == real.train.labels).all()
    counts = np.bincount(holdout.labels)  # as from drawing without looking: 500 each, give or take 3 sigma
    assert counts.min() > 440
    assert counts.max() < 560


def test_an_excerpt_is_split_in_the_same_proportion(excerpt: Dataset) -> None:
    fit, holdout = fit_and_holdout(excerpt.train)
    assert (len(fit), len(holdout)) == (367, 33)


def test_every_pixel_value_survives_the_way_to_float_and_back() -> None:
    images = np.arange(4 * 28 * 28, dtype=np.uint16).astype(np.uint8).reshape(4, 28, 28)
    floats = to_float(images)
    assert floats.dtype == np.float32
    assert floats.shape == (4, 1, 28, 28)
    assert (floats.min(), floats.max()) == (0, 1)
    assert (to_uint8(floats) == images).all()
    for off in (0.4, -0.4):  # to the nearest
        assert (to_uint8(np.clip(floats + np.float32(off / 255), 0, 1)) == images).all()


@pytest.mark.parametrize(
    "images",
    [np.zeros((1, 28, 28), np.float32), np.zeros((1, 1, 28, 28), np.uint8), np.zeros((28, 28), np.uint8)],
)
def test_to_float_refuses(images: np.ndarray) -> None:
    with pytest.raises(InputError, match="uint8 NxHxW wanted"):
        to_float(images)


@pytest.mark.parametrize("images", [np.zeros((1, 1, 28, 28), np.uint8), np.zeros((1, 28, 28), np.float32)])
def test_to_uint8_refuses_arrays(images: np.ndarray) -> None:
    with pytest.raises(InputError, match="float32 Nx1xHxW wanted"):
        to_uint8(images)


@pytest.mark.parametrize("value", [1.01, -0.01, np.nan, np.inf])
def test_to_uint8_refuses_values(value: float) -> None:
    images = np.zeros((2, 1, 28, 28), np.float32)
    images[1, 0, 5, 5] = value
    with pytest.raises(InputError, match=r"\[0, 1\] wanted"):
        to_uint8(images)


# --- finding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["", "FashionMNIST/raw", "usr/share/datasets/fashion-mnist"])
def test_a_named_folder_may_have_three_layouts(layout: str, bare: Path, real_folder: Path, real: Dataset) -> None:
    link(real_folder, bare / "my data é" / layout)
    dataset = sources.load(bare / "my data é")
    assert (dataset.test.labels == real.test.labels).all()
    assert dataset.source == str(bare / "my data é")


def test_compressed_files_do(bare: Path, real_folder: Path) -> None:
    folder = link(real_folder, bare / "data set")
    (folder / IMAGES).unlink()
    (folder / f"{IMAGES}.gz").write_bytes(gzip.compress((real_folder / IMAGES).read_bytes(), 1))
    assert len(sources.load(folder).test) == 10_000


def test_a_named_folder_is_the_only_one_tried(bare: Path, real_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link(real_folder, bare / "cache/fashion-mnist")
    bad = spoil(link(real_folder, bare / "bad"))
    assert sources.load().source == f"cache ({bare}/cache/fashion-mnist)"
    with pytest.raises(InputError, match=f"{bad}/{LABELS}"):
        sources.load(bad)
    monkeypatch.setenv("GAN_DENOISE_DATA", str(bad))
    for call in (sources.load, sources.fetch):
        with pytest.raises(InputError, match=f"{bad}/{LABELS}"):
            call()
    with pytest.raises(InputError, match="elsewhere: no folder found"):
        sources.load(Path("elsewhere"))  # --data goes before the variable


def test_folders_are_tried_in_order(bare: Path, real_folder: Path) -> None:
    for folder, name in (
        (bare / "debian", "Debian's dataset-fashion-mnist"),
        (bare / "data/FashionMNIST/raw", "torchvision root"),
        (bare / "cache/fashion-mnist", "cache"),
    ):
        link(real_folder, folder)
        assert sources.load().source.startswith(name)
    spoil(bare / "cache/fashion-mnist")
    assert sources.load().source.startswith("torchvision root")


def test_nothing_found_names_the_steps(bare: Path) -> None:
    with pytest.raises(InputError, match="nothing found") as caught:
        sources.load()
    assert caught.value.exit_code == 3
    for step in ("gan-denoise data fetch", "apt-get download dataset-fashion-mnist", "torchvision", "--data DIR"):
        assert step in caught.value.hint
    assert not any(bare.iterdir())  # looking changes nothing


# --- the cache -------------------------------------------------------------------------------------------------------


def test_a_changed_cache_is_refused_and_rebuilt(bare: Path, real_folder: Path) -> None:
    link(real_folder, bare / "debian")
    cache = sources.fetch()
    assert cache == bare / "cache/fashion-mnist"
    shutil.rmtree(bare / "debian")
    assert len(sources.load().train) == 60_000
    spoil(cache)
    with pytest.raises(InputError, match=f"{cache}/{LABELS}") as caught:
        sources.load()
    assert "gan-denoise data fetch" in caught.value.hint
    os.truncate(cache / IMAGES, 1_000)
    (cache / f".{IMAGES}.left").write_bytes(b"from a killed fetch")
    (cache / ".fetch-left").mkdir()
    link(real_folder, bare / "debian")
    lines: list[str] = []
    sources.fetch(say=lines.append)
    assert lines == [f"not used: {lines[0].removeprefix('not used: ')}", f"found in {bare / 'debian'}"]
    assert sorted(file.name for file in cache.iterdir()) == sorted([".lock", *SHA256])
    assert read_files(cache)


def test_a_good_cache_is_left_alone(bare: Path, real_folder: Path) -> None:
    cache = link(real_folder, bare / "cache/fashion-mnist")
    cache.chmod(0o555)
    before = {file.name: file.stat().st_mtime_ns for file in cache.iterdir()}
    assert sources.fetch() == cache
    assert {file.name: file.stat().st_mtime_ns for file in cache.iterdir()} == before


def test_a_cache_that_cannot_be_written_is_an_output_error(
    bare: Path, real_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bare / "file").touch()
    monkeypatch.setenv("GAN_DENOISE_CACHE", str(bare / "file"))
    with pytest.raises(OutputError, match="file/fashion-mnist") as caught:
        sources.fetch(real_folder)
    assert "GAN_DENOISE_CACHE" in caught.value.hint


STALLED_FETCH = """
import time
from pathlib import Path
from gan_denoise.data import sources
def stall(*paths):
    print("written, not renamed", flush=True)
    time.sleep(600)
Path.replace = stall
sources.fetch()
"""
FETCH = "import sys; from gan_denoise.data import sources; sources.fetch(say=lambda line: print(line, flush=True))"


@contextlib.contextmanager
def running(script: str, cache: Path, data: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "GAN_DENOISE_CACHE": str(cache), "GAN_DENOISE_DATA": str(data)}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_of_two_fetches_one_is_killed_and_one_valid_copy_is_left(real_folder: Path, tmp_path: Path) -> None:
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


def test_two_fetches_at_once_both_succeed(real_folder: Path, tmp_path: Path) -> None:
    with running(FETCH, tmp_path, real_folder) as first, running(FETCH, tmp_path, real_folder) as second:
        assert (first.wait(60), second.wait(60)) == (0, 0)
    assert read_files(tmp_path / "fashion-mnist")


# --- the network -----------------------------------------------------------------------------------------------------


def remote(name: str, get: Callable[[Path], Path], lacks: str = "", servers: tuple[str, ...] = ()) -> Remote:
    return Remote(name, lambda: lacks, lambda: list(servers), get)


def refuse(work: Path) -> Path:
    raise InputError("stalled")


def test_the_first_remote_with_the_right_bytes_is_taken(
    bare: Path, real_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flipped(work: Path) -> Path:
        return spoil(link(real_folder, work / "files"))

    def never(work: Path) -> Path:
        pytest.fail("the one before it works")

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, and nobody listens
        silent = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        remotes = (
            remote("absent", never, lacks="some-tool"),
            remote("silent", never, servers=(silent,)),
            remote("broken", refuse),
            remote("flipped", flipped),
            remote("good", lambda work: link(real_folder, work / "files")),
            remote("late", never),
        )
        monkeypatch.setattr(download, "REMOTES", remotes)
        cache = sources.fetch()
        assert read_files(cache)
        shutil.rmtree(cache)
        monkeypatch.setattr(download, "REMOTES", remotes[:4])
        with pytest.raises(InputError) as caught:
            sources.fetch()
    for reason in ("absent: some-tool is not installed", "silent: no answer", "broken: stalled", f"/{LABELS}: 10008"):
        assert reason in caught.value.message
    assert "apt-get download" in caught.value.hint
    assert [file.name for file in cache.iterdir()] == [".lock"]


def test_without_a_network_the_real_remotes_are_given_up_and_torch_is_not_imported(bare: Path) -> None:
    script = """
import sys
from pathlib import Path
from gan_denoise.data import commands, sources
from gan_denoise.errors import InputError
sources.DEBIAN_FOLDER = Path("debian")
try:
    sources.fetch()
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
    assert output.startswith("3 Fashion-MNIST: no source found (")
    assert "torchvision's mirror: " in output
    assert "apt-get download dataset-fashion-mnist" in output
    assert output.endswith("set()\n")


def test_a_server_is_asked_before_anything_slow_is_tried() -> None:
    with socket.socket() as listening, socket.socket() as closed:
        for one in (listening, closed):
            one.bind(("127.0.0.1", 0))
        listening.listen()
        open_url, closed_url = (f"http://127.0.0.1:{one.getsockname()[1]}/x" for one in (listening, closed))
        asked = {"none": [], "up": [closed_url, open_url], "down": [closed_url], "odd": ["http://127.0.0.1:port/"]}
        assert download._silent(asked) == ["down", "odd"]


class Mirror(http.server.BaseHTTPRequestHandler):
    """Zalando's server as torchvision knows it, reached as a proxy."""

    files: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        content = self.files[self.path.removeprefix(download.MIRROR)]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(real_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Mirror.files = {f"{name}.gz": gzip.compress((real_folder / name).read_bytes(), 0) for name in SHA256}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("no_proxy", "")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("mirror")
def test_torchvision_downloads(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision = Remote("torchvision", lambda: "", lambda: [download.MIRROR], download._from_torchvision)
    monkeypatch.setattr(download, "REMOTES", (torchvision,))
    assert read_files(sources.fetch())


# Stands for apt-get on a machine without package lists: `download` works only after an `update` into lists of our own.
FAKE_APT = """#!/bin/sh
echo "$@" >> "$LOG"
for word in "$@"; do case "$word" in Dir::State::Lists=*) lists="${word#*=}";; esac; done
case "$*" in
*update*) touch "$lists/main"; exit 100;;
*) [ -n "$lists" ] && [ -e "$lists/main" ] && [ -n "$WORKS" ] && touch dataset-fashion-mnist_1_all.deb && exit 0
   echo "E: Unable to locate package" >&2; exit 100;;
esac
"""
FAKE_DPKG = """#!/bin/sh
mkdir -p "$3/usr/share/datasets" && ln -s "$FILES" "$3/usr/share/datasets/fashion-mnist"
"""


def test_apt_makes_lists_of_its_own_where_there_are_none(
    bare: Path, real_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, script in (("apt-get", FAKE_APT), ("dpkg-deb", FAKE_DPKG)):
        (bare / name).write_text(script)
        (bare / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(bare), prepend=os.pathsep)
    monkeypatch.setenv("LOG", str(bare / "log"))
    monkeypatch.setenv("FILES", str(real_folder))
    monkeypatch.setenv("WORKS", "yes")
    monkeypatch.setattr(download, "REMOTES", (Remote("apt", lambda: "", list, download._from_debian),))
    assert read_files(sources.fetch())
    words = [line.split() for line in (bare / "log").read_text().splitlines()]
    assert [line[3] for line in words] == ["download", "-o", "-o"]
    assert ["update" in line for line in words] == [False, True, False]
    shutil.rmtree(bare / "cache")
    monkeypatch.setenv("WORKS", "")
    with pytest.raises(InputError, match="Unable to locate package; with fresh package lists E: Unable to locate"):
        sources.fetch()


def test_apt_servers_are_those_of_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://old.example/x\ndeb [arch=amd64] http://deb.example/debian a b\n"
    )
    (tmp_path / "sources.list.d/more.sources").write_text("URIs: https://two.example:8443/debian/\n")
    (tmp_path / "sources.list.d/off.list.disabled").write_text("deb http://disabled.example/x\n")
    monkeypatch.setattr(download, "APT_SOURCES", tmp_path)
    monkeypatch.setattr(download, "_apt_proxy", lambda: "")
    assert download._apt_servers() == ["http://deb.example", "https://two.example:8443"]
    monkeypatch.setattr(download, "_apt_proxy", lambda: "http://proxy.example:3142")
    assert download._apt_servers() == ["http://proxy.example:3142"]


def test_a_command_that_hangs_is_stopped_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "LIMIT_S", 2.0)
    os.mkfifo(tmp_path / "held")
    held = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(InputError, match=r"sh ran for 2 s"):
        download._run(["sh", "-c", "sleep 60 > held; true"], tmp_path)
    assert select.select([held], [], [], 10)[0]  # ready once the sleep, which had the other end open, is gone
    os.close(held)


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    download._run(["sh", "-c", "echo noise"], tmp_path)
    with pytest.raises(InputError, match=r"^the reason$"):
        download._run(["sh", "-c", "echo noise; echo the reason >&2; echo; exit 3"], tmp_path)


# --- commands --------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    result = CliRunner().invoke(commands.app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_info_prints_json_alone(real_folder: Path, real: Dataset) -> None:
    summary = json.loads(run("info", "--json", "--data", str(real_folder)))
    assert summary == {
        "source": str(real_folder),
        "sha256": real.sha256,
        "train": {"count": 60_000, "classes": dict.fromkeys(CLASSES, 6_000)},
        "test": {"count": 10_000, "classes": dict.fromkeys(CLASSES, 1_000)},
    }


def test_info_prints_source_counts_and_whole_hashes(real_folder: Path) -> None:
    output = run("info", "--data", str(real_folder))
    assert f"source: {real_folder}\n" in output
    for name in CLASSES:
        assert [line.split()[-4:-1:2] for line in output.splitlines() if f" {name} " in line] == [["6,000", "1,000"]]
    for name, sha256 in SHA256.items():
        assert f"{sha256}  {name}\n" in output
    assert "\x1b" not in output


def test_info_refuses_a_folder_without_data(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{tmp_path}: no train-images-idx3-ubyte\[.gz\] found"):
        run("info", "--data", str(tmp_path))


def test_fetch_prints_the_folder(bare: Path, real_folder: Path) -> None:
    assert run("fetch", "--data", str(real_folder)) == f"{bare}/cache/fashion-mnist\n"
    assert read_files(bare / "cache/fashion-mnist")


def test_preview_shows_ten_images_of_each_class(tmp_path: Path, real_folder: Path, real: Dataset) -> None:
    out = tmp_path / "new folder/preview.png"
    assert run("preview", "--out", str(out), "--data", str(real_folder)) == f"{out}\n"
    picture = np.asarray(Image.open(out))
    cell, left = overview.CELL, overview.LABELS
    assert picture.shape == (10 * cell, left + 10 * cell)
    for label in range(10):
        images = real.train.images[real.train.labels == label][:10]
        for column, image in enumerate(images):
            top, side = label * cell + 2, left + column * cell
            assert (picture[top : top + 56 : 2, side : side + 56 : 2] == image).all()
        assert (picture[label * cell : (label + 1) * cell, :left] < 128).sum() > 100  # a name is written there
        assert (picture[label * cell : (label + 1) * cell, left - 4 : left] == 255).all()  # and ends before the images


def test_preview_keeps_what_is_there_unless_forced(tmp_path: Path, real_folder: Path) -> None:
    out = tmp_path / "preview.png"
    out.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        run("preview", "--out", str(out), "--data", str(real_folder))
    assert out.read_bytes() == b"mine"
    run("preview", "--out", str(out), "--data", str(real_folder), "--force")
    assert out.read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in tmp_path.iterdir()] == ["preview.png"]


def test_preview_refuses_other_formats(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.png"):
        run("preview", "--out", str(tmp_path / "preview.gif"))


def test_preview_draws_what_an_excerpt_has(excerpt: Dataset) -> None:
    few = Split(excerpt.train.images[:3], excerpt.train.labels[:3])
    assert overview.draw_preview(few).size == overview.draw_preview(excerpt.train).size

"""Fashion-MNIST: read, verify, find, fetch, summarise."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from data_helpers import COUNT, EXCERPT, IMAGES, LABELS, idx, link, photograph, spoil
from PIL import Image
from typer.testing import CliRunner

from gan_denoise import __version__
from gan_denoise.data import commands, download, preview, sources
from gan_denoise.data.dataset import Dataset, Split, split_holdout
from gan_denoise.data.download import Remote
from gan_denoise.data.fashion_mnist import CLASSES, SHA256, parse_images, parse_labels, read_dataset, read_files
from gan_denoise.data.images import to_float, to_uint8
from gan_denoise.errors import InputError, OutputError, UsageError


@pytest.fixture(scope="session")
def real(real_folder: Path) -> Dataset:
    return read_dataset(real_folder, "real")


# --- reading ---------------------------------------------------------------------------------------------------------


def test_real_data_has_the_published_counts_and_statistics(real: Dataset) -> None:
    assert real.train.images.shape == (60_000, 28, 28)
    assert real.test.images.shape == (10_000, 28, 28)
    assert np.bincount(real.train.labels).tolist() == [6_000] * 10
    assert np.bincount(real.test.labels).tolist() == [1_000] * 10
    assert real.train.images.mean() / 255 == pytest.approx(0.2860, abs=5e-5)  # the published mean for normalisation
    assert CLASSES[real.train.labels[0]] == "Ankle boot"  # the first image of Zalando's README
    assert real.sha256 == hashlib.sha256("\n".join(SHA256.values()).encode()).hexdigest()


def test_excerpt_is_made_of_real_images(excerpt: Dataset, real: Dataset) -> None:
    for part, whole, per_class in ((excerpt.train, real.train, 40), (excerpt.test, real.test, 10)):
        pairs = {(image.tobytes(), int(label)) for image, label in zip(whole.images, whole.labels, strict=True)}
        assert all((i.tobytes(), int(n)) in pairs for i, n in zip(part.images, part.labels, strict=True))
        assert np.bincount(part.labels).tolist() == [per_class] * 10


def test_excerpt_is_refused_where_the_whole_set_is_required(excerpt: Dataset) -> None:
    sha256 = hashlib.sha256(idx(excerpt.train.images)).hexdigest()
    with pytest.raises(InputError, match=rf"train-images.*{SHA256['train-images-idx3-ubyte']}.*{sha256}"):
        read_dataset(EXCERPT, "excerpt")


def test_images_and_labels_are_parsed(excerpt: Dataset) -> None:
    images = parse_images(idx(excerpt.test.images), "images")
    assert images.dtype == np.uint8
    assert (images == excerpt.test.images).all()
    assert images.flags.writeable
    assert parse_labels(idx(np.arange(10, dtype=np.uint8)), "labels").tolist() == list(range(10))


def test_a_missing_file_is_named(real_folder: Path, tmp_path: Path) -> None:
    folder = link(real_folder, tmp_path / "data")
    (folder / IMAGES).unlink()
    with pytest.raises(
        InputError, match=rf"{folder}: expected the four IDX files of the data set, got no {IMAGES}\[.gz\]"
    ):
        read_files(folder)


# --- splits and pixels -----------------------------------------------------------------------------------------------


def test_holdout_is_the_last_5000_and_balanced(real: Dataset) -> None:
    fit, holdout = split_holdout(real.train)
    assert (len(fit), len(holdout)) == (55_000, 5_000)
    assert (holdout.images == real.train.images[-5_000:]).all()
    assert (np.concatenate([fit.labels, holdout.labels]) == real.train.labels).all()
    counts = np.bincount(holdout.labels)  # random draws: 500 each, plus or minus 3 sigma
    assert counts.min() > 440
    assert counts.max() < 560


def test_an_excerpt_is_split_in_the_same_proportion(excerpt: Dataset) -> None:
    fit, holdout = split_holdout(excerpt.train)
    assert (len(fit), len(holdout)) == (367, 33)


def test_every_pixel_value_survives_conversion_to_float_and_back() -> None:
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
    with pytest.raises(InputError, match="images: expected uint8 NxHxW or Nx3xHxW, got "):
        to_float(images)


@pytest.mark.parametrize("images", [np.zeros((1, 1, 28, 28), np.uint8), np.zeros((1, 28, 28), np.float32)])
def test_to_uint8_refuses_arrays(images: np.ndarray) -> None:
    with pytest.raises(InputError, match="images: expected float32 Nx1xHxW or Nx3xHxW, got "):
        to_uint8(images)


@pytest.mark.parametrize("value", [1.01, -0.01, np.nan, np.inf])
def test_to_uint8_refuses_values(value: float) -> None:
    images = np.zeros((2, 1, 28, 28), np.float32)
    images[1, 0, 5, 5] = value
    with pytest.raises(InputError, match=r"images: expected values in \[0, 1\], got "):
        to_uint8(images)


# --- finding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["", "FashionMNIST/raw", "usr/share/datasets/fashion-mnist"])
def test_a_named_folder_may_have_three_layouts(layout: str, bare: Path, real_folder: Path, real: Dataset) -> None:
    link(real_folder, bare / "my data é" / layout)
    dataset = sources.load_fashion_mnist(bare / "my data é")
    assert (dataset.test.labels == real.test.labels).all()
    assert dataset.source == str(bare / "my data é")


def test_compressed_files_are_read(bare: Path, real_folder: Path) -> None:
    folder = link(real_folder, bare / "data set")
    (folder / IMAGES).unlink()
    (folder / f"{IMAGES}.gz").write_bytes(gzip.compress((real_folder / IMAGES).read_bytes(), 1))
    assert len(sources.load_fashion_mnist(folder).test) == 10_000


def test_a_named_folder_is_the_only_one_tried(bare: Path, real_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link(real_folder, bare / "cache/fashion-mnist")
    bad = spoil(link(real_folder, bare / "bad"))
    assert sources.load_fashion_mnist().source == f"cache ({bare}/cache/fashion-mnist)"
    with pytest.raises(InputError, match=f"{bad}/{LABELS}"):
        sources.load_fashion_mnist(bad)
    monkeypatch.setenv("GAN_DENOISE_DATA", str(bad))
    for call in (sources.load_fashion_mnist, sources.fetch_fashion_mnist):
        with pytest.raises(InputError, match=f"{bad}/{LABELS}"):
            call()
    with pytest.raises(
        InputError, match="elsewhere: expected a folder with the four files of Fashion-MNIST, got no folder"
    ):
        sources.load_fashion_mnist(Path("elsewhere"))  # --data takes precedence over the variable


def test_folders_are_tried_in_order(bare: Path, real_folder: Path) -> None:
    for folder, name in (
        (bare / "debian", "Debian's dataset-fashion-mnist"),
        (bare / "data/FashionMNIST/raw", "torchvision root"),
        (bare / "cache/fashion-mnist", "cache"),
    ):
        link(real_folder, folder)
        assert sources.load_fashion_mnist().source.startswith(name)
    spoil(bare / "cache/fashion-mnist")
    assert sources.load_fashion_mnist().source.startswith("torchvision root")


# --- the cache -------------------------------------------------------------------------------------------------------


def test_a_valid_cache_is_unchanged(bare: Path, real_folder: Path) -> None:
    cache = link(real_folder, bare / "cache/fashion-mnist")
    cache.chmod(0o555)
    before = {file.name: file.stat().st_mtime_ns for file in cache.iterdir()}
    assert sources.fetch_fashion_mnist() == cache
    assert {file.name: file.stat().st_mtime_ns for file in cache.iterdir()} == before


def test_a_cache_that_cannot_be_written_is_an_output_error(
    bare: Path, real_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bare / "file").touch()
    monkeypatch.setenv("GAN_DENOISE_CACHE", str(bare / "file"))
    with pytest.raises(OutputError, match="file/fashion-mnist") as caught:
        sources.fetch_fashion_mnist(real_folder)
    assert "GAN_DENOISE_CACHE" in caught.value.hint


# --- the network -----------------------------------------------------------------------------------------------------


def test_servers_are_probed_before_anything_slow_is_tried() -> None:
    with socket.socket() as listening, socket.socket() as closed:
        for one in (listening, closed):
            one.bind(("127.0.0.1", 0))
        listening.listen()
        open_url, closed_url = (f"http://127.0.0.1:{one.getsockname()[1]}/x" for one in (listening, closed))
        servers = {"none": [], "up": [closed_url, open_url], "down": [closed_url], "odd": ["http://127.0.0.1:port/"]}
        assert download.probe_servers(servers) == ["down", "odd"]


def test_the_probe_ends_in_time_even_if_every_server_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    def block(address: tuple[str, int], timeout: float) -> socket.socket:  # as a silent name server does
        stop.wait(60)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", block)
    monkeypatch.setattr(download, "PROBE_S", 0.1)
    start = time.monotonic()
    silent = download.probe_servers({name: ["http://127.0.0.1/"] for name in "abcdefgh"})
    elapsed = time.monotonic() - start
    stop.set()
    assert silent == [*"abcdefgh"]
    assert 0.1 <= elapsed < 3  # for all together


# An apt-get on a machine without package lists: `download` works only after an `update` into private lists.
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


def test_apt_fetches_private_lists_if_there_are_none(
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
    assert read_files(sources.fetch_fashion_mnist())
    words = [line.split() for line in (bare / "log").read_text().splitlines()]
    assert [line[3] for line in words] == ["download", "-o", "-o"]
    assert ["update" in line for line in words] == [False, True, False]
    shutil.rmtree(bare / "cache")
    monkeypatch.setenv("WORKS", "")
    with pytest.raises(InputError, match="Unable to locate package; with fresh package lists E: Unable to locate"):
        sources.fetch_fashion_mnist()


# --- commands --------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    result = CliRunner().invoke(commands.app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_info_prints_json_alone(real_folder: Path, real: Dataset) -> None:
    summary = json.loads(run("info", "--json", "--data", str(real_folder)))
    assert summary == {
        "schema": 1,
        "command": "data info",
        "version": __version__,
        "source": str(real_folder),
        "sha256": real.sha256,
        "image_shape": [1, 28, 28],
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


def test_info_prints_csv_alone(real_folder: Path) -> None:
    rows = run("info", "--format", "csv", "--data", str(real_folder)).splitlines()
    assert rows[:2] == ["class,name,train,test", "0,T-shirt/top,6000,1000"]
    assert len(rows) == 11


def test_info_prints_a_markdown_table_alone(real_folder: Path) -> None:
    rows = run("info", "--format", "markdown", "--data", str(real_folder)).splitlines()
    assert rows[:3] == [
        "| class | name | train | test |",
        "| ---: | --- | ---: | ---: |",
        "| 0 | T-shirt/top | 6000 | 1000 |",
    ]
    assert len(rows) == 12


def test_info_refuses_json_in_another_format() -> None:
    with pytest.raises(UsageError, match="expected one of them, got --json --format csv"):
        run("info", "--format", "csv", "--json")


def test_fetch_prints_json_alone(bare: Path, real_folder: Path) -> None:
    content = json.loads(run("fetch", "--json", "--quiet", "--data", str(real_folder)))
    assert content["sha256"] == SHA256
    assert content["written"] == [f"{bare}/cache/fashion-mnist/{name}" for name in SHA256]


def test_info_refuses_a_folder_without_data(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=rf"{tmp_path}: expected the four IDX files .* got no train-images-idx3-ubyte\[.gz\]"
    ):
        run("info", "--data", str(tmp_path))


def test_fetch_prints_the_folder(bare: Path, real_folder: Path) -> None:
    assert run("fetch", "--data", str(real_folder)) == f"{bare}/cache/fashion-mnist\n"
    assert read_files(bare / "cache/fashion-mnist")


def test_preview_shows_ten_images_of_each_class(tmp_path: Path, real_folder: Path, real: Dataset) -> None:
    out = tmp_path / "new folder/preview.png"
    assert run("preview", "--out", str(out), "--data", str(real_folder)) == f"{out}\n"
    pixels = np.asarray(Image.open(out))
    cell, left = 28 * preview.ZOOM + preview.GAP, preview.LABEL_WIDTH
    assert pixels.shape == (10 * cell, left + 10 * cell)
    for label in range(10):
        images = real.train.images[real.train.labels == label][:10]
        for column, image in enumerate(images):
            top, side = label * cell + 2, left + column * cell
            assert (pixels[top : top + 56 : 2, side : side + 56 : 2] == image).all()
        assert (pixels[label * cell : (label + 1) * cell, :left] < 128).sum() > 100  # a name is written there
        assert (pixels[label * cell : (label + 1) * cell, left - 4 : left] == 255).all()  # and ends before the images


def test_preview_overwrites_only_with_force(tmp_path: Path, real_folder: Path) -> None:
    out = tmp_path / "preview.png"
    out.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        run("preview", "--out", str(out), "--data", str(real_folder))
    assert out.read_bytes() == b"mine"
    run("preview", "--out", str(out), "--data", str(real_folder), "--force")
    assert out.read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in tmp_path.iterdir()] == ["preview.png"]


def test_preview_refuses_other_formats(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--out: expected a name that ends in \.png, got "):
        run("preview", "--out", str(tmp_path / "preview.gif"))


def test_preview_draws_what_an_excerpt_has(excerpt: Dataset) -> None:
    few = Split(excerpt.train.images[:3], excerpt.train.labels[:3])
    assert preview.draw_preview(few, CLASSES).size == preview.draw_preview(excerpt.train, CLASSES).size


def test_info_and_preview_of_other_images(photos: Path, tmp_path: Path) -> None:
    chosen = ("--dataset", "folder", "--data", str(photos), "--size", "64", "--channels", "3")
    (photos / "c").rename(photos / "a class with a name that is far too long")
    content = json.loads(run("info", *chosen, "--json"))
    assert content["image_shape"] == [3, 64, 64]
    assert sum(content[part]["count"] for part in ("train", "test")) == COUNT
    assert sum(content["train"]["classes"].values()) == content["train"]["count"]
    assert len(run("info", *chosen, "--format", "csv").splitlines()) == 4
    shown = run("info", *chosen)
    assert "folder, 64x64 colour" in shown
    assert f"{content['sha256']}  all images\n" in shown
    run("preview", *chosen, "--out", str(tmp_path / "a.png"))
    cell, left = 64 * preview.ZOOM + preview.GAP, preview.LABEL_WIDTH
    with Image.open(tmp_path / "a.png") as image:
        assert (image.mode, image.size) == ("RGB", (left + 10 * cell, 3 * cell))
        names = np.asarray(image.convert("L"))[:, :left]
    assert (names[:, left - 4 :] == 255).all()
    assert all((names[row * cell : (row + 1) * cell] < 128).sum() > 50 for row in range(3))


def test_a_name_that_the_preview_cannot_write_leaves_the_number_and_no_boxes(excerpt: Dataset) -> None:
    def labels(*names: str) -> bytes:
        return preview.draw_preview(excerpt.train, names).crop((0, 0, preview.LABEL_WIDTH, 60 * len(names))).tobytes()

    assert labels("a", "きもの ki", "two\nlines") == labels("a", "ki", "two lines")
    assert labels("a", "b", "c") != labels("a", "b", "")
    assert labels("0", "1", "2") == labels("", "", "")


def test_info_and_preview_of_images_without_classes(photos: Path, tmp_path: Path) -> None:
    chosen = ("--dataset", "folder", "--data", str(photos / "a"))
    for i in range(COUNT):
        photograph(i).save(photos / f"a/more{i}.png")
    content = json.loads(run("info", *chosen, "--json"))
    assert content["train"]["classes"] == {}
    assert f"{content['train']['count']}" in run("info", *chosen)
    counts = ",".join(str(content[part]["count"]) for part in ("train", "test"))
    assert run("info", *chosen, "--format", "csv") == f"class,name,train,test\n,all,{counts}\n"
    run("preview", *chosen, "--out", str(tmp_path / "a.png"))
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (10 * 60, 10 * 60)
        assert np.asarray(image)[:240].min() < 128


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint64])
def test_info_of_arrays_with_labels_of_any_whole_kind(tmp_path: Path, dtype: type[np.integer]) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((60, 28, 28), np.uint8), labels=(np.arange(60) % 3).astype(dtype))
    content = json.loads(run("info", "--dataset", "npz", "--data", str(tmp_path / "a.npz"), "--json"))
    assert list(content["train"]["classes"]) == ["0", "1", "2"]

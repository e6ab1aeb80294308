"""IDX files under the names that browsers and other programs give them, and --data too deep or too high."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_helpers import EXCERPT, link, spoil

from gan_denoise.data import datasets, sources
from gan_denoise.data.dataset import Dataset
from gan_denoise.data.fashion_mnist import SHA256, find_idx_files, read_dataset
from gan_denoise.errors import InputError


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name,
        lambda name: f"{name}.gz",
        lambda name: name.replace("-idx", ".idx"),
        lambda name: name.replace("-", "_").replace("t10k", "test").upper(),
        lambda name: f"{name} (1).gz",
        lambda name: name.replace("-ubyte", "-ubyte.bin"),
    ],
)
@pytest.mark.row(67)
def test_files_are_recognised_by_their_bytes(
    tmp_path: Path, rename: Callable[[str], str], compressed: bool, excerpt: Dataset
) -> None:
    for name in SHA256:
        content = (EXCERPT / f"{name}.gz").read_bytes()
        (tmp_path / rename(name)).write_bytes(content if compressed else gzip.decompress(content))
    data = read_dataset(tmp_path, "renamed", checked=False)
    np.testing.assert_array_equal(data.train.images, excerpt.train.images)
    np.testing.assert_array_equal(data.test.labels, excerpt.test.labels)
    assert data.sha256 == excerpt.sha256


@pytest.mark.row(67)
def test_other_files_are_no_idx_files(tmp_path: Path) -> None:
    for name in ("train-images.png.txt.py", ".train-images-idx3-ubyte.tmp", "trained-images", "train-imagesets", "x"):
        (tmp_path / name).touch()
    (tmp_path / "t10k-images-idx3-ubyte").mkdir()
    assert set(find_idx_files(tmp_path)) <= {"train-images-idx3-ubyte"}
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + bytes(12))
    with pytest.raises(InputError, match="expected the four IDX files of the data set, got no train-labels"):
        read_dataset(tmp_path, "x", checked=False)


@pytest.mark.parametrize(
    "data",
    [
        *("root", "root/FashionMNIST", "root/FashionMNIST/raw", "root/FashionMNIST/raw/train-images-idx3-ubyte"),
        ".",
    ],
)
@pytest.mark.row(68)
def test_data_may_be_named_too_deep_or_too_high(data: str, bare: Path, real_folder: Path) -> None:
    link(real_folder, bare / "root/FashionMNIST/raw")
    link(real_folder, bare / "root/A/MNIST/raw")  # not what is asked for
    spoil(bare / "root/A/MNIST/raw")
    assert len(sources.load_fashion_mnist(bare / data).test) == 10_000


@pytest.mark.parametrize("data", ["", "KMNIST", "KMNIST/raw", "KMNIST/raw/t10k-labels-idx1-ubyte.gz", ".."])
@pytest.mark.row(68)
def test_other_data_sets_are_found_beside_each_other(data: str, tmp_path: Path) -> None:
    root = tmp_path / "some/root"
    shutil.copytree(EXCERPT, root / "KMNIST/raw")
    (root / "FashionMNIST/raw").mkdir(parents=True)
    (root / "FashionMNIST/raw/train-images-idx3-ubyte").write_bytes(b"damaged")
    assert datasets.load_dataset("kmnist", root / data).classes[0] == "o"


@pytest.mark.row(68)
def test_a_folder_without_the_files_is_named(bare: Path) -> None:
    (bare / "a/b").mkdir(parents=True)
    with pytest.raises(InputError, match=r"a: expected the four IDX files of the data set, got no train-images"):
        sources.load_fashion_mnist(bare / "a")
    with pytest.raises(InputError, match=r"missing: expected a folder with the four files"):
        sources.load_fashion_mnist(bare / "missing")

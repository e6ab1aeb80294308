"""Data sets other than Fashion-MNIST: MNIST, KMNIST, folders, array files; invalid ones are named in the error."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import COUNT, EXCERPT, corrupt, photograph
from PIL import Image

from gan_denoise.data import array_files, datasets, fashion_mnist, mnist
from gan_denoise.data.dataset import Dataset
from gan_denoise.data.datasets import load_dataset
from gan_denoise.data.open_image import crop_and_resize, open_image
from gan_denoise.errors import InputError, UsageError


@pytest.mark.parametrize(
    ("size", "channels", "shape"), [(None, None, (1, 28, 28)), (32, 3, (3, 32, 32)), (64, 1, (1, 64, 64))]
)
def test_a_folder_a_class_becomes_images_of_one_size(
    photos: Path, size: int | None, channels: int | None, shape: tuple[int, ...]
) -> None:
    data = load_dataset("folder", photos, size, channels)
    assert data.train.shape == data.test.shape == shape
    assert (len(data.train), len(data.test), data.classes) == (33, 3, ("a", "b", "c"))
    counts = np.bincount(np.concatenate([data.train.labels, data.test.labels]))
    assert counts.tolist() == [12, 12, 12]
    assert data.held_out is data.test
    assert len(np.unique(data.train.labels[:10])) > 1  # shuffled


def test_a_flat_folder_has_no_classes_and_keeps_images_of_the_size_pixel_for_pixel(tmp_path: Path) -> None:
    for i in range(COUNT):
        photograph(i, 32, 32).save(tmp_path / f"{i:03d}.png")
    data = load_dataset("folder", tmp_path, 32, 3)
    assert data.classes == ()
    images = {image.tobytes() for split in (data.train, data.test) for image in split.images}
    assert images == {np.asarray(photograph(i, 32, 32)).transpose(2, 0, 1).tobytes() for i in range(COUNT)}


def test_an_image_is_cropped_around_its_middle_not_squeezed() -> None:
    wide = np.zeros((32, 96, 3), np.uint8)
    wide[:, 32:64] = 200
    cropped = crop_and_resize(Image.fromarray(wide), 32)
    assert cropped.shape == (3, 32, 32)
    assert (cropped == 200).all()


def test_an_image_is_turned_upright(tmp_path: Path) -> None:
    image = Image.new("L", (40, 20))
    exif = image.getexif()
    exif[0x0112] = 6  # rotated by 90 degrees, as cameras record it
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert open_image(tmp_path / "turned.jpg", 1).size == (20, 40)


def test_the_hash_covers_pixels_and_labels(photos: Path) -> None:
    before = load_dataset("folder", photos).sha256
    assert load_dataset("folder", photos).sha256 == before
    assert load_dataset("folder", photos, 32).sha256 != before
    photograph(99).save(photos / "a/000.png")
    changed = load_dataset("folder", photos).sha256
    assert changed != before
    (photos / "a/000.png").rename(photos / "b/000.png")
    assert load_dataset("folder", photos).sha256 not in (before, changed)


@pytest.mark.parametrize(("size", "channels"), [(30, None), (0, None), (None, 2)])
def test_other_sizes_and_channels_are_usage_errors(photos: Path, size: int | None, channels: int | None) -> None:
    with pytest.raises(UsageError, match=r"--(size|channels): expected (28, 32, 64 or 128|1 or 3), got \d+"):
        load_dataset("folder", photos, size, channels)


# --- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(COUNT, 32, 32), (COUNT, 1, 32, 32), (COUNT, 3, 32, 32), (COUNT, 32, 32, 3)])
def test_arrays_become_the_same_data_set(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(COUNT) % 4)
    data = load_dataset("npz", tmp_path / "a.npz")
    assert data.train.shape == ((3, 32, 32) if 3 in shape else (1, 32, 32))
    assert (len(data.train), len(data.test), data.classes) == (33, 3, ("0", "1", "2", "3"))
    last = shape == (COUNT, 32, 32, 3)
    expected = {image.tobytes() for image in (images.transpose(0, 3, 1, 2) if last else images)}
    assert {image.tobytes() for split in (data.train, data.test) for image in split.images} == expected


def test_arrays_of_another_size_are_resampled_when_asked_to_be(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 40, 50), dtype=np.uint8)
    np.savez_compressed(tmp_path / "a.npz", images=images)
    with pytest.raises(InputError, match="expected images of 28, 32, 64 or 128 pixels a side, got 40x50"):
        load_dataset("npz", tmp_path / "a.npz")
    data = load_dataset("npz", tmp_path / "a.npz", 64, 3)
    assert (data.train.shape, data.classes) == ((3, 64, 64), ())
    assert (data.train.images[:, 0] == data.train.images[:, 2]).all()  # grey in three channels


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"pixels": np.zeros((9, 28, 28), np.uint8)},
            r"expected arrays `images`, `train_images` or `x_train`, got pixels$",
        ),
        (
            {"images": np.zeros((30, 28, 28), np.int32)},
            r"images: expected uint8 .*\(N, H, W\), .*, got int32 \[30, 28, 28\]",
        ),
        ({"images": np.full((30, 28, 28), 255.0)}, r"images: expected floats in \[0, 1\], got 255 to 255"),
        ({"images": np.full((30, 28, 28), np.nan)}, r"images: expected floats in \[0, 1\], got nan to nan"),
        ({"images": np.zeros((30, 2, 28, 28), np.uint8)}, r"got uint8 \[30, 2, 28, 28\]"),
        ({"images": np.zeros((30, 0, 28), np.uint8)}, r"got uint8 \[30, 0, 28\]"),
        ({"images": np.zeros((9, 28, 28), np.uint8)}, "expected 24 images or more, got 9"),
        ({"images": np.array([{}], dtype=object)}, "got an unreadable one"),
        (
            {"images": np.zeros((30, 28, 28), np.uint8), "labels": np.zeros(29, np.int64)},
            r"labels: expected 30 whole numbers .*, got int64 \[29\]",
        ),
        (
            {"images": np.zeros((30, 28, 28), np.uint8), "labels": np.full(30, 256)},
            "expected 30 whole numbers from 0 to 255, got 256 to 256",
        ),
        (
            {"images": np.zeros((30, 28, 28), np.uint8), "labels": np.zeros(30)},
            r"labels: expected .*, got float64 \[30\]",
        ),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_dataset("npz", tmp_path / "a.npz")


def test_a_damaged_array_file_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((30, 28, 28), np.uint8))
    corrupt(tmp_path / "a.npz")
    with pytest.raises(
        InputError, match=r"a\.npz: expected an \.npz file with arrays `images`, .*, got an unreadable one"
    ):
        load_dataset("npz", tmp_path / "a.npz")


def test_an_array_beyond_the_limit_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array_files, "MAX_BYTES", 10_000)
    np.savez_compressed(tmp_path / "a.npz", images=np.zeros((30, 28, 28), np.uint8))
    with pytest.raises(InputError, match="expected arrays of at most 10,000 bytes, got 23,648"):
        load_dataset("npz", tmp_path / "a.npz")


# --- MNIST and KMNIST -------------------------------------------------------------------------------------------------


def test_kuzushiji_mnist_is_read_from_idx_files_in_a_torchvision_root(tmp_path: Path, excerpt: Dataset) -> None:
    shutil.copytree(EXCERPT, tmp_path / "KMNIST/raw")  # well-formed files; the real ones are not available here
    data = load_dataset("kmnist", tmp_path)
    assert data.classes[0] == "o"
    np.testing.assert_array_equal(data.train.images, excerpt.train.images)
    assert data.held_out.images.shape == (33, 28, 28)  # from the training split, since the test split is published
    assert load_dataset("kmnist", tmp_path / "KMNIST/raw", 32).train.shape == (1, 32, 32)


def test_mnist_is_taken_by_its_hashes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(EXCERPT, tmp_path / "MNIST/raw")
    with pytest.raises(
        InputError, match=r"MNIST/raw/train-images-idx3-ubyte: expected MNIST, SHA-256 [0-9a-f]{64}, got [0-9a-f]{64}$"
    ):
        load_dataset("mnist", tmp_path)
    hashes = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in fashion_mnist.read_files(EXCERPT, checked=False).items()
    }
    monkeypatch.setitem(mnist.IDX, "mnist", dataclasses.replace(mnist.IDX["mnist"], sha256=hashes))
    assert load_dataset("mnist", tmp_path).classes == mnist.DIGITS


def test_fashion_mnist_in_the_folder_of_another_is_named(tmp_path: Path) -> None:
    from gan_denoise.data import sources

    (tmp_path / "KMNIST").mkdir()
    (tmp_path / "KMNIST/raw").symlink_to(sources.fetch_fashion_mnist())
    with pytest.raises(InputError, match="expected KMNIST, got Fashion-MNIST"):
        load_dataset("kmnist", tmp_path)


def test_a_missing_data_set_is_named_with_steps_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    monkeypatch.setenv("GAN_DENOISE_CACHE", os.fspath(tmp_path / "cache"))
    with pytest.raises(InputError, match="expected the four IDX files of MNIST, got none") as caught:
        load_dataset("mnist", None)
    assert 'torchvision.datasets.MNIST("DIR", download=True)' in caught.value.hint


def test_fashion_mnist_at_another_size_is_another_data_set() -> None:
    plain, large = load_dataset("fashion-mnist", None), None
    assert plain.train.shape == (1, 28, 28)
    excerpt = fashion_mnist.read_dataset(EXCERPT, "excerpt", checked=False)
    large = datasets.resize_dataset(excerpt, 32, 3)
    assert large.train.shape == (3, 32, 32)
    assert large.sha256 != excerpt.sha256
    assert datasets.resize_dataset(excerpt, 28, 1) is excerpt

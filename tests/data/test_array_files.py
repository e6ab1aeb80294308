"""Data sets in .npz files: the arrays of MedMNIST, Keras and our own; and what is refused."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gan_denoise.data.array_files import check_array_headers, load_array_file
from gan_denoise.data.dataset import split_classifier_fit, split_holdout
from gan_denoise.data.datasets import load_dataset
from gan_denoise.errors import InputError

RNG = np.random.default_rng(0)


def pixels(*shape: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("names", ["{part}_images {part}_labels", "x_{part} y_{part}"], ids=["MedMNIST", "Keras"])
def test_the_arrays_of_others_are_read_with_their_splits(tmp_path: Path, names: str) -> None:
    images = {"train": pixels(30, 28, 28), "val": pixels(7, 28, 28), "test": pixels(9, 28, 28)}
    arrays: dict[str, Any] = {}
    for part, values in images.items():
        image_name, label_name = names.format(part=part).split()
        arrays |= {image_name: values, label_name: np.arange(len(values))[:, None] % 2}  # (N, 1), as MedMNIST has them
    np.savez(tmp_path / "a.npz", **arrays)
    data = load_dataset("npz", tmp_path / "a.npz")
    assert data.published
    assert data.classes == ("0", "1")
    assert data.validation is not None
    for split, part in ((data.train, "train"), (data.validation, "val"), (data.test, "test")):
        labels = {image.tobytes(): i % 2 for i, image in enumerate(images[part])}
        assert {image.tobytes(): label for image, label in zip(split.images, split.labels, strict=True)} == labels
    assert data.held_out is data.validation


def test_arrays_in_the_order_of_their_classes_are_shuffled_so_that_all_are_held_out(tmp_path: Path) -> None:
    train, test = pixels(120, 28, 28), pixels(60, 28, 28)
    labels: dict[str, Any] = {"train_labels": np.repeat([0, 1], 60), "test_labels": np.repeat([0, 1], 30)}
    np.savez(tmp_path / "a.npz", train_images=train, test_images=test, **labels)
    first, again = (load_dataset("npz", tmp_path / "a.npz") for _ in range(2))
    assert set(split_holdout(first.train)[1].labels) == set(split_classifier_fit(first.train)[1].labels) == {0, 1}
    assert set(first.test.labels[:10]) == {0, 1}
    np.testing.assert_array_equal(first.train.images, again.train.images)
    assert first.sha256 == again.sha256


def test_floats_in_0_to_1_become_8_bits_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    levels = pixels(36, 28, 28, 1)
    np.savez(tmp_path / "a.npz", images=levels / 255)
    data = load_dataset("npz", tmp_path / "a.npz")
    assert {image.tobytes() for split in (data.train, data.test) for image in split.images} == {
        image.tobytes() for image in levels[..., 0]
    }
    assert "a.npz, images: floats in [0, 1], rounded to 8 bits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"train_images": (30, 28, 28), "test_images": (5, 32, 32)}, "expected images of one shape"),
        ({"train_images": (9, 28, 28), "test_images": (5, 28, 28)}, "train_images: expected 24 images or more, got 9"),
        ({"x_test": (30, 28, 28)}, "expected arrays `images`, `train_images` or `x_train`"),
        (
            {"images": (30, 28, 28), "test_images": (5, 28, 28)},
            "expected names like images alone, got also test_images",
        ),
        ({"x_train": (30, 28, 28), "x_test": (0, 28, 28)}, "x_test: expected 1 image or more, got 0"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(
    tmp_path: Path, arrays: dict[str, tuple[int, ...]], message: str
) -> None:
    np.savez(tmp_path / "a.npz", **{name: pixels(*shape) for name, shape in arrays.items()})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        load_dataset("npz", tmp_path / "a.npz")


def test_labels_with_gaps_are_classes_of_their_numbers(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=pixels(36, 28, 28), labels=np.arange(36) % 3 * 100)
    data = load_dataset("npz", tmp_path / "a.npz")
    assert data.classes == ("0", "100", "200")
    assert set(data.train.labels.tolist()) == {0, 1, 2}


def test_test_labels_that_were_never_trained_on_are_refused(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {"x_train": pixels(30, 28, 28), "x_test": pixels(5, 28, 28)}
    np.savez(tmp_path / "a.npz", **arrays, y_train=np.arange(30) % 3, y_test=np.arange(5))
    with pytest.raises(InputError, match="y_test: expected labels of y_train, got also 3, 4"):
        load_dataset("npz", tmp_path / "a.npz")


def test_an_empty_validation_split_is_none_and_unused_arrays_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shapes = {"train_images": 30, "test_images": 5, "val_images": 0}
    arrays: dict[str, Any] = {name: pixels(count, 28, 28) for name, count in shapes.items()}
    np.savez(tmp_path / "a.npz", **arrays, weights=np.ones(3))
    data = load_dataset("npz", tmp_path / "a.npz")
    assert data.validation is None
    assert "a.npz: not used: weights" in capsys.readouterr().err


def test_a_member_of_another_kind_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images", b"no array")
    with pytest.raises(InputError, match="images: expected an array, got other bytes"):
        load_dataset("npz", tmp_path / "a.npz")


def test_several_labels_an_image_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", train_images=pixels(30, 28, 28), train_labels=np.zeros((30, 14), np.uint8))
    with pytest.raises(InputError, match=r"train_labels: expected 30 whole numbers .*, got uint8 \[30, 14\]"):
        load_dataset("npz", tmp_path / "a.npz")


def test_labels_of_one_split_alone_are_refused(tmp_path: Path) -> None:
    arrays = {"train_images": pixels(30, 28, 28), "test_images": pixels(5, 28, 28), "test_labels": np.zeros(5, int)}
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="labels of each split, or of none; also train_labels"):
        load_dataset("npz", tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("arrays", "shape"),
    [
        ({"images": (30, 32, 32, 3)}, (3, 32, 32)),
        ({"x_train": (30, 64, 64, 1), "y_train": (30, 1), "x_test": (5, 64, 64), "y_test": (5,)}, (1, 64, 64)),
        ({"train_images": (30, 28, 28), "val_images": (0, 28, 28), "test_images": (2, 28, 28)}, (1, 28, 28)),
    ],
)
@pytest.mark.parametrize("dtype", ["u1", "f4", ">f8"])
def test_headers_alone_give_the_shape(
    tmp_path: Path, arrays: dict[str, tuple[int, ...]], shape: tuple[int, ...], dtype: str
) -> None:
    of_kind = {name: np.zeros(sides, "i8" if name[0] == "y" else dtype) for name, sides in arrays.items()}
    np.savez_compressed(tmp_path / "a.npz", **of_kind)  # type: ignore[arg-type]
    assert check_array_headers(tmp_path / "a.npz") == shape == load_dataset("npz", tmp_path / "a.npz").train.shape


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pixels": np.zeros((30, 28, 28), np.uint8)}, "expected arrays `images`, .*, got pixels$"),
        ({"images": np.zeros((30, 28, 28), np.int64)}, r"images: expected uint8 .*, got int64 \[30, 28, 28\]"),
        ({"images": np.zeros((9, 28, 28), np.uint8)}, "expected 24 images or more, got 9"),
        ({"images": np.array([{}] * 30)}, "expected an .npz file .*, got an unreadable one"),
        (
            {"images": np.zeros((30, 28, 28), np.uint8), "labels": np.zeros(29, int)},
            r"labels: expected 30 whole numbers from 0 to 255, got int64 \[29\]",
        ),
        (
            {"images": np.zeros((30, 28, 28), np.uint8), "labels": np.zeros(30)},
            r"labels: expected 30 whole numbers from 0 to 255, got float64 \[30\]",
        ),
        (
            {"x_train": np.zeros((30, 28, 28), np.uint8), "x_test": np.zeros((5, 32, 32))},
            "expected images of one shape",
        ),
    ],
)
def test_headers_that_show_no_images_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    for read in (check_array_headers, load_array_file):
        with pytest.raises(InputError, match=message) as caught:
            read(tmp_path / "a.npz")
        assert caught.value.hint


def test_a_header_that_claims_more_than_the_file_holds_is_refused_in_little_memory(tmp_path: Path) -> None:
    header = io.BytesIO()
    claim = {"descr": "|u1", "fortran_order": False, "shape": (10**12, 28, 28)}
    np.lib.format.write_array_header_1_0(header, claim)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue() + bytes(784))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"got an unreadable one .*not as many bytes as its header says"):
            check_array_headers(tmp_path / "a.npz")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()

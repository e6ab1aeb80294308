"""Data sets as others keep them: CIFAR-10, CSV labels, crops; and what is refused."""

from __future__ import annotations

import pickle
import unicodedata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from data_helpers import photograph
from PIL import Image

from gan_denoise.data import cifar10
from gan_denoise.data.dataset_options import DatasetOptions
from gan_denoise.data.datasets import load_dataset, load_images
from gan_denoise.data.open_image import RANDOM_CROPS, cut_squares
from gan_denoise.errors import InputError, UsageError

Form = Literal["NFC", "NFD"]
RNG = np.random.default_rng(0)


def pixels(*shape: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


# --- CIFAR-10 --------------------------------------------------------------------------------------------------------


@pytest.fixture
def batches(tmp_path: Path) -> Path:
    """Files in the layout of torchvision's, with 10 images each, pickled as Python 2 did."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in (*cifar10.TRAIN_MD5, *cifar10.TEST_MD5):
        content = {b"batch_label": name.encode(), b"labels": list(range(10)), b"data": pixels(10, 3072)}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return folder


def test_cifar_10_is_read_from_batches_in_a_torchvision_root(batches: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = load_dataset("cifar10", batches.parent)
    assert (len(data.train), len(data.test), data.train.shape) == (50, 10, (3, 32, 32))
    assert data.classes[:2] == ("airplane", "automobile")
    first = pickle.loads((batches / "data_batch_1").read_bytes())
    np.testing.assert_array_equal(data.train.images[:10].reshape(10, -1), first[b"data"])
    np.testing.assert_array_equal(data.train.labels[:10], first[b"labels"])
    assert "data_batch_1: not the published file" in capsys.readouterr().err


class Runs:
    """A pickle of this would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.mkdir, (str(self.path),)


class Claims:
    """A pickle of this would make an array of memory that nobody has written."""

    def __reduce__(self) -> tuple[Any, ...]:
        return np.ndarray, ((10, 3072), "uint8")


def test_an_array_without_content_is_refused(batches: Path) -> None:
    content = {b"labels": list(range(10)), b"data": Claims()}
    (batches / "test_batch").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(InputError, match="test_batch: expected a pickled batch of images, got a damaged one"):
        load_dataset("cifar10", batches)


def test_code_in_a_batch_never_runs(batches: Path, tmp_path: Path) -> None:
    content = {b"labels": list(range(10)), b"data": pixels(10, 3072), b"more": Runs(tmp_path / "made")}
    (batches / "data_batch_3").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(InputError, match=r"data_batch_3: expected arrays and bytes alone, got posix\.mkdir"):
        load_dataset("cifar10", batches)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a pickled batch of images, got a damaged one"),
        (b"garbage", "expected a pickled batch of images, got a damaged one"),
        (pickle.dumps([1, 2], protocol=2), "expected a pickled batch of images"),
        (pickle.dumps({b"labels": [0]}, protocol=2), r"data: expected uint8 \(N, 3072\), got NoneType"),
        (pickle.dumps({b"data": np.zeros((2, 3072)), b"labels": [0, 0]}, protocol=2), "data: expected uint8"),
        (
            pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]}, protocol=2),
            "labels: expected 2 labels",
        ),
        (
            pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}, protocol=2),
            "labels: expected 1 labels from 0 to 9",
        ),
    ],
)
def test_a_damaged_batch_is_named(batches: Path, content: bytes, message: str) -> None:
    (batches / "test_batch").write_bytes(content)
    with pytest.raises(InputError, match=f"test_batch.*{message}"):
        load_dataset("cifar10", batches)


@pytest.mark.parametrize("names", [("train", "test"), ("Train", "TEST")])
def test_cifar_10_as_folders_of_files_keeps_its_name(tmp_path: Path, names: tuple[str, str]) -> None:
    for part, count in zip(names, (12, 3), strict=True):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(count):
                photograph(i + 50 * (name == "dog") + 100 * (count == 3)).save(tmp_path / part / name / f"{i}.png")
    data = load_dataset("cifar10", tmp_path)
    assert (data.name, data.classes, data.train.shape, data.published) == ("cifar10", ("cat", "dog"), (3, 32, 32), True)
    with pytest.raises(InputError, match="expected cifar-10-batches-py, or folders train and test"):
        load_dataset("cifar10", tmp_path / names[0])


# --- folders ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    folder = tmp_path / "flat"
    folder.mkdir()
    for i in range(40):
        photograph(i).save(folder / f"{i:02d}.png")
    return folder


def test_labels_come_from_a_csv_file(flat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{i:02d}.png,{'odd' if i % 2 else 'even'},{'test' if i < 6 else 'train'}" for i in range(38)]
    (tmp_path / "labels.csv").write_text("filename,class,split\n" + "\n".join(rows) + "\n")
    data = load_images(DatasetOptions("folder", flat, 32, labels=tmp_path / "labels.csv"))
    assert (data.classes, len(data.train), len(data.test)) == (("even", "odd"), 32, 6)
    assert sorted(data.test.labels.tolist()) == [0, 0, 0, 1, 1, 1]
    assert "2 file without label" in capsys.readouterr().err


@pytest.mark.parametrize("header", ["file;label", "\ufefffile\tlabel", ",file,label", '"file", "label"'])
def test_files_of_labels_from_other_programs_are_read(flat: Path, tmp_path: Path, header: str) -> None:
    mark = next((mark for mark in (";", "\t") if mark in header), ",")
    index = header.startswith(",")  # as pandas writes it
    rows = [mark.join([*([str(i)] if index else []), f"{i:02d}.png", f"c{i % 2}"]) for i in range(40)]
    (tmp_path / "labels.csv").write_text("\r\n".join([header, *rows]), encoding="utf-8")
    data = load_images(DatasetOptions("folder", flat, 32, labels=tmp_path / "labels.csv"))
    assert (data.classes, len(data.train) + len(data.test)) == (("c0", "c1"), 40)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n00.png,x\n", "expected columns file and label, got a, b"),
        ("", "expected columns file and label, got none"),
        ("file,label\n", "expected a line for each image, got none"),
        ("file,label\n00.png,\n", "line 2: expected a file and a label, got an empty cell"),
        ("file,label\nmissing.png,x\n", r"line 2: .*missing\.png: not found"),
        ("file,label\n../x.png,x\n", r"line 2: expected a file below .*, got \.\./x\.png"),
        ("file,label\n00.png,x\n./00.png,y\n", r"line 3: expected each file once, got \./00\.png, which line 2"),
        (
            "file,label,split\n00.png,x,train\n01.png,y,train\n02.png,x,test\n",
            "expected each label in the split test, got no y",
        ),
        ("file,label,split\n00.png,x,holdout\n", "line 2: expected a split train, val or test, got holdout"),
        ("file,label,split\n00.png,x,test\n", "expected images of the split train, got test"),
    ],
)
def test_a_file_of_labels_that_does_not_fit_is_refused_by_its_line(
    flat: Path, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        load_images(DatasetOptions("folder", flat, 32, labels=tmp_path / "labels.csv"))


@pytest.mark.parametrize(("on_disk", "in_file"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_files_are_named_in_either_unicode_form(tmp_path: Path, on_disk: Form, in_file: Form) -> None:
    names = [f"é/{i:02d} ü.png" for i in range(24)]
    for i, name in enumerate(names):
        path = tmp_path / unicodedata.normalize(on_disk, name)
        path.parent.mkdir(exist_ok=True)
        photograph(i).save(path)
    rows = [f"{unicodedata.normalize(in_file, name)},{'ab'[i % 2]}" for i, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows]), encoding="utf-8")
    data = load_images(DatasetOptions("folder", tmp_path, 32, labels=tmp_path / "labels.csv"))
    assert (data.classes, len(data.train) + len(data.test)) == (("a", "b"), 24)
    (tmp_path / "labels.csv").write_text("file,label\ne/00 u.png,a\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2: .*e/00 u\.png: not found"):
        load_images(DatasetOptions("folder", tmp_path, 32, labels=tmp_path / "labels.csv"))


def test_test_images_may_be_in_another_folder(flat: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for i in range(7):
        photograph(200 + i).save(other / f"{i}.png")
    data = load_images(DatasetOptions("folder", flat, 32, test=other))
    assert (len(data.train), len(data.test), data.published) == (40, 7, True)
    (other / "a").mkdir()
    with pytest.raises(InputError, match="expected the classes of"):
        load_images(DatasetOptions("folder", flat, 32, test=classes_in(tmp_path / "classes")))


def classes_in(folder: Path) -> Path:
    (folder / "a").mkdir(parents=True)
    photograph(1).save(folder / "a" / "0.png")
    return folder


def test_squares_are_cut_at_the_middle_at_random_or_squeezed() -> None:
    image = Image.fromarray(np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[None], 60, axis=0))  # 100x60, darker left
    (centre,), (squeezed,) = (cut_squares(image, 20, crop, 0) for crop in ("centre", "resize"))
    assert (centre.min() > 30, squeezed.min() < 10, squeezed.max() > 190) == (True, True, True)
    squares = cut_squares(image, 20, "random", 3)
    assert len(squares) == RANDOM_CROPS
    assert len({square.tobytes() for square in squares}) > 1
    for square, again in zip(squares, cut_squares(image, 20, "random", 3), strict=True):
        np.testing.assert_array_equal(square, again)
    assert len(cut_squares(image, 31, "random", 0)) == 1  # not twice as large


def test_random_squares_of_one_photograph_are_on_one_side(flat: Path) -> None:
    for i in range(26):
        photograph(i, 90, 70).save(flat / f"{i:02d}.png")
    data = load_images(DatasetOptions("folder", flat, 32, crop="random"))
    assert len(data.train) + len(data.test) == 26 * RANDOM_CROPS + 14
    assert "images of one source or near-duplicates were kept on one side" in data.split


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (DatasetOptions("npz", Path("x.npz"), crop="random"), "--crop: expected --dataset folder with it"),
        (DatasetOptions("mnist", labels=Path("x.csv")), "--labels: expected --dataset folder with it"),
        (DatasetOptions("folder"), "--data: expected the path of the images, for --dataset folder, got none"),
        (DatasetOptions("folder", Path("x"), 48), "--size: expected 28, 32, 64 or 128, got 48"),
    ],
)
def test_options_that_a_data_set_does_not_have_are_usage_errors(options: DatasetOptions, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_images(options)


def test_options_are_written_and_read_again(tmp_path: Path) -> None:
    options = DatasetOptions("folder", tmp_path, 64, 3, "random", True, tmp_path / "t", tmp_path / "l.csv")
    assert DatasetOptions.from_json(options.to_json()) == options
    assert options.arguments()[:4] == ["--dataset", "folder", "--data", str(tmp_path)]
    assert "--flip" in options.arguments()
    assert DatasetOptions().to_json() == {}
    assert DatasetOptions().arguments() == []
    moved = DatasetOptions("folder", tmp_path, labels=tmp_path / "l.csv", test=Path("/t")).moved(Path("/new"))
    assert (moved.path, moved.labels, moved.test) == (Path("/new"), Path("/new/l.csv"), Path("/t"))


@pytest.mark.parametrize(
    "values",
    [
        {"pathh": "x"},
        {"name": ["npz"]},
        {"name": "nonsense"},
        {"size": "28"},
        {"size": True},
        {"path": "a\0b"},
        {"path": 5},
        {"crop": "middle"},
        {"flip": 1.5},
    ],
)
def test_recorded_options_of_other_kinds_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="images: expected the options of a data set, got "):
        DatasetOptions.from_json(values)

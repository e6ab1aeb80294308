"""Folders as data sets: classes, published splits, folders around them, and what systems leave in them."""

from __future__ import annotations

import json
import os
import subprocess
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from command_helpers import COLD, run_command
from data_helpers import photograph

from gan_denoise.data.datasets import load_dataset
from gan_denoise.errors import InputError


def fill(folder: Path, count: int, first: int = 0) -> None:
    folder.mkdir(parents=True)
    for i in range(first, first + count):
        photograph(i).save(folder / f"{i:03d}.png")


@pytest.mark.row(58)
def test_what_systems_leave_is_no_class(photos: Path) -> None:
    for name in ("__MACOSX/a", "@eaDir", "lost+found", ".ipynb_checkpoints"):
        (photos / name).mkdir(parents=True)
        (photos / name / "._x.png").write_bytes(b"\0\5\26\7")
    (photos / "Thumbs.db").touch()
    assert load_dataset("folder", photos).classes == ("a", "b", "c")
    done = run_command("data", "info", "--dataset", "folder", "--data", photos, check=True)
    assert f"{photos}: skipped 7 hidden or system files" in done.stderr
    assert done.stderr.count("skipped") == 1
    assert "1 other file (notes.txt)" in done.stderr


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "TEST"), ("train", "Val")])
@pytest.mark.row(58)
def test_train_and_test_are_the_published_split(tmp_path: Path, names: tuple[str, str]) -> None:
    train, test = (tmp_path / name for name in names)
    for i, label in enumerate("ab"):
        fill(train / label, 12 + i, 100 * i)
        fill(test / label, 3, 500 + 100 * i)
    (tmp_path / "README.md").touch()
    data = load_dataset("folder", tmp_path, 28, 3)
    assert data.published
    assert data.classes == ("a", "b")
    assert np.bincount(data.train.labels).tolist() == [12, 13]
    assert np.bincount(data.test.labels).tolist() == [3, 3]
    assert len(set(data.train.labels[:8])) == 2  # shuffled, so that the end of it is a mixture as well
    assert data.held_out.images.tobytes() == data.train.images[-2:].tobytes()


@pytest.mark.row(58)
def test_val_is_used_for_validation_and_counts_for_the_hash(tmp_path: Path) -> None:
    for i, (name, count) in enumerate((("train", 24), ("valid", 5), ("test", 4))):
        fill(tmp_path / name, count, 100 * i)
    data = load_dataset("folder", tmp_path)
    assert (len(data.train), len(data.test), len(data.held_out), data.classes) == (24, 4, 5, ())
    assert data.held_out is data.validation
    resized = load_dataset("folder", tmp_path, 32)
    assert resized.held_out.shape == (1, 32, 32)
    photograph(999).save(tmp_path / "valid/100.png")
    assert load_dataset("folder", tmp_path).sha256 != data.sha256


@pytest.mark.row(58)
def test_classes_that_differ_between_splits_are_named(tmp_path: Path) -> None:
    for name, count in (("train/a", 12), ("train/b", 12), ("test/a", 2), ("test/c", 2)):
        fill(tmp_path / name, count)
    with pytest.raises(InputError, match=r"test: expected the classes of .*train, got no b; also c$"):
        load_dataset("folder", tmp_path)


@pytest.mark.row(58)
def test_a_split_that_is_too_small_or_laid_out_otherwise_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "train/a", 12)
    fill(tmp_path / "test", 2)
    with pytest.raises(InputError, match=r"test: expected the classes of .*train, got image files .* directly in it"):
        load_dataset("folder", tmp_path)
    fill(tmp_path / "other/train", 12)
    fill(tmp_path / "other/test", 2)
    with pytest.raises(InputError, match=r"other/train: expected 24 images or more, got 12"):
        load_dataset("folder", tmp_path / "other")
    (tmp_path / "empty/train").mkdir(parents=True)
    (tmp_path / "empty/test").mkdir()
    with pytest.raises(InputError, match=r"empty/train: expected image files .*, got none"):
        load_dataset("folder", tmp_path / "empty")


@pytest.mark.row(58)
def test_classes_may_be_called_train_beside_others(tmp_path: Path) -> None:
    for name in ("train", "car"):
        fill(tmp_path / name, 12)
    data = load_dataset("folder", tmp_path)
    assert data.classes == ("car", "train")
    assert not data.published


@pytest.mark.row(58)
def test_a_folder_around_the_data_set_is_passed_through(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "around/photos").parent.mkdir()
    photos.rename(tmp_path / "around/photos")
    (tmp_path / "around/__MACOSX").mkdir()
    assert load_dataset("folder", tmp_path / "around").classes == ("a", "b", "c")


@pytest.mark.row(59)
def test_a_folder_of_unsupported_images_says_what_they_are(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.HEIC").touch()
    with pytest.raises(InputError, match=r"expected image files .*, got none; skipped 3 HEIC files \(.*\)") as caught:
        load_dataset("folder", tmp_path)
    assert "convert it to PNG first" in caught.value.hint


@pytest.mark.row(58)
def test_a_folder_beside_train_and_test_is_named(tmp_path: Path) -> None:
    for name in ("train/a", "train/b", "test/a", "test/b", "unlabelled"):
        fill(tmp_path / name, 12)
    with pytest.raises(InputError, match=r"no other folders beside train, test and val, got also unlabelled$"):
        load_dataset("folder", tmp_path)


@pytest.mark.row(58)
def test_class_names_and_hash_do_not_depend_on_the_unicode_form_or_the_locale(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        fill(tmp_path / form / unicodedata.normalize(form, "é"), 12)
        fill(tmp_path / form / "f", 12, 100)
    nfc, nfd = (load_dataset("folder", tmp_path / form) for form in ("NFC", "NFD"))
    assert nfc.classes == nfd.classes == ("f", "é")
    assert nfc.sha256 == nfd.sha256
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [*COLD, "data", "info", "--dataset", "folder", "--data", str(tmp_path / "NFC"), "--json"]
    done = subprocess.run(command, env={**os.environ, **locale}, capture_output=True, check=True, timeout=60)
    assert nfc.sha256 in json.dumps(json.loads(done.stdout))


@pytest.mark.row(58)
def test_two_classes_whose_names_look_the_same_are_refused(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        fill(tmp_path / unicodedata.normalize(form, "é"), 12)
    if len(os.listdir(tmp_path)) < 2:
        pytest.skip("this file system keeps one form")
    with pytest.raises(InputError, match="é twice, as NFC and as NFD"):
        load_dataset("folder", tmp_path)


@pytest.mark.parametrize("name", ["train", "TRAIN"])
@pytest.mark.row(58)
def test_a_folder_train_alone_is_no_class(tmp_path: Path, name: str) -> None:
    for label in "ab":
        fill(tmp_path / "classes" / name / label, 12, 100 * (label == "b"))
    data = load_dataset("folder", tmp_path / "classes")
    assert (data.classes, data.published, len(data.test)) == (("a", "b"), False, 2)
    fill(tmp_path / "flat" / name, 24)
    data = load_dataset("folder", tmp_path / "flat")
    assert (data.classes, data.published, len(data.test)) == ((), False, 2)
    fill(tmp_path / "one/cats", 24)
    assert load_dataset("folder", tmp_path / "one").classes == ("cats",)

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float
from gan_denoise.errors import InputError
from gan_denoise.eval.inputs import load_image_sets, read_recorded_images
from gan_denoise.export import writers


@pytest.fixture(scope="module")
def batches(excerpt: Dataset) -> list[tuple[np.ndarray, np.ndarray]]:
    """What `generate` writes: raw and denoised images, here real ones, in two batches."""
    image, denoised = (to_float(part.images[:7]) for part in (excerpt.test, excerpt.train))
    return [(image[:4], denoised[:4]), (image[4:], denoised[4:])]


@pytest.mark.parametrize("name", ["images.npz", "folder"])
def test_what_generate_writes_is_read_back(
    tmp_path: Path, name: str, batches: list[tuple[np.ndarray, np.ndarray]], excerpt: Dataset
) -> None:
    writers.writer_for(tmp_path / name)(batches, tmp_path / name)
    sets = load_image_sets(tmp_path / name)
    names = (
        ["denoised", "image"] if name.endswith(".npz") else [str(tmp_path / name / s) for s in ("denoised", "image")]
    )
    assert sorted(sets) == names
    np.testing.assert_array_equal(sets[names[1]], excerpt.test.images[:7])
    np.testing.assert_array_equal(sets[names[0]], excerpt.train.images[:7])


def test_a_folder_of_images_is_one_set_in_the_order_of_their_names(tmp_path: Path, excerpt: Dataset) -> None:
    for i in (2, 0, 1):
        Image.fromarray(excerpt.test.images[i]).save(tmp_path / f"{i:03d}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    sets = load_image_sets(tmp_path)
    assert list(sets) == [str(tmp_path)]
    np.testing.assert_array_equal(sets[str(tmp_path)], excerpt.test.images[:3])


def test_arrays_of_bytes_are_used_unchanged(tmp_path: Path, excerpt: Dataset) -> None:
    np.savez(tmp_path / "a.npz", mine=excerpt.test.images)
    np.testing.assert_array_equal(load_image_sets(tmp_path / "a.npz")["mine"], excerpt.test.images)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((9, 32, 32), np.uint8), r"a\.npz, x: expected uint8 \(N, 28, 28\) or .*, got uint8 \[9, 32, 32\]"),
        (np.zeros((9, 1, 28, 28), np.uint8), r"got uint8 \[9, 1, 28, 28\]"),
        (np.zeros((9, 1, 28, 28), np.float64), r"got float64 \[9, 1, 28, 28\]"),
        (np.full((9, 1, 28, 28), 2, np.float32), r"expected values in \[0, 1\], got 2\.0 to 2\.0"),
        (np.full((9, 1, 28, 28), np.nan, np.float32), r"expected values in \[0, 1\], got nan"),
        (np.array([{}], dtype=object), "unreadable"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path: Path, array: np.ndarray, said: str) -> None:
    np.savez(tmp_path / "a.npz", x=array)
    with pytest.raises(InputError, match=said):
        load_image_sets(tmp_path / "a.npz")


def test_what_is_not_there_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.npz: not found"):
        load_image_sets(tmp_path / "missing.npz")
    with pytest.raises(InputError, match=r"expected image files \(.*\), got none"):
        load_image_sets(tmp_path)
    np.save(tmp_path / "a.npy", np.zeros((9, 28, 28), np.uint8))
    with pytest.raises(
        InputError, match=r"expected an \.npz file or a folder of image files, got another kind of file"
    ):
        load_image_sets(tmp_path / "a.npy")
    np.savez(tmp_path / "empty.npz")
    with pytest.raises(InputError, match="expected one or more arrays, got none"):
        load_image_sets(tmp_path / "empty.npz")
    Image.new("RGB", (28, 28), "red").save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: expected a grey image, as the model needs, got one with colours"):
        load_image_sets(tmp_path)
    Image.new("L", (32, 32)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="expected 28x28 pixels, got 32x32"):
        load_image_sets(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000, '{"size": "big"}', '{"name": "nonsense"}'])
def test_a_damaged_record_of_the_images_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "images.json").write_text(content)
    with pytest.raises(InputError, match=r"images\.json: expected the images that the model was trained on") as caught:
        read_recorded_images(tmp_path)
    assert caught.value.hint.startswith("--data PATH says where the images are now")


def test_a_pipe_in_the_place_of_the_record_is_not_waited_for(tmp_path: Path) -> None:
    assert read_recorded_images(tmp_path) is None
    os.mkfifo(tmp_path / "images.json")
    with pytest.raises(InputError, match="expected a regular file, got a pipe"):
        read_recorded_images(tmp_path)

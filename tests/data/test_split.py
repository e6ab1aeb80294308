"""The test split that is taken from a folder's images: one source, and near-duplicates, stay on one side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_helpers import photograph

from gan_denoise.data import split
from gan_denoise.data.datasets import load_dataset
from gan_denoise.data.images import ImagesU8
from gan_denoise.data.split import find_groups, near_duplicates, source_name, split_groups

SIDE = 32


def noise_images(count: int, seed: int = 0) -> ImagesU8:
    """Images that have nothing in common."""
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("street_crop3", "street"),
        ("street-tile-0-2", "street"),
        ("IMG_0012_3", "IMG_0012"),
        ("2021-05-03_7", "2021-05-03"),
        ("IMG_0012", "IMG_0012"),
        ("street", "street"),
        ("0007", "0007"),
        ("crop3", "crop3"),
    ],
)
def test_a_number_after_the_source_is_that_of_a_part(name: str, source: str) -> None:
    assert source_name(Path("root/a") / f"{name}.jpg", Path("root")) == f"a/{source}"


def test_parts_of_one_photograph_are_on_one_side(tmp_path: Path) -> None:
    for i in range(12):
        whole = photograph(i, 96, 96)
        for part in range(4):
            whole.crop((16 * part, 0, 16 * part + 40, 40)).save(tmp_path / f"shot{i:02d}_crop{part}.png")
    data = load_dataset("folder", tmp_path, 32)
    assert (len(data.test), len(data.train)) == (4, 44)
    assert data.split.startswith("4 of 48 images, chosen at random")
    assert "48 images of one source" in data.split
    crops = {(tmp_path / f"shot{i:02d}_crop{part}.png"): i for i in range(12) for part in range(4)}
    by_content = {load_one(path).tobytes(): i for path, i in crops.items()}
    of_test = {by_content[image.tobytes()] for image in data.test.images}
    assert len(of_test) == 1
    assert of_test.isdisjoint({by_content[image.tobytes()] for image in data.train.images})


def load_one(path: Path) -> ImagesU8:
    from gan_denoise.data.open_image import crop_and_resize, open_image

    return crop_and_resize(open_image(path, 1), 32)


def test_brighter_and_noisier_copies_are_near_duplicates_and_other_images_are_not() -> None:
    images = noise_images(6).astype(np.int64)
    smooth = np.stack([np.kron(image[:8, :8], np.ones((4, 4), np.int64)) for image in images])
    copies = np.clip(smooth[:2] * 0.8 + 20 + np.random.default_rng(1).normal(0, 4, (2, SIDE, SIDE)), 0, 255)
    both = np.concatenate([smooth, copies]).astype(np.uint8)
    assert near_duplicates(both) == [(0, 6), (1, 7)]
    assert near_duplicates(both[6:], both[:6]) == [(0, 0), (1, 1)]
    assert near_duplicates(np.zeros((3, SIDE, SIDE), np.uint8)) == []  # of one colour: similar to none


def test_a_copy_is_on_the_side_of_its_image() -> None:
    images = noise_images(40)
    images[20:] = images[:20]
    groups, grouped = find_groups(images)
    train, test = split_groups(groups, 4)
    assert grouped == 40
    assert len(test) == 4
    assert {index % 20 for index in test.tolist()}.isdisjoint({index % 20 for index in train.tolist()})


def test_images_without_groups_are_split_as_at_random_with_a_fixed_seed() -> None:
    groups, grouped = find_groups(noise_images(48))
    train, test = split_groups(groups, 4)
    order = np.random.default_rng(0).permutation(48)
    assert grouped == 0
    assert (test.tolist(), train.tolist()) == (order[:4].tolist(), order[4:].tolist())


def test_a_name_that_all_images_share_is_no_source() -> None:
    groups, grouped = find_groups(noise_images(30), ["photo"] * 29 + ["other"])
    assert (len(set(groups.tolist())), grouped) == (30, 0)


def test_images_that_are_all_alike_still_get_a_test_split() -> None:
    groups = np.zeros(24, np.int64)
    assert len(split_groups(groups, 2)[1]) == 2


def test_too_many_images_are_not_compared_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "MAX_COMPARED", 10)
    images = noise_images(12)
    images[1] = images[0]
    assert near_duplicates(images) == []
    assert split.describe_split(1, 12, 0).endswith("; not searched for near-duplicates")
    assert split.describe_published_split(images, images).endswith("not searched for near-duplicates")


def test_a_given_split_is_searched_for_test_images_among_the_training_images(tmp_path: Path) -> None:
    for i in range(30):
        for part in ("train", "test"):
            (tmp_path / part).mkdir(exist_ok=True)
            if part == "train" or i < 5:
                photograph(i if i < 2 else i + 100 * (part == "test")).save(tmp_path / part / f"{i}.png")
    data = load_dataset("folder", tmp_path, 32)
    assert data.split == "as given; 2 of 5 test images have a near-duplicate among the training images"

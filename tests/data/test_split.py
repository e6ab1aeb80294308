"""The test split that is taken from a folder's images: one source, and near-duplicates, stay on one side."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from data_helpers import photograph
from numpy.typing import NDArray

from gan_denoise.data import split, split_cache
from gan_denoise.data.datasets import load_dataset
from gan_denoise.data.images import ImagesU8
from gan_denoise.data.split import find_groups, has_near_duplicate, source_names, split_groups

SIDE = 32


def noise_images(count: int, seed: int = 0) -> ImagesU8:
    """Images that have nothing in common."""
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)


def test_a_number_after_the_source_is_that_of_a_part() -> None:
    stems = ["street_crop3", "street-tile-0-2", "IMG_0012_3", "2021-05-03_7", "IMG_0012", "street", "0007", "crop3"]
    sources = ["street", "street", "IMG_0012", "2021-05-03", "a/IMG_0012", "a/street", "a/0007", "a/crop3"]
    assert source_names(stems, "a") == sources


def test_a_name_that_most_files_of_a_class_share_is_that_of_the_class() -> None:
    stems = [f"n01440764_{i}" for i in range(9)]
    assert len(set(source_names(stems, "fish"))) == 9
    crops = [f"slide_patch_{i}" for i in range(9)]
    assert set(source_names(crops, "fish")) == {"slide"} == set(source_names(crops, "bird"))  # crops are crops


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
    groups, grouped = find_groups(both)
    assert grouped == 4
    assert [groups[i] for i in (6, 7)] == [groups[0], groups[1]]
    assert len(set(groups.tolist())) == 6
    assert has_near_duplicate(both[[6, 3, 7]], both[:3]).tolist() == [True, False, True]
    assert not has_near_duplicate(np.zeros((3, SIDE, SIDE), np.uint8), np.zeros((2, SIDE, SIDE), np.uint8)).any()


def test_many_images_that_are_alike_are_one_group_in_little_memory() -> None:
    gradient = np.add.outer(np.arange(SIDE), np.arange(SIDE)) * 3
    noise = np.random.default_rng(0).integers(-3, 4, (1500, SIDE, SIDE))
    images = (gradient + 10 + noise).astype(np.uint8)
    tracemalloc.start()
    groups, grouped = find_groups(images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(set(groups.tolist())), grouped) == (1, 1500)
    assert peak < 60e6  # all pairs as tuples would take 100 MB and more


def test_a_copy_is_on_the_side_of_its_image() -> None:
    images = noise_images(40)
    images[20:] = images[:20]
    groups, grouped = find_groups(images)
    train, test, is_whole = split_groups(groups, 4)
    assert (grouped, is_whole) == (40, True)
    assert len(test) == 4
    assert {index % 20 for index in test.tolist()}.isdisjoint({index % 20 for index in train.tolist()})


def test_images_without_groups_are_split_as_at_random_with_a_fixed_seed() -> None:
    groups, grouped = find_groups(noise_images(48))
    train, test, _ = split_groups(groups, 4)
    order = np.random.default_rng(0).permutation(48)
    assert grouped == 0
    assert (test.tolist(), train.tolist()) == (order[:4].tolist(), order[4:].tolist())


def test_large_groups_stay_whole_and_the_smallest_is_tested() -> None:
    groups = np.repeat(np.arange(6), (100, 100, 90, 100, 100, 100))
    train, test, is_whole = split_groups(groups, 49)
    assert is_whole
    assert set(groups[test].tolist()) == {2}
    assert 2 not in groups[train]


def test_images_of_one_source_get_a_test_split_that_says_so() -> None:
    train, test, is_whole = split_groups(np.zeros(24, np.int64), 2)
    assert (len(train), len(test), is_whole) == (22, 2, False)
    assert "images like those tested were trained on" in split.describe_split(2, 24, 24, is_whole)


def test_too_many_images_are_not_compared_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "MAX_COMPARED", 10)
    images = noise_images(12)
    images[1] = images[0]
    assert find_groups(images)[1] == 0
    assert split.describe_split(1, 12, 0, True).endswith("; not searched for near-duplicates")
    assert split.describe_published_split(images, images).endswith("not searched for near-duplicates")


def test_a_given_split_is_searched_for_test_images_among_the_training_images(tmp_path: Path) -> None:
    for i in range(30):
        for part in ("train", "test"):
            (tmp_path / part).mkdir(exist_ok=True)
            if part == "train" or i < 5:
                photograph(i if i < 2 else i + 100 * (part == "test")).save(tmp_path / part / f"{i}.png")
    data = load_dataset("folder", tmp_path, 32)
    assert data.split == "as given; 2 of 5 test images have a near-duplicate among the training images"


# --- the cache -------------------------------------------------------------------------------------------------------


@pytest.fixture
def searches(bare: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of thumbnails that each search made, on a machine whose cache keeps the result of any search."""
    counts: list[int] = []
    make = split._thumbnails

    def counted(images: ImagesU8) -> NDArray[np.float32]:
        counts.append(len(images))
        return make(images)

    monkeypatch.setattr(split, "_thumbnails", counted)
    monkeypatch.setattr(split_cache, "MIN_KEPT", 1)
    return counts


def doubled() -> ImagesU8:
    images = noise_images(40)
    images[20:26] = images[:6]
    images[26] = images[0]
    return images


def test_near_duplicates_are_searched_once_for_the_same_images(bare: Path, searches: list[int]) -> None:
    images, sources = doubled(), [f"s{i // 2}" for i in range(40)]
    first, again = find_groups(images), find_groups(images)
    assert searches == [40]
    assert first[1] == again[1] == 13
    assert first[0].tolist() == again[0].tolist()
    (file,) = (bare / "cache/near-duplicates").iterdir()
    assert file.stat().st_size < 1_000
    with_sources = find_groups(images, sources)[0]  # other sources need no other search
    assert searches == [40]
    assert with_sources[0] == with_sources[1] == with_sources[20] == with_sources[21] == with_sources[26]
    assert len(set(with_sources.tolist())) == 20 - 4  # 3 pairs of pairs, and 26 with its own
    images[5, 0, 0] ^= 1
    assert find_groups(images)[1] == 13
    assert searches == [40, 40]


def test_a_given_split_is_searched_once(bare: Path, searches: list[int]) -> None:
    images = doubled()
    said = [split.describe_published_split(images[:20], images[20:]) for _ in range(2)]
    assert said == ["as given; 7 of 20 test images have a near-duplicate among the training images"] * 2
    assert searches == [20, 20]
    assert "no test image has" in split.describe_published_split(images[:10], images[27:])


@pytest.mark.parametrize("content", [b"", b"damaged", "cut", "bit", "index", "array"])
def test_a_damaged_entry_is_searched_again(bare: Path, searches: list[int], content: bytes | str) -> None:
    images = doubled()
    groups = find_groups(images)[0].tolist()
    (file,) = (bare / "cache/near-duplicates").iterdir()
    good = file.read_bytes()
    with file.open("wb") as damaged:
        match content:
            case bytes():
                damaged.write(content)
            case "cut":
                damaged.write(good[:-40])
            case "bit":
                middle = good.index(b"values.npy") + 60
                damaged.write(good[:middle] + bytes([good[middle] ^ 4]) + good[middle + 1 :])
            case "index":
                np.savez(damaged, indices=np.array([40]), values=np.array([1]))
            case _:
                np.save(damaged, np.arange(3))
    assert find_groups(images)[0].tolist() == groups
    assert searches == [40, 40]
    assert file.read_bytes() == good


def test_a_cache_that_cannot_be_written_costs_the_search(
    bare: Path, searches: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (bare / "file").touch()
    monkeypatch.setenv("GAN_DENOISE_CACHE", str(bare / "file"))
    assert [find_groups(doubled())[1] for _ in range(2)] == [13, 13]
    assert searches == [40, 40]
    assert "near-duplicates are searched each time" in capsys.readouterr().err


def test_few_images_leave_nothing_in_the_cache(bare: Path) -> None:
    assert find_groups(doubled())[1] == 13
    assert not (bare / "cache").exists()

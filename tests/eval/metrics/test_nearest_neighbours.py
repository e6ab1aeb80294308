from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from gan_denoise.data.dataset import Dataset
from gan_denoise.errors import InputError
from gan_denoise.eval.metrics import nearest_neighbours
from gan_denoise.eval.metrics.nearest_neighbours import distance_summary, find_nearest


@pytest.mark.parametrize(("train_chunk", "chunk"), [(10_000, 1_000), (37, 11)])
def test_the_nearest_image_is_scipys(
    excerpt: Dataset, train_chunk: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest_neighbours, "TRAIN_CHUNK", train_chunk)
    monkeypatch.setattr(nearest_neighbours, "CHUNK", chunk)
    flat = [images.reshape(len(images), -1) / 255 for images in (excerpt.test.images, excerpt.train.images)]
    expected = cdist(*flat)
    distances, index = find_nearest(excerpt.test.images, excerpt.train.images)
    np.testing.assert_allclose(distances, expected.min(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(index, expected.argmin(axis=1))


def test_a_copy_is_at_distance_0_and_one_changed_pixel_at_its_change(excerpt: Dataset) -> None:
    copies = excerpt.train.images[[300, 5]].copy()
    copies[1, 0, 0] += 51  # 0.2 of the range
    distances, index = find_nearest(copies, excerpt.train.images)
    assert index.tolist() == [300, 5]
    assert distances == pytest.approx([0.0, 0.2], abs=1e-12)


def test_copies_are_closer_than_real_images_are_and_others_are_not(excerpt: Dataset) -> None:
    yardstick, _ = find_nearest(excerpt.test.images, excerpt.train.images)
    half = np.concatenate([excerpt.train.images[:50], 255 - excerpt.train.images[:50]])  # copies and negatives
    actual = distance_summary(find_nearest(half, excerpt.train.images)[0], yardstick)
    assert actual["near_copy_fraction"] == 0.5
    assert distance_summary(yardstick, yardstick) == {
        "median_distance": np.median(yardstick),
        "near_copy_fraction": 0.01,
    }


def test_other_types_sizes_and_nothing_to_compare_with_are_refused(excerpt: Dataset) -> None:
    images = excerpt.test.images
    with pytest.raises(InputError, match=r"expected uint8 \(N, H, W\) or \(N, 3, H, W\), got float32"):
        find_nearest(images.astype(np.float32), images)
    with pytest.raises(InputError, match=r"of the same size, got \[100, 28, 28\] and \[100, 28, 27\]"):
        find_nearest(images, images[:, :, 1:])
    with pytest.raises(InputError, match=r"expected one or more training images .* \[0, 28, 28\]"):
        find_nearest(images, images[:0])
    assert find_nearest(images[:0], images)[0].shape == (0,)


def test_colour_images_are_compared_in_all_channels() -> None:
    train = np.random.default_rng(0).integers(0, 256, (50, 3, 8, 8), dtype=np.uint8)
    queries = train[[7, 30]].copy()
    queries[1, 2] = 255 - queries[1, 2]  # one channel differs
    distances, index = find_nearest(queries, train)
    assert (index[0], distances[0]) == (7, 0.0)
    expected = np.sqrt((((queries[1].astype(float) - train[index[1]]) / 255) ** 2).sum())
    assert distances[1] == pytest.approx(expected, rel=1e-6)

"""Distances of the first n images and of each class: against distances computed here from the same features."""

from __future__ import annotations

import json

import numpy as np
import pytest
from command_helpers import run_command

from gan_denoise.data import sources
from gan_denoise.data.dataset import Dataset, split_classifier_fit
from gan_denoise.data.images import to_uint8
from gan_denoise.eval.generation.extractor import FeatureExtractor
from gan_denoise.eval.generation.features import load_extractor
from gan_denoise.eval.generation.subsets import subset_rows
from gan_denoise.eval.metrics.frechet import frechet_distance, statistics
from gan_denoise.export import latents, runtime
from gan_denoise.models.z_layout import chosen_class

N = 1_200


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return sources.load_fashion_mnist()


@pytest.fixture(scope="module")
def network() -> FeatureExtractor:
    return load_extractor("ffd-1", threads=1)


def distance(network: FeatureExtractor, images: np.ndarray, real: np.ndarray) -> float:
    first, second = (statistics(network.extract(each)) for each in (images, real))
    return frechet_distance(first, second)


def test_each_row_is_the_distance_of_its_images(dataset: Dataset, network: FeatureExtractor) -> None:
    fused = runtime.load_graph(runtime.FUSED, threads=1)
    rows = subset_rows(fused, dataset, network, N, seed=3)
    z = latents.latents(3, 0, N)
    raw, denoised = (to_uint8(images) for images in fused.batched(z))
    assert [(row["class"], row["n"]) for row in rows[:3]] == [("all", 500), ("all", 1_000), ("all", N)]
    assert rows[0]["raw"] == pytest.approx(distance(network, raw[:500], dataset.test.images), rel=1e-3)
    assert rows[2]["denoised"] == pytest.approx(distance(network, denoised, dataset.test.images), rel=1e-3)
    unseen = split_classifier_fit(dataset.train)[1]
    assert rows[0]["real"] == pytest.approx(distance(network, unseen.images[:500], dataset.test.images), rel=1e-3)

    label = chosen_class(z, 10)
    assert [row["class"] for row in rows[3:]] == list(dataset.classes)
    assert [row["n"] for row in rows[3:]] == np.bincount(label).tolist()
    bag = rows[3 + 8]
    tested = dataset.test.images[dataset.test.labels == 8]
    assert bag["raw"] == pytest.approx(distance(network, raw[label == 8], tested), rel=1e-4)
    assert bag["denoised"] == pytest.approx(distance(network, denoised[label == 8], tested), rel=1e-4)
    assert bag["real"] == pytest.approx(distance(network, unseen.images[unseen.labels == 8], tested), rel=1e-4)
    assert bag["ratio"] == pytest.approx(bag["denoised"] / bag["raw"])
    assert bag["ratio_low"] < bag["ratio"] < bag["ratio_high"]


def test_no_distance_of_fewer_images_than_features(dataset: Dataset, network: FeatureExtractor) -> None:
    rows = subset_rows(runtime.load_graph(runtime.FUSED, threads=1), dataset, network, 120, seed=0)
    assert [(row["class"], row["n"]) for row in rows[:1]] == [("all", 120)]
    assert rows[0]["ratio"] is not None
    assert all(row["ratio"] is None for row in rows[1:])


def test_the_command_prints_a_row_for_each_number_and_class() -> None:
    done = run_command("eval", "subsets", "-n", 600, "--threads", 1, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["n"] for row in rows[:2]] == [500, 600]
    assert rows[-1]["class"] == "Ankle boot"
    assert run_command("eval", "subsets", "-n", 20_000).returncode == 2

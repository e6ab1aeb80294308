"""Filters, a mixture and denoised real images beside the denoiser's images, on shipped graphs and real data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.restoration import denoise_nl_means

from gan_denoise.data import sources
from gan_denoise.data.dataset import Dataset, Split, split_classifier_fit
from gan_denoise.data.images import to_float, to_uint8
from gan_denoise.eval.denoising.filters import load_tuned
from gan_denoise.eval.generation import gaussian_mixture, tables
from gan_denoise.eval.generation.controls import (
    TunedFilter,
    filtered_rows,
    mixture_row,
    real_denoised_row,
    tune_filters,
)
from gan_denoise.eval.generation.evaluate import evaluate_generation
from gan_denoise.eval.generation.extractor import FeatureExtractor, to_labels
from gan_denoise.eval.generation.features import load_extractor
from gan_denoise.eval.generation.reference import RealImages, measure_real
from gan_denoise.eval.generation.tables import controls_report
from gan_denoise.eval.labels import BLACK_LEVEL, GAUSSIAN, NLM, REAL_BASELINE
from gan_denoise.eval.metrics import ffd, no_reference
from gan_denoise.eval.metrics.frechet import frechet_distance, statistics
from gan_denoise.export import latents, runtime
from gan_denoise.export.runtime import Graph
from gan_denoise.models.unet import UNet
from gan_denoise.options import FFD_1

N = 120


@pytest.fixture(scope="module")
def data() -> Dataset:
    """The first 300 test images, and 3,600 training images of which 600 count as unseen and 300 as held out."""
    whole = sources.load_fashion_mnist()
    train, test = (Split(part.images[:n], part.labels[:n]) for part, n in ((whole.train, 3600), (whole.test, 300)))
    return Dataset(train, test, whole.source, whole.sha256, whole.classes, whole.name)


@pytest.fixture(scope="module")
def network() -> FeatureExtractor:
    return load_extractor(FFD_1, 1)


@pytest.fixture(scope="module")
def real(data: Dataset, network: FeatureExtractor) -> RealImages:
    return measure_real(data, network, N)


@pytest.fixture(scope="module")
def fused() -> Graph:
    return runtime.load_graph(runtime.FUSED, threads=1)


@pytest.fixture(scope="module")
def filters(fused: Graph, network: FeatureExtractor, data: Dataset) -> dict[str, TunedFilter]:
    return tune_filters(fused, network, load_tuned(), data, N, seed=1)


def test_each_filter_is_the_candidate_that_is_nearest_to_held_out_images(
    filters: dict[str, TunedFilter], fused: Graph, network: FeatureExtractor, data: Dataset
) -> None:
    images = to_uint8(fused.batched(latents.latents(2, 0, N))[0])  # of the next seed
    held_out = statistics(network.extract(data.train.images[-300:]))

    def distance(filtered: np.ndarray) -> float:
        return frechet_distance(statistics(network.extract(filtered)), held_out)

    def thresholded(levels: np.ndarray) -> np.ndarray:  # float, 0 to 255
        image = torch.from_numpy(levels / 255).float()[:, None]
        return np.rint(255 * UNet((8, 8), (1, 1, 1)).eval()(image)[:, 0].detach().numpy()).astype(np.uint8)

    def blurred(width: float) -> np.ndarray:
        return thresholded(ndimage.gaussian_filter(images.astype(np.float32), (0, width, width), mode="constant"))

    def averaged(sigma: float) -> np.ndarray:
        parameters = {"patch_size": 5, "patch_distance": 3, "h": 1.2 * sigma, "sigma": 0.5 * sigma}
        return thresholded(
            255 * np.stack([denoise_nl_means(image / np.float32(255), **parameters) for image in images])
        )

    np.testing.assert_array_equal(filters[BLACK_LEVEL].filter(images), thresholded(images.astype(np.float32)))
    for name, take in ((GAUSSIAN, blurred), (NLM, averaged)):
        chosen = filters[name]
        assert chosen.strength == min(chosen.candidates, key=lambda strength: distance(take(strength)))
        np.testing.assert_allclose(chosen.filter(images), take(chosen.strength).astype(float), atol=1)
        assert (chosen.filter(images) != images).mean() > 0.01


def test_the_report_holds_all_rows_and_what_was_chosen(
    real: RealImages, data: Dataset, filters: dict[str, TunedFilter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaussian_mixture, "FITTED", 250)
    report = controls_report(None, data, N, seed=1, threads=1)
    names = ["raw", "denoised", BLACK_LEVEL, GAUSSIAN, NLM, "Gaussian mixture", "real, denoised", REAL_BASELINE]
    assert [row["set"] for row in report.rows] == names
    assert all(row["n"] == N for row in report.rows)
    assert (
        report.notes[GAUSSIAN] == f"width {filters[GAUSSIAN].strength:g} (candidates 0.3, 0.35, 0.4, 0.5) pixels, "
        "then the black-level threshold"
    )
    assert f"sigma {filters[NLM].strength:g} (candidates 0.0025, 0.005, 0.01, 0.02, 0.04)" in report.notes[NLM]
    assert report.skipped == {}


def test_the_filters_get_the_same_images_as_the_denoiser(
    fused: Graph, real: RealImages, filters: dict[str, TunedFilter]
) -> None:
    rows = {row["set"]: row for row in filtered_rows(fused, real.reference, filters, N, seed=1)}
    assert list(rows) == ["raw", "denoised", BLACK_LEVEL, GAUSSIAN, NLM]
    for expected in evaluate_generation(fused, real, N, seed=1)[:2]:
        actual = rows[expected["set"]]
        assert actual == {name: pytest.approx(expected[name]) for name in expected if name != "class_accuracy"}
    assert rows[GAUSSIAN]["sharpness"] < rows["raw"]["sharpness"]
    assert min(rows[name]["class_preserved"] for name in (GAUSSIAN, NLM)) > 0.9


def test_without_scikit_learn_the_mixture_is_named_as_not_measured(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "find_spec", lambda name: None)
    report = controls_report(None, data, 100, seed=1, threads=1)
    assert "Gaussian mixture" not in [row["set"] for row in report.rows]
    assert report.skipped["Gaussian mixture"].startswith("sklearn: not installed, pip install")


def test_the_mixture_is_far_off_and_agrees_with_no_image(
    real: RealImages, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaussian_mixture, "FITTED", 250)
    fitted_on: list[np.ndarray] = []

    def fit(images: np.ndarray, **options: int) -> gaussian_mixture.Mixture:
        fitted_on.append(images)
        return mixture_fit(images, **options)

    mixture_fit = gaussian_mixture.fit
    monkeypatch.setattr(gaussian_mixture, "fit", fit)
    row = mixture_row(real.reference, data, N, seed=2**40)
    np.testing.assert_array_equal(fitted_on[0], data.train.images[:250])
    assert (row["set"], row["n"], row["class_preserved"]) == ("Gaussian mixture", N, None)
    assert row["ffd_1"] > 2 * real.real_baseline["ffd_1"]


def test_real_images_pass_the_denoiser_almost_unchanged(
    real: RealImages, data: Dataset, network: FeatureExtractor
) -> None:
    denoiser = runtime.load_graph(runtime.DENOISER, threads=1)
    row = real_denoised_row(denoiser, real, data, N)
    images = split_classifier_fit(data.train)[1].images[:N]
    passed = to_uint8(denoiser.batched(to_float(images))[0].clip(0, 1))
    before, after = (to_labels(network.outputs(image_set)[1]) for image_set in (images, passed))
    assert before is not None
    assert (row["set"], row["n"]) == ("real, denoised", N)
    assert row["ffd_1"] == pytest.approx(ffd.distance(passed, ffd.load_network(threads=1)), rel=1e-4)
    moved = frechet_distance(*(statistics(network.extract(image_set)) for image_set in (passed, images)))
    assert 0 < moved < 0.03 * real.real_baseline["ffd_1"]
    assert row["noise"] == pytest.approx(no_reference.noise(to_float(passed)).mean(), rel=1e-4)
    assert 0 < abs(row["noise"] / real.real_baseline["noise"] - 1) < 0.05
    assert row["class_preserved"] == pytest.approx(np.mean(before == after))
    assert 0.01 < (passed != images).mean() < 0.9

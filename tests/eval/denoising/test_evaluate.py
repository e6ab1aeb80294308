from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import ImagesF32, to_float
from gan_denoise.errors import InputError
from gan_denoise.eval.denoising import evaluate, filters
from gan_denoise.eval.denoising.evaluate import PSNR_CAP_DB, evaluate_denoising
from gan_denoise.eval.denoising.methods import Method, classical
from gan_denoise.eval.labels import SUPPORT_VECTORS
from gan_denoise.eval.metrics.psnr_ssim import psnr, ssim
from gan_denoise.eval.noise import add_noise
from gan_denoise.export.graph_size import GraphSize


@pytest.fixture(scope="module")
def clean(excerpt: Dataset) -> np.ndarray:
    return to_float(excerpt.test.images[:5])


@pytest.fixture(scope="module")
def methods(excerpt: Dataset) -> dict[str, Method]:
    actual = classical(filters.load_tuned(), to_float(excerpt.train.images))
    return {name: actual[name] for name in ("median", SUPPORT_VECTORS)}


def test_two_workers_measure_what_one_measures(clean: np.ndarray, methods: dict[str, Method]) -> None:
    one, two = (list(evaluate_denoising(methods, clean, 4, (25 / 255,), threads=threads)) for threads in (1, 2))
    assert [row["method"] for row in one] == ["noisy", "median", SUPPORT_VECTORS] * 2
    for a, b in zip(one, two, strict=True):
        assert {**a, "ms_per_image": None} == {**b, "ms_per_image": None}
    median = next(row for row in one if row["method"] == "median")
    noisy = add_noise(clean, 25 / 255, "float", 4)
    restored = filters.restore("median", noisy, 25 / 255, {"footprint": "cross of 5", "border": "constant"})
    assert median["psnr_db"] == pytest.approx(psnr(clean, restored).mean(), abs=1e-9)
    assert median["psnr_se"] == pytest.approx(stats.sem(psnr(clean, restored)), rel=1e-6)
    assert median["ssim"] == pytest.approx(ssim(clean, restored).mean(), abs=1e-9)
    assert 0.001 < median["ms_per_image"] < 5


def blind(restore: object) -> Method:
    return Method(lambda noise, sigma: restore, 2, blind=True, size=GraphSize(7, None))  # type: ignore[arg-type,return-value]


def test_clean_images_have_the_ceiling_and_the_least_change_has_less(clean: np.ndarray) -> None:
    def change_one_pixel(images: ImagesF32) -> ImagesF32:
        changed = images.copy()
        changed[:, 0, 5, 5] += np.where(changed[:, 0, 5, 5] > 0.5, -1, 1) / np.float32(255)
        return changed

    named = {"nothing": blind(lambda images: images), "least": blind(change_one_pixel)}
    rows = {(row["method"], row["noise"]): row for row in evaluate_denoising(named, clean, sigmas=(0.0,))}
    for noise in ("float", "8-bit"):
        for name in ("noisy", "nothing"):
            assert (rows[name, noise]["psnr_db"], rows[name, noise]["ssim"]) == (PSNR_CAP_DB, pytest.approx(1))
        assert rows["least", noise]["psnr_db"] == pytest.approx(10 * np.log10(784 * 255**2), abs=0.01)  # 77.07
        assert rows["least", noise]["ms_per_image"] > 0
    assert (rows["least", "float"]["parameters"], rows["least", "float"]["multiply_adds"]) == (7, None)


def test_times_are_milliseconds_an_image(clean: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "in_batches", lambda restore, noisy, *_: (noisy, 0.25))  # seconds, for 5 images
    rows = list(evaluate_denoising({"nothing": blind(lambda images: images)}, clean, sigmas=(0.1,)))
    assert [row["ms_per_image"] for row in rows] == [None, 50.0, None, 50.0]


def test_methods_that_know_sigma_0_return_the_image(clean: np.ndarray, methods: dict[str, Method]) -> None:
    rows = list(evaluate_denoising(methods, clean, sigmas=(0.0,)))
    assert {row["psnr_db"] for row in rows} == {PSNR_CAP_DB}
    assert {row["ms_per_image"] for row in rows} == {None}


def test_a_sigma_that_no_filter_was_tuned_for_is_refused(clean: np.ndarray, methods: dict[str, Method]) -> None:
    with pytest.raises(
        InputError, match=r"median: expected float noise of a tuned sigma \(0\.058824, .*\), got sigma 0\.123"
    ):
        list(evaluate_denoising(methods, clean, sigmas=(0.123,)))

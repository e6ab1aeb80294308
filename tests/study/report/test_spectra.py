"""The report's power spectra and its comparison of denoising methods, on real images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.eval.metrics.spectrum import power_spectrum
from gan_denoise.eval.noise import add_noise
from gan_denoise.study.report import spectra as report_spectra
from gan_denoise.study.report.figures import METHODS_SIGMA, filter_images, methods_figure
from gan_denoise.study.report.results import Study, load_study
from gan_denoise.study.report.spectra import describe_fine_power, fine_power, measure_spectra, spectra_figure


@pytest.fixture
def study(exported: Path, excerpt: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study with the export of a tiny trained run."""
    (tmp_path / "export").symlink_to(exported)
    monkeypatch.setattr(report_spectra, "IMAGES", 80)
    return load_study(tmp_path, excerpt)


def test_white_noise_adds_its_variance_to_the_highest_third(excerpt: Dataset) -> None:
    clean = to_float(excerpt.test.images)
    noisy = add_noise(clean, 0.1, "float", seed=0)
    before, after = (fine_power(*power_spectrum(images)) for images in (clean, noisy))
    assert after - before == pytest.approx(0.01, rel=0.1)  # the noise's variance


def test_the_sentence_matches_the_curves(study: Study) -> None:
    measured = measure_spectra(study)
    assert study.test_images is not None
    assert list(measured) == ["raw", "denoised", "real"]
    np.testing.assert_array_equal(measured["real"][1], power_spectrum(to_float(study.test_images[:80]))[1])
    figure, sentence = spectra_figure(study)
    fine = {name: fine_power(*spectrum) for name, spectrum in measured.items()}
    assert sentence == describe_fine_power(fine)
    assert f"({fine['raw'] / fine['real']:.2f} times)" in sentence
    assert f"raw {fine['raw']:.2e}, denoised" in figure
    assert (study.folder / "figures/spectra.svg").stat().st_size > 1000


@pytest.mark.parametrize(
    ("raw", "said"),
    [(2.0, "**more** power than real ones (2.00 times)"), (0.5, "**less** power than"), (1.05, "as much power as")],
)
def test_more_less_and_as_much_power(raw: float, said: str) -> None:
    sentence = describe_fine_power({"raw": raw, "denoised": 0.25, "real": 1.0})
    assert said in sentence
    assert sentence.endswith("Denoised images have 0.25 times the power of real ones.")


def test_the_methods_figure_has_the_network_and_every_filter(study: Study, excerpt: Dataset) -> None:
    text = methods_figure(study)
    clean = to_float(excerpt.test.images[:8])
    noisy = add_noise(clean, METHODS_SIGMA, "float", seed=0)
    for name, images in {"noisy": noisy, **filter_images(noisy)}.items():
        assert f"{name}, {psnr(clean, images).mean():.1f} dB" in text
    gains = {
        name: psnr(clean, images).mean() - psnr(clean, noisy).mean() for name, images in filter_images(noisy).items()
    }
    assert gains.keys() == {"Gaussian", "median", "total variation", "wavelet", "non-local means", "BM3D"}
    assert min(gains.values()) > 1
    assert "network, " in text
    assert (study.folder / "figures/denoisers.png").stat().st_size > 1000


def test_without_graphs_or_images_the_figures_are_missing(tmp_path: Path, study: Study, excerpt: Dataset) -> None:
    (tmp_path / "empty").mkdir()
    for missing in (load_study(tmp_path / "empty", excerpt), load_study(study.folder, None)):
        assert spectra_figure(missing) == [
            "Figure I (power spectra): not available; no `export/fused.onnx` or no data.",
            "High-frequency power of generated and real images: not measured.",
        ]
        assert methods_figure(missing) == (
            "Figure J (the same images denoised by each method): not available; no `export/denoiser.onnx` or no data."
        )

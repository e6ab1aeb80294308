"""The report's power spectra: do generated images contain noise, and what does the denoiser remove?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gan_denoise.data.images import Vector, to_float
from gan_denoise.eval.generation.evaluate import generate_sets
from gan_denoise.eval.labels import DENOISED, NOT_MEASURED, RAW
from gan_denoise.eval.metrics.spectrum import power_spectrum
from gan_denoise.export import runtime
from gan_denoise.study.report import plots
from gan_denoise.study.report.figure_markdown import figure_markdown, figure_path, missing_figure
from gan_denoise.study.report.results import Study

IMAGES = 2_000
REAL = "real"
FINE = 1 / 3  # cycles per pixel; the highest third of the frequencies is above this
SAME = 0.1  # relative difference of power up to which two spectra count as equal

Spectra = Mapping[str, tuple[Vector, Vector]]  # frequencies in cycles per pixel, and power


def spectra_figure(study: Study) -> list[str]:
    """Figure I, and the sentence on what it shows."""
    measured = measure_spectra(study)
    if not measured:
        reason = f"no `export/{runtime.FUSED.file}` or no data"
        return [missing_figure("I", "power spectra", reason), describe_fine_power({})]
    curves = {
        name: (x[1:].tolist(), y[1:].tolist()) for name, (x, y) in measured.items()
    }  # without frequency 0: the axis is logarithmic
    real = np.array(curves[REAL][1])
    ratios = {name: (x, (np.array(y) / real).tolist()) for name, (x, y) in curves.items() if name != REAL}
    path = figure_path(study, "spectra.svg")
    bands = {name: plots.Band(x, y, y, y) for name, (x, y) in ratios.items()}
    plots.draw_bands(bands, path, "cycles per pixel", "power / that of real images", {"real images": 1.0})
    fine = {name: fine_power(*spectrum) for name, spectrum in measured.items()}
    ends = ", ".join(f"{name} {value:.2e}" for name, value in fine.items())
    alt = f"Curves of power over frequency. Mean power in the highest third: {ends}."
    caption = (
        f"Radially averaged power of up to {IMAGES:,} generated images (latents of seed 0), raw and denoised, over "
        "that of as many real test images, all rounded to 8 bits."
    )
    return [figure_markdown(path, alt, "I", caption), describe_fine_power(fine)]


def measure_spectra(study: Study) -> Spectra:
    """The spectra of raw, denoised and real images; empty if the fused graph or the test images are missing."""
    model = study.run.export / runtime.FUSED.file
    if not model.exists() or study.test_images is None:
        return {}
    batches = list(generate_sets(runtime.load_graph(runtime.FUSED, model, threads=1), IMAGES, seed=0))
    sets = {name: np.concatenate([batch[name] for batch in batches]) for name in (RAW, DENOISED)}
    sets[REAL] = study.test_images[:IMAGES]
    return {name: power_spectrum(to_float(images)) for name, images in sets.items()}


def fine_power(frequencies: Vector, power: Vector) -> float:
    """The mean power over the highest third of the frequencies."""
    return float(power[frequencies > FINE].mean())


def describe_fine_power(power: Mapping[str, float]) -> str:
    """Whether generated images have more high-frequency power than real ones, and how much denoising leaves."""
    raw, denoised, real = (power.get(name) for name in (RAW, DENOISED, REAL))
    if raw is None or denoised is None or not real:
        return f"High-frequency power of generated and real images: {NOT_MEASURED}."
    ratio, after = raw / real, denoised / real
    is_equal = abs(ratio - 1) <= SAME
    verdict = "as much power as" if is_equal else "**more** power than" if ratio > 1 else "**less** power than"
    return (
        f"In the highest third of the frequencies, where noise is strongest relative to the image, generated images "
        f"have {verdict} real ones ({ratio:.2f} times). Denoised images have {after:.2f} times the "
        "power of real ones."
    )

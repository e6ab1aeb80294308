"""The report's figure of power spectra: do generated images hold noise, and what does the denoiser take away?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gan_denoise.data.images import Vector, to_float
from gan_denoise.eval.generation.evaluate import generate_sets
from gan_denoise.eval.labels import DENOISED, NOT_MEASURED, RAW
from gan_denoise.eval.metrics.spectrum import power_spectrum
from gan_denoise.export import runtime
from gan_denoise.study.report import plots
from gan_denoise.study.report.figures import figure_markdown, figure_path, missing_figure
from gan_denoise.study.report.results import Study

IMAGES = 2_000
REAL = "real"
FINE = 1 / 3  # cycles a pixel: the highest third of frequencies lies above
SAME = 0.1  # relative difference of power that counts as none

Spectra = Mapping[str, tuple[Vector, Vector]]  # frequencies in cycles a pixel, and power


def spectra(study: Study) -> list[str]:
    """The figure, and the sentence on what it shows."""
    measured = spectra_of(study)
    if not measured:
        return [missing_figure("I", "power spectra"), describe_fine({})]
    curves = {name: (x[1:].tolist(), y[1:].tolist()) for name, (x, y) in measured.items()}  # a logarithm has no 0
    bands = {name: plots.Band(x, y, y, y) for name, (x, y) in curves.items()}
    path = figure_path(study, "spectra.svg")
    plots.draw_bands(bands, path, "cycles a pixel", "power")
    fine = {name: fine_power(*spectrum) for name, spectrum in measured.items()}
    ends = ", ".join(f"{name} {value:.2e}" for name, value in fine.items())
    alt = f"Curves of power over frequency. Mean power in the highest third: {ends}."
    caption = (
        f"Radially averaged power spectra of up to {IMAGES:,} images: generated (latents of seed 0), denoised, and "
        "real test images, all of 8 bits."
    )
    return [figure_markdown(path, alt, "I", caption), describe_fine(fine)]


def spectra_of(study: Study) -> Spectra:
    """The spectra of raw, denoised and real images; none where the fused graph or the test images are missing."""
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


def describe_fine(power: Mapping[str, float]) -> str:
    """Whether generated images hold more of what noise consists of than real ones, and what the denoiser leaves."""
    raw, denoised, real = (power.get(name) for name in (RAW, DENOISED, REAL))
    if raw is None or denoised is None or not real:
        return f"Power of fine detail and noise in generated and in real images: {NOT_MEASURED}."
    more, after = raw / real, denoised / real
    verdict = "as much" if abs(more - 1) <= SAME else "**more**" if more > 1 else "**less**"
    surplus = "" if verdict == "**more**" else ": there is no surplus of noise for a denoiser to remove"
    return (
        f"In the highest third of frequencies, where noise is strongest against the image, generated images hold "
        f"{verdict}{' than' if '*' in verdict else ' as'} real ones ({more:.2f} times the power){surplus}; denoised "
        f"they hold {after:.2f} times."
    )

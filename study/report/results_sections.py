"""The report's sections on generated images, on noisy real images and on speed."""

from __future__ import annotations

from gan_denoise.eval.labels import EAGER, GAUSSIAN, NETWORK, NLM, REAL_DENOISED, TWO_GRAPHS
from gan_denoise.eval.noise import NOISES
from gan_denoise.markdown import bullets, code, escape_markdown
from gan_denoise.study.report import curves, figures
from gan_denoise.study.report.results import CONTROLS, SUBSETS, Study, source_line
from gan_denoise.study.report.results_text import (
    METHODS,
    describe_best_method,
    describe_busy,
    describe_claim,
    describe_distance,
    describe_fraction_error,
    describe_method_comparison,
    describe_noise,
    describe_speed,
    describe_unstable,
)
from gan_denoise.study.report.spectra import spectra_figure
from gan_denoise.study.report.tables import bench_table, denoising_table, generation_table
from gan_denoise.study.report.texts import METRICS, OWN_METRICS
from gan_denoise.study.report.training_text import PAPER, describe_diversity

CONTROL_NOTES = (GAUSSIAN, NLM, "tuned", REAL_DENOISED)  # notes on the controls that the report shows
NOISE_NAMES = {"float": "Unclipped noise", "8-bit": "Noise clipped and rounded to 8 bits, as in image files"}


def generation_section(study: Study) -> list[str]:
    """Images of the same latents over the epochs, and their diversity."""
    return [
        "## Generated images over the epochs",
        figures.epochs_figure(study),
        describe_diversity(*figures.inter_image_stds(study)),
    ]


def denoised_generation_section(study: Study) -> list[str]:
    """Generated images before and after the denoiser: figures, table, controls and sentences."""
    rows, published = study.rows("generation"), study.published_rows("generation")
    tables = (study.results["generation"], study.published.get("generation", {}))
    features = sorted({code(name) for table in tables if (name := table.get("settings", {}).get("features"))})
    text = METRICS if study.is_fashion_mnist else OWN_METRICS
    metrics = text.format(features=" and ".join(features)) + describe_fraction_error(rows)
    return [
        "## The denoiser on generated images",
        figures.before_after_figure(study),
        *spectra_figure(study),
        *([generation_table(rows, published), source_line(study, "generation")] if rows else ["Table: not measured."]),
        metrics if features else "",
        *_controls(study),
        bullets([describe_distance(rows, study.rows(SUBSETS)), describe_claim(rows), describe_noise(rows)]),
        f"In the published run of preset `{PAPER}`:" if published else "",
        bullets(
            [
                describe_distance(published, study.published_rows(SUBSETS)),
                describe_claim(published),
                describe_noise(published),
            ]
        )
        if published
        else "",
    ]


def _controls(study: Study) -> list[str]:
    rows, notes = study.rows(CONTROLS), study.results[CONTROLS].get("notes", {})
    if not rows or study.results[CONTROLS].get("model_sha256") != study.results["generation"].get("model_sha256"):
        return []  # not measured, or with another model
    return [
        "Controls: classical filters on the same generated images, another generator, and the denoiser on real images.",
        generation_table(rows),
        bullets(
            [
                f"{escape_markdown(name)}: {escape_markdown(str(value))}."
                for name, value in notes.items()
                if name in CONTROL_NOTES
            ]
        ),
        source_line(study, CONTROLS),
    ]


def denoising_section(study: Study) -> list[str]:
    """Noisy real images restored by the network and by classical filters."""
    rows, published = study.rows("denoising"), study.published_rows("denoising")
    paragraphs = [
        "## The denoiser on noisy real images",
        figures.restored_figure(study),
        figures.methods_figure(study),
        "The classical filters are tuned on held-out training images for each kind of noise and each noise level "
        "(`gan-denoise eval tune`). One network is used for all noise levels, without knowing them. PSNR is the mean "
        "over the images, ± its standard error where it was measured.",
        curves.psnr_curves(study),
    ]
    for noise in NOISES:
        if not any(row.get("noise") == noise for row in rows):
            continue
        paragraphs += [
            f"### {NOISE_NAMES[noise]}",
            denoising_table(rows, noise, published),
            source_line(study, "denoising"),
            describe_best_method(rows, noise),
            bullets([describe_method_comparison(rows, method, noise) for method in METHODS if method != NETWORK]),
        ]
    return paragraphs if rows else [*paragraphs, "Table: not measured."]


def speed_section(study: Study) -> list[str]:
    """Latency of the fused graph and of other backends."""
    rows = study.rows("bench")
    if not rows:
        return ["## Speed", "Table: not measured."]
    skipped = study.skipped("bench")
    return [
        "## Speed",
        bench_table(rows, study.published_rows("bench")),
        source_line(study, "bench"),
        bullets(
            [
                describe_speed(rows, TWO_GRAPHS),
                describe_speed(rows, EAGER),
                *(escape_markdown(f"{name}: not measured ({reason}).") for name, reason in skipped.items()),
            ]
        ),
        describe_unstable(rows),
        describe_busy(study.results["bench"].get("notes", {})),
    ]

"""The report's images: architectures, generated images, and real images with noise and denoised."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import ImagesF32, to_float
from gan_denoise.eval.columns import format_value
from gan_denoise.eval.denoising import filters
from gan_denoise.eval.denoising.methods import not_installed
from gan_denoise.eval.denoising.tuning import tuned_filters
from gan_denoise.eval.labels import NETWORK, NOISY
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.eval.noise import NOISES, add_noise
from gan_denoise.export import latents, runtime
from gan_denoise.export.run_folder import GAN
from gan_denoise.study.report import plots
from gan_denoise.study.report.architecture import describe_layers, draw_architecture
from gan_denoise.study.report.figure_markdown import (
    captioned_figure,
    figure_markdown,
    figure_path,
    image_markdown,
    missing_figure,
)
from gan_denoise.study.report.results import Study
from gan_denoise.study.rows import get_number
from gan_denoise.study.run.mode_collapse import inter_image_std

LATENTS_SHOWN = 48  # in figures 3 and 4
EPOCH_LATENTS = 16  # in figure D, for each epoch
MAX_EPOCHS = 24  # in figure D
REAL_IMAGES = 8  # in figures E and J
RESTORED_SIGMAS = (25 / 255, 0.3)  # in figure E
METHODS_SIGMA = 25 / 255  # in figure J


def architecture_figure(study: Study, label: str, network: str) -> str:
    """Figures 1, 2 and A: the layers of a network."""
    layers = study.layers.get(network)
    if not layers:
        return missing_figure(label, f"the {network}", "its stage has no `architecture.json`")
    path = figure_path(study, f"{network}.svg")
    draw_architecture(layers, path)
    weights = sum(int(layer["parameters"]) for layer in layers)
    return figure_markdown(
        path, f"Diagram of the {network}: {describe_layers(layers)}.", label, f"The {network}, {weights:,} weights."
    )


def epochs_figure(study: Study) -> str:
    """Figure D: images of the same latents after each epoch, or after evenly spaced ones of many."""
    files = sample_files(study)
    if not files:
        return missing_figure("D", "generated images over the epochs", "`gan/samples` has no images")
    images = []
    for i in np.linspace(0, len(files) - 1, min(len(files), MAX_EPOCHS)).round().astype(int):
        name, path = f"epoch {_epoch_of(files[i])}", figure_path(study, files[i].name)
        plots.draw_rows({name: plots.images_of_grid(files[i], study.image_shape)[:EPOCH_LATENTS]}, path)
        images.append(image_markdown(path, f"{name.capitalize()}: images generated from {EPOCH_LATENTS} latents."))
    caption = f"Images of the first {EPOCH_LATENTS} latents of seed 0, up to epoch {_epoch_of(files[-1])}."
    return captioned_figure(images, "D", caption)


def inter_image_stds(study: Study) -> tuple[float | None, float | None]:
    """The standard deviation between the last sample images, and between real ones: logged, or of the test images."""
    files = sample_files(study)
    if not files:
        return None, None
    generated = plots.images_of_grid(files[-1], study.image_shape)
    real = get_number(study.logs[GAN][-1], "inter_image_std_real") if study.logs[GAN] else None
    if real is None and study.test_images is not None:
        real = inter_image_std(to_float(study.test_images[: len(generated)]))
    return inter_image_std(generated), real


def sample_files(study: Study) -> list[Path]:
    """The grids of fixed latents in the order of their epochs."""
    files = study.run.gan.samples.glob("epoch-*.png")
    return sorted(file for file in files if re.fullmatch(r"epoch-\d+", file.stem))


def before_after_figure(study: Study) -> str:
    """Figures 3 and 4: images of the same latents before and after the denoiser, from the fused graph."""
    model = study.run.export / runtime.FUSED.file
    if not model.exists():
        return missing_figure("3 and 4", "images before and after the denoiser", f"no `export/{runtime.FUSED.file}`")
    fused = runtime.load_graph(runtime.FUSED, model, threads=1)
    outputs = fused(latents.latents(0, 0, LATENTS_SHOWN, fused.input_shape[0]))
    markdown = []
    for name, images in zip(("before", "after"), outputs, strict=True):
        path = figure_path(study, f"{name}.png")
        plots.draw_rows({"": images}, path)
        markdown.append(image_markdown(path, f"{name.capitalize()} the denoiser: {LATENTS_SHOWN} generated images."))
    caption = (
        f"Images before (3) and after (4) the denoiser: latents 0 to {LATENTS_SHOWN - 1} of seed 0, from `fused.onnx`."
    )
    return captioned_figure(markdown, "3 and 4", caption)


def restored_figure(study: Study) -> str:
    """Figure E: real test images clean, noisy and denoised."""
    denoiser = _load_denoiser(study)
    if denoiser is None or study.test_images is None:
        return missing_figure("E", "real images, noisy and denoised", f"no `export/{runtime.DENOISER.file}` or no data")
    clean = to_float(study.test_images[:REAL_IMAGES])
    rows = {"clean": clean}
    for sigma in RESTORED_SIGMAS:
        noisy = add_noise(clean, sigma, NOISES[0], seed=0)
        rows[f"noisy, sigma {format_value('sigma', sigma)}"] = noisy.clip(0, 1)
        rows[f"denoised, sigma {format_value('sigma', sigma)}"] = denoiser(noisy)[0].clip(0, 1)
    path = figure_path(study, "restored.png")
    plots.draw_rows(rows, path)
    names = "; ".join(rows)
    caption = f"The first {REAL_IMAGES} test images, from top to bottom: {names} (for pixels in [0, 1])."
    return figure_markdown(path, f"Rows of real images: {names}.", "E", caption)


def methods_figure(study: Study) -> str:
    """Figure J: test images clean, noisy, and denoised by the network and each tuned classical filter."""
    denoiser = _load_denoiser(study)
    if denoiser is None or study.test_images is None:
        reason = f"no `export/{runtime.DENOISER.file}` or no data"
        return missing_figure("J", "the same images denoised by each method", reason)
    clean = to_float(study.test_images[:REAL_IMAGES])
    noisy = add_noise(clean, METHODS_SIGMA, NOISES[0], seed=0)
    rows = {NOISY: noisy, NETWORK: denoiser(noisy)[0].clip(0, 1), **filter_images(noisy, study.dataset)}
    rows = {f"{name}, {psnr(clean, images).mean():.1f} dB": images for name, images in rows.items()}
    path = figure_path(study, "denoisers.png")
    plots.draw_rows({"clean": clean, **{name: images.clip(0, 1) for name, images in rows.items()}}, path)
    names = "; ".join(rows)
    caption = (
        f"The first {REAL_IMAGES} test images, from top to bottom: clean; {names}. Unclipped noise of sigma "
        f"{format_value('sigma', METHODS_SIGMA)}. PSNR is the mean of these {REAL_IMAGES} images; the tables below use "
        "more."
    )
    return figure_markdown(path, f"Rows of the same images: clean; {names}.", "J", caption)


def filter_images(noisy: ImagesF32, dataset: Dataset | None = None) -> dict[str, ImagesF32]:
    """Noisy images (N, C, H, W) of sigma 25/255 after each installed filter, tuned for `dataset` or Fashion-MNIST."""
    tuned = filters.load_tuned() if dataset is None else tuned_filters(dataset)
    return {
        name: filters.restore(name, noisy, METHODS_SIGMA, filters.tuned_for(tuned, name, NOISES[0], METHODS_SIGMA))
        for name in filters.FILTERS
        if name not in not_installed()
    }


def _epoch_of(sample: Path) -> int:
    return int(sample.stem.split("-")[1])


def _load_denoiser(study: Study) -> runtime.Graph | None:
    model = study.run.export / runtime.DENOISER.file
    return runtime.load_graph(runtime.DENOISER, model, threads=1) if model.exists() else None

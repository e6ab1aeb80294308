"""The report's figures of one study: each function draws files and returns the markdown that shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gan_denoise.data.images import ImagesF32, to_float
from gan_denoise.eval.columns import format_value
from gan_denoise.eval.denoising import filters
from gan_denoise.eval.denoising.methods import not_installed
from gan_denoise.eval.labels import NETWORK, NOISY
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.eval.noise import NOISES, add_noise
from gan_denoise.export import latents, runtime
from gan_denoise.export.run_folder import JOINT
from gan_denoise.markdown import escape_markdown
from gan_denoise.study.report import plots
from gan_denoise.study.report.results import Study
from gan_denoise.study.report.results_text import strengths_of
from gan_denoise.study.report.tables import PUBLISHED
from gan_denoise.study.rows import Rows, number, row_of
from gan_denoise.study.run.mode_collapse import inter_image_std

LATENTS_SHOWN = 48  # latents in figures 3 and 4
STRIP = 16  # latents of each epoch
REAL = 8  # images with noise
EPOCHS_SHOWN = 24
SIGMAS_SHOWN = (25 / 255, 0.3)

STRIP_IMAGES = 8  # test images
STRIP_SIGMA = 25 / 255


def architecture(study: Study, label: str, network: str) -> str:
    """The layers of a network."""
    layers = study.layers.get(network)
    if not layers:
        return missing_figure(label, f"the {network}")
    path = figure_path(study, f"{network}.svg")
    plots.draw_architecture(layers, path)
    steps = "; ".join(f"{layer['layer']} gives {plots.size_of(layer['output'])}" for layer in layers)
    weights = sum(int(layer["parameters"]) for layer in layers)
    return figure_markdown(path, f"Diagram of the {network}: {steps}.", label, f"The {network}, {weights:,} weights.")


def gan_curves(study: Study) -> str:
    """Losses and accuracies of the GAN over the epochs."""
    log = study.logs["gan"]
    panels = {
        "loss": {"discriminator": "discriminator_loss", "generator": "generator_loss"},
        "accuracy": {
            "on real images": "accuracy_real",
            "on generated ones": "accuracy_fake",
            "on pairs": "pair_accuracy",
        },
    }
    caption = "The GAN's training: losses, and the discriminator's accuracy where it was logged, means over an epoch."
    return _curves(study, log, panels, "training-gan.svg", "B", caption)


def denoiser_curves(study: Study) -> str:
    """Loss and PSNR of the denoiser over the epochs."""
    panels = {"loss": {"loss": "loss"}, "PSNR, dB": {"PSNR": "psnr_db"}}
    caption = (
        "The denoiser's training: the loss, and PSNR on 500 of the last 5,000 training images with noise of "
        "sigma 25/255, the same each time."
    )
    return _curves(study, study.logs["denoiser"], panels, "training-denoiser.svg", "C", caption)


def joint_curves(study: Study) -> str:
    """Losses, accuracies and PSNR of the joined training over its epochs; nothing where the study has no such stage."""
    if JOINT not in study.stages():
        return ""
    panels = {
        "adversarial loss": {
            "discriminator of images": "discriminator_loss",
            "generator": "generator_loss",
            "discriminator of denoised": "denoised_discriminator_loss",
            "denoiser": "denoised_generator_loss",
        },
        "accuracy on pairs": {"of images": "pair_accuracy", "of denoised ones": "denoised_pair_accuracy"},
        "PSNR, dB": {"PSNR": "psnr_db"},
    }
    caption = (
        "The joined training: losses and the share of pairs in which the discriminators score the real image higher, "
        "each the mean over an epoch, and the averaged denoiser's PSNR as in figure C."
    )
    return _curves(study, study.logs[JOINT], panels, "training-joint.svg", "H", caption)


def epochs(study: Study) -> str:
    """The same latents after each epoch, or after some of very many."""
    files = samples(study)
    if not files:
        return missing_figure("D", "generated images over the epochs")
    blocks, places = [], np.linspace(0, len(files) - 1, min(len(files), EPOCHS_SHOWN)).round().astype(int)
    for file in (files[i] for i in places):
        name, path = f"epoch {int(file.stem.split('-')[1])}", figure_path(study, file.name)
        plots.draw_rows({name: plots.images_of_grid(file)[:STRIP]}, path)
        blocks.append(
            image_markdown(path, f"{name.capitalize()}: clothes that the generator draws of {STRIP} latents.")
        )
    last = int(files[-1].stem.split("-")[1])
    return captioned_figure(blocks, "D", f"The first {STRIP} latents of seed 0 after the epochs up to {last}.")


def inter_image_stds(study: Study) -> tuple[float | None, float | None]:
    """The standard deviation between the last sample images, and between real ones: as logged, or of the test."""
    files = samples(study)
    if not files:
        return None, None
    last = plots.images_of_grid(files[-1])
    logged = number(study.logs["gan"][-1], "inter_image_std_real") if study.logs["gan"] else None
    if logged is None and study.test_images is not None:
        return inter_image_std(last), inter_image_std(to_float(study.test_images[: len(last)]))
    return inter_image_std(last), logged


def samples(study: Study) -> list[Path]:
    """The grids of fixed latents, in the order of their epochs."""
    files = study.run.gan.samples.glob("epoch-*.png")
    return sorted(file for file in files if re.fullmatch(r"epoch-\d+", file.stem))


def before_and_after(study: Study) -> str:
    """Figures 3 and 4: the images of the same latents before and after the denoiser, from the fused graph."""
    model = study.run.export / runtime.FUSED.file
    if not model.exists():
        return missing_figure("3 and 4", "images before and after the denoiser")
    fused = runtime.load_graph(runtime.FUSED, model, threads=1)
    outputs = fused(latents.latents(0, 0, LATENTS_SHOWN, fused.input_shape[0]))
    blocks = []
    for name, images in zip(("before", "after"), outputs, strict=True):
        path = figure_path(study, f"{name}.png")
        plots.draw_rows({"": images}, path)
        blocks.append(image_markdown(path, f"{name.capitalize()} the denoiser: {LATENTS_SHOWN} generated images."))
    caption = (
        f"Images before (3) and after (4) the denoiser: latents 0 to {LATENTS_SHOWN - 1} of seed 0, from `fused.onnx`."
    )
    return captioned_figure(blocks, "3 and 4", caption)


def restored(study: Study) -> str:
    """Real test images clean, noisy and denoised."""
    model = study.run.export / runtime.DENOISER.file
    if not model.exists() or study.test_images is None:
        return missing_figure("E", "real images noisy and denoised")
    denoiser = runtime.load_graph(runtime.DENOISER, model, threads=1)
    clean = to_float(study.test_images[:REAL])
    rows = {"clean": clean}
    for sigma in SIGMAS_SHOWN:
        noisy = add_noise(clean, sigma, NOISES[0], seed=0)
        rows[f"noisy, sigma {format_value('sigma', sigma)}"] = noisy.clip(0, 1)
        rows[f"denoised, sigma {format_value('sigma', sigma)}"] = denoiser(noisy)[0].clip(0, 1)
    path = figure_path(study, "restored.png")
    plots.draw_rows(rows, path)
    names = "; ".join(rows)
    caption = f"The first {REAL} test images, from top to bottom: {names} (of pixels in [0, 1])."
    return figure_markdown(path, f"Rows of real clothes: {names}.", "E", caption)


def psnr_curves(study: Study) -> str:
    """PSNR over the noise's strength, a curve a method."""
    rows, kept = study.rows("denoising"), study.kept_rows("denoising")
    curves = {method: _psnrs(rows, method) for method in dict.fromkeys(str(row.get("method")) for row in rows)}
    curves |= {f"{NETWORK} ({PUBLISHED})": _psnrs(kept, NETWORK)} if kept else {}
    curves = {name: curve for name, curve in curves.items() if curve[0]}
    if not curves:
        return missing_figure("F", "PSNR over the noise's strength")
    path = figure_path(study, "psnr.svg")
    plots.draw_curves({"PSNR, dB": curves}, path, x_label="sigma of the noise, of pixels in [0, 1]")
    alt = f"Curves of PSNR over sigma: {', '.join(curves)}. The table below has the numbers."
    return figure_markdown(path, alt, "F", "PSNR on noisy test images over the strength of unclipped noise.")


def _psnrs(rows: Rows, method: str) -> plots.Curve:
    points = [
        (sigma, value)
        for sigma in strengths_of(rows, NOISES[0])
        if (value := number(row_of(rows, method=method, noise=NOISES[0], sigma=sigma), "psnr_db")) is not None
    ]
    return [sigma for sigma, _ in points], [value for _, value in points]


def _curves(study: Study, log: Rows, panels: dict[str, dict[str, str]], file: str, label: str, caption: str) -> str:
    drawn = {y: {name: _series(log, field) for name, field in curves.items()} for y, curves in panels.items()}
    drawn = {y: {name: curve for name, curve in curves.items() if curve[0]} for y, curves in drawn.items()}
    drawn = {y: curves for y, curves in drawn.items() if curves}
    if not drawn:
        return missing_figure(label, caption.split(":")[0].replace("The ", "the "))
    path = figure_path(study, file)
    plots.draw_curves(drawn, path)
    ends = [
        f"{name} {curve[1][0]:.3g} to {curve[1][-1]:.3g}" for curves in drawn.values() for name, curve in curves.items()
    ]
    return figure_markdown(path, f"Curves over the epochs, first to last: {', '.join(ends)}.", label, caption)


def _series(log: Rows, field: str) -> plots.Curve:
    points = [(number(row, "epoch") or 0.0, value) for row in log if (value := number(row, field)) is not None]
    return [epoch for epoch, _ in points], [value for _, value in points]


def figure_path(study: Study, file: str) -> Path:
    """Where a figure is written."""
    return study.run.figures / file


def figure_markdown(path: Path, alt: str, label: str, caption: str) -> str:
    """The markdown of a figure: `alt` is any text, `caption` is markdown."""
    return captioned_figure([image_markdown(path, alt)], label, caption)


def image_markdown(path: Path, alt: str) -> str:
    """The markdown of an image without caption; the page calls it what stands before the colon in `alt`."""
    return f"![{escape_markdown(alt)}]({path.parent.name}/{path.name})"


def captioned_figure(images: Sequence[str], label: str, caption: str) -> str:
    """The markdown of images that share a caption."""
    return "\n".join([*images, f"*Figure{'s' if ' ' in label else ''} {label}. {caption}*"])


def missing_figure(label: str, what: str) -> str:
    """The markdown in place of a figure."""
    return f"Figure {label} ({what}): not measured."


def denoiser_strip(study: Study) -> str:
    """The first test images clean, noisy, and after the network and each classical filter with tuned parameters."""
    model = study.run.export / runtime.DENOISER.file
    if not model.exists() or study.test_images is None:
        return missing_figure("J", "all denoisers on the same images")
    denoiser = runtime.load_graph(runtime.DENOISER, model, threads=1)
    clean = to_float(study.test_images[:STRIP_IMAGES])
    noisy = add_noise(clean, STRIP_SIGMA, NOISES[0], seed=0)
    sets = {NOISY: noisy, NETWORK: denoiser(noisy)[0].clip(0, 1), **filter_images(noisy)}
    names = {name: f"{name}, {psnr(clean, images).mean():.1f} dB" for name, images in sets.items()}
    path = figure_path(study, "denoisers.png")
    plots.draw_rows({"clean": clean, **{names[name]: images.clip(0, 1) for name, images in sets.items()}}, path)
    listing = "; ".join(names.values())
    caption = (
        f"The first {STRIP_IMAGES} test images, from top to bottom: clean; {listing}. Unclipped noise of sigma "
        f"{format_value('sigma', STRIP_SIGMA)}; the mean PSNR of these few images says little, the tables below have more."
    )
    return figure_markdown(path, f"Rows of the same clothes: clean; {listing}.", "J", caption)


def filter_images(noisy: ImagesF32) -> dict[str, ImagesF32]:
    """Noisy images (N, 1, 28, 28) of sigma 25/255 after each classical filter that is installed."""
    tuned = filters.load_tuned()
    return {
        name: filters.restore(name, noisy, STRIP_SIGMA, filters.tuned_for(tuned, name, NOISES[0], STRIP_SIGMA))
        for name in filters.FILTERS
        if name not in not_installed()
    }

"""The report's figures of one study: each function draws files and returns the markdown that shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gan_denoise.data.fashion_mnist import to_float
from gan_denoise.eval.restoration import NOISES, add_noise
from gan_denoise.eval.tables import cell
from gan_denoise.export import runtime
from gan_denoise.study import figures
from gan_denoise.study.collapse import variety
from gan_denoise.study.report_study import JOIN, Study
from gan_denoise.study.report_tables import KEPT, plain
from gan_denoise.study.report_words import NETWORK, Rows, number, row_of, strengths_of

FOLDER = "figures"
SHOWN = 48  # latents in figures 3 and 4
STRIP = 16  # latents of each epoch
REAL = 8  # pictures with noise
EPOCHS_SHOWN = 24
SIGMAS_SHOWN = (25 / 255, 0.3)


def architecture(study: Study, label: str, network: str) -> str:
    """The layers of a network."""
    layers = study.layers.get(network)
    if not layers:
        return absent(label, f"the {network}")
    path = path_of(study, f"{network}.svg")
    figures.draw_architecture(layers, path)
    steps = "; ".join(f"{layer['layer']} gives {figures.size_of(layer['output'])}" for layer in layers)
    weights = sum(int(layer["parameters"]) for layer in layers)
    return shown(path, f"Diagram of the {network}: {steps}.", label, f"The {network}, {weights:,} weights.")


def gan_curves(study: Study) -> str:
    """Losses and accuracies of the GAN over the epochs."""
    log = study.logs["gan"]
    panels = {
        "loss": {"discriminator": "discriminator_loss", "generator": "generator_loss"},
        "accuracy": {
            "on real pictures": "accuracy_real",
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
        "The denoiser's training: the loss, and PSNR on 500 of the last 5,000 training pictures with noise of "
        "sigma 25/255, the same each time."
    )
    return _curves(study, study.logs["denoiser"], panels, "training-denoiser.svg", "C", caption)


def join_curves(study: Study) -> str:
    """Losses, accuracies and PSNR of the joined training over its epochs; nothing where the study has no such stage."""
    if JOIN not in study.stages():
        return ""
    panels = {
        "adversarial loss": {
            "discriminator of pictures": "discriminator_loss",
            "generator": "generator_loss",
            "discriminator of denoised": "denoised_discriminator_loss",
            "denoiser": "denoised_generator_loss",
        },
        "accuracy on pairs": {"of pictures": "pair_accuracy", "of denoised ones": "denoised_pair_accuracy"},
        "PSNR, dB": {"PSNR": "psnr_db"},
    }
    caption = (
        "The joined training: losses and the share of pairs in which the discriminators score the real picture higher, "
        "each the mean over an epoch, and the averaged denoiser's PSNR as in figure C."
    )
    return _curves(study, study.logs[JOIN], panels, "training-join.svg", "H", caption)


def epochs(study: Study) -> str:
    """The same latents after each epoch, or after some of very many."""
    files = samples(study)
    if not files:
        return absent("D", "generated pictures over the epochs")
    blocks, places = [], np.linspace(0, len(files) - 1, min(len(files), EPOCHS_SHOWN)).round().astype(int)
    for file in (files[i] for i in places):
        name, path = f"epoch {int(file.stem.split('-')[1])}", path_of(study, file.name)
        figures.draw_rows({name: figures.pictures_of_grid(file)[:STRIP]}, path)
        blocks.append(picture(path, f"{name.capitalize()}: clothes that the generator draws of {STRIP} latents."))
    last = int(files[-1].stem.split("-")[1])
    return captioned(blocks, "D", f"The first {STRIP} latents of seed 0 after the epochs up to {last}.")


def varieties(study: Study) -> tuple[float | None, float | None]:
    """The standard deviation between the last sample pictures, and between real ones: as logged, or of the test."""
    files = samples(study)
    if not files:
        return None, None
    last = figures.pictures_of_grid(files[-1])
    logged = number(study.logs["gan"][-1], "variety_real") if study.logs["gan"] else None
    if logged is None and study.test_images is not None:
        return variety(last), variety(to_float(study.test_images[: len(last)]))
    return variety(last), logged


def samples(study: Study) -> list[Path]:
    """The grids of fixed latents, in the order of their epochs."""
    files = (study.folder / "gan" / "samples").glob("epoch-*.png")
    return sorted(file for file in files if re.fullmatch(r"epoch-\d+", file.stem))


def before_and_after(study: Study) -> str:
    """Figures 3 and 4: the pictures of the same latents before and after the denoiser, from the fused graph."""
    model = study.folder / "export" / runtime.FUSED.file
    if not model.exists():
        return absent("3 and 4", "pictures before and after the denoiser")
    fused = runtime.load(runtime.FUSED, model, threads=1)
    outputs = fused(runtime.latents(0, 0, SHOWN, fused.input_shape[0]))
    blocks = []
    for name, images in zip(("before", "after"), outputs, strict=True):
        path = path_of(study, f"{name}.png")
        figures.draw_rows({"": images}, path)
        blocks.append(picture(path, f"{name.capitalize()} the denoiser: {SHOWN} generated pictures."))
    caption = f"Pictures before (3) and after (4) the denoiser: latents 0 to {SHOWN - 1} of seed 0, from `fused.onnx`."
    return captioned(blocks, "3 and 4", caption)


def restored(study: Study) -> str:
    """Real test pictures clean, noisy and denoised."""
    model = study.folder / "export" / runtime.DENOISER.file
    if not model.exists() or study.test_images is None:
        return absent("E", "real pictures noisy and denoised")
    denoiser = runtime.load(runtime.DENOISER, model, threads=1)
    clean = to_float(study.test_images[:REAL])
    rows = {"clean": clean}
    for sigma in SIGMAS_SHOWN:
        noisy = add_noise(clean, sigma, NOISES[0], seed=0)
        rows[f"noisy, sigma {cell('sigma', sigma)}"] = noisy.clip(0, 1)
        rows[f"denoised, sigma {cell('sigma', sigma)}"] = denoiser(noisy)[0].clip(0, 1)
    path = path_of(study, "restored.png")
    figures.draw_rows(rows, path)
    names = "; ".join(rows)
    caption = f"The first {REAL} test pictures, from top to bottom: {names} (of pixels in [0, 1])."
    return shown(path, f"Rows of real clothes: {names}.", "E", caption)


def psnr_curves(study: Study) -> str:
    """PSNR over the noise's strength, a curve a method."""
    rows, kept = study.rows("denoising"), study.kept_rows("denoising")
    curves = {method: _psnrs(rows, method) for method in dict.fromkeys(str(row.get("method")) for row in rows)}
    curves |= {f"{NETWORK} ({KEPT})": _psnrs(kept, NETWORK)} if kept else {}
    curves = {name: curve for name, curve in curves.items() if curve[0]}
    if not curves:
        return absent("F", "PSNR over the noise's strength")
    path = path_of(study, "psnr.svg")
    figures.draw_curves({"PSNR, dB": curves}, path, x_label="sigma of the noise, of pixels in [0, 1]")
    alt = f"Curves of PSNR over sigma: {', '.join(curves)}. The table below has the numbers."
    return shown(path, alt, "F", "PSNR on noisy test pictures over the strength of unclipped noise.")


def _psnrs(rows: Rows, method: str) -> figures.Curve:
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
        return absent(label, caption.split(":")[0].replace("The ", "the "))
    path = path_of(study, file)
    figures.draw_curves(drawn, path)
    ends = [
        f"{name} {curve[1][0]:.3g} to {curve[1][-1]:.3g}" for curves in drawn.values() for name, curve in curves.items()
    ]
    return shown(path, f"Curves over the epochs, first to last: {', '.join(ends)}.", label, caption)


def _series(log: Rows, field: str) -> figures.Curve:
    points = [(number(row, "epoch") or 0.0, value) for row in log if (value := number(row, field)) is not None]
    return [epoch for epoch, _ in points], [value for _, value in points]


def path_of(study: Study, file: str) -> Path:
    """Where a figure is written."""
    return study.folder / FOLDER / file


def shown(path: Path, alt: str, label: str, caption: str) -> str:
    """The markdown of a figure: `alt` is any text, `caption` is markdown."""
    return captioned([picture(path, alt)], label, caption)


def picture(path: Path, alt: str) -> str:
    """The markdown of a picture without caption; the page calls it what stands before the colon in `alt`."""
    return f"![{plain(alt)}]({FOLDER}/{path.name})"


def captioned(pictures: Sequence[str], label: str, caption: str) -> str:
    """The markdown of pictures that share a caption."""
    return "\n".join([*pictures, f"*Figure{'s' if ' ' in label else ''} {label}. {caption}*"])


def absent(label: str, what: str) -> str:
    """The markdown in place of a figure."""
    return f"Figure {label} ({what}): not measured."

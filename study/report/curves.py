"""The report's curves: losses, accuracies and PSNR over the epochs, and PSNR over the noise level."""

from __future__ import annotations

from gan_denoise.data.dataset import VALIDATION_IMAGES
from gan_denoise.eval.labels import NETWORK
from gan_denoise.eval.noise import NOISES
from gan_denoise.export.run_folder import DENOISER, GAN, JOINT
from gan_denoise.study.report import plots
from gan_denoise.study.report.figure_markdown import figure_markdown, figure_path, missing_figure
from gan_denoise.study.report.results import Study
from gan_denoise.study.report.results_text import positive_sigmas, psnr_of
from gan_denoise.study.report.tables import PUBLISHED
from gan_denoise.study.rows import Rows, get_number

MIN_POINTS = 3  # of a curve over the epochs of joint training


def gan_curves(study: Study) -> str:
    """Losses and discriminator accuracies of the GAN over the epochs."""
    panels = {
        "loss": {"discriminator": "discriminator_loss", "generator": "generator_loss"},
        "accuracy": {
            "real images": "accuracy_real",
            "generated images": "accuracy_fake",
            "pairs": "pair_accuracy",
        },
    }
    caption = "GAN training: losses and the discriminator's accuracy, each the mean over an epoch."
    return _epoch_curves(study, GAN, panels, "training-gan.svg", "B", caption)


def denoiser_curves(study: Study) -> str:
    """Loss and PSNR of the denoiser over the epochs."""
    panels = {"loss": {"loss": "loss"}, "PSNR, dB": {"PSNR": "psnr_db"}}
    images = "500 of the last 5,000 training images"
    if study.dataset is not None and not study.dataset.validates_on_training:
        count = min(VALIDATION_IMAGES, len(study.dataset.held_out))
        images = f"{count} {'test' if study.dataset.validation is None else 'validation'} images"
    elif study.dataset is not None:
        count = len(study.dataset.held_out)
        images = f"{min(VALIDATION_IMAGES, count)} of the last {count:,} training images"
    caption = f"Denoiser training: the loss, and PSNR on {images} with fixed noise of sigma 25/255."
    return _epoch_curves(study, DENOISER, panels, "training-denoiser.svg", "C", caption)


def joint_curves(study: Study) -> str:
    """Losses, accuracies and PSNR of the joint training over its epochs; empty where these are too few for a curve."""
    if JOINT not in study.stages() or 0 < len(study.logs[JOINT]) < MIN_POINTS:
        return ""
    panels = {
        "adversarial loss": {
            "discriminator, raw": "discriminator_loss",
            "generator": "generator_loss",
            "discriminator, denoised": "denoised_discriminator_loss",
            "denoiser": "denoised_generator_loss",
        },
        "accuracy on pairs": {"raw images": "pair_accuracy", "denoised images": "denoised_pair_accuracy"},
        "PSNR, dB": {"PSNR": "psnr_db"},
    }
    caption = (
        "Joint training: losses, and the fraction of pairs in which each discriminator scores the real image higher, "
        "each the mean over an epoch; PSNR of the EMA denoiser as in figure C."
    )
    return _epoch_curves(study, JOINT, panels, "training-joint.svg", "H", caption)


def psnr_curves(study: Study) -> str:
    """PSNR over the noise level, one curve per method."""
    rows, published = study.rows("denoising"), study.published_rows("denoising")
    curves = {method: _psnr_curve(rows, method) for method in dict.fromkeys(str(row.get("method")) for row in rows)}
    curves |= {f"{NETWORK} ({PUBLISHED})": _psnr_curve(published, NETWORK)} if published else {}
    curves = {name: curve for name, curve in curves.items() if curve[0]}
    if not curves:
        return missing_figure("F", "PSNR over the noise level", "`gan-denoise eval denoising` was not run")
    path = figure_path(study, "psnr.svg")
    plots.draw_curves({"PSNR, dB": curves}, path, x_label="sigma of the noise, for pixels in [0, 1]")
    alt = f"Curves of PSNR over sigma: {', '.join(curves)}. The table below has the numbers."
    return figure_markdown(path, alt, "F", "PSNR on test images over the level of unclipped noise.")


def _psnr_curve(rows: Rows, method: str) -> plots.Curve:
    points = [
        (sigma, psnr)
        for sigma in positive_sigmas(rows, NOISES[0])
        if (psnr := psnr_of(rows, method, NOISES[0], sigma)) is not None
    ]
    return [sigma for sigma, _ in points], [psnr for _, psnr in points]


def _epoch_curves(
    study: Study, stage: str, panels: dict[str, dict[str, str]], file: str, label: str, caption: str
) -> str:
    log = study.logs[stage]
    curves = {y_label: {name: _epoch_curve(log, key) for name, key in keys.items()} for y_label, keys in panels.items()}
    curves = {y_label: {name: curve for name, curve in panel.items() if curve[0]} for y_label, panel in curves.items()}
    curves = {y_label: panel for y_label, panel in curves.items() if panel}
    if not curves:
        return missing_figure(label, f"{caption.split(':')[0]} over the epochs", f"`{stage}/log.jsonl` has no epochs")
    path = figure_path(study, file)
    plots.draw_curves(curves, path)
    ends = [f"{name} {y[0]:.3g} to {y[-1]:.3g}" for panel in curves.values() for name, (_, y) in panel.items()]
    return figure_markdown(path, f"Curves over the epochs, first to last: {', '.join(ends)}.", label, caption)


def _epoch_curve(log: Rows, key: str) -> plots.Curve:
    points = [(get_number(row, "epoch") or 0.0, value) for row in log if (value := get_number(row, key)) is not None]
    return [epoch for epoch, _ in points], [value for _, value in points]

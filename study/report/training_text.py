"""Sentences about the training logs: pure functions of rows, true whatever the numbers are."""

from __future__ import annotations

from collections.abc import Mapping

from gan_denoise.eval.labels import NOT_MEASURED
from gan_denoise.markdown import code
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.report.results_text import SAME_DB
from gan_denoise.study.rows import Row, Rows, get_number
from gan_denoise.study.run.mode_collapse import COLLAPSE_FRACTION

PAPER = "paper"
PAPER_EPOCHS = 20
PAPER_BATCH = 256

SATURATED = 0.99  # accuracy on both real and generated images
CHANCE = 0.6  # an accuracy below this is close to chance
VALIDATION_START = 55_000  # the training images from here on measure the denoiser after each epoch


def describe_budget(preset: str | None, gan: Row, denoiser: Row, changes: Mapping[str, str]) -> str:
    """Whether this run had the paper's training budget; `changes` are the fields that differ from the preset's."""
    if preset not in PRESETS:
        return (
            f"The preset is not recorded: whether this run has the paper's budget ({PAPER_EPOCHS} epochs) is unknown."
        )
    epochs = [config.get("epochs", "unknown") for config in (gan, denoiser)]
    changed = ", ".join(code(f"{field}={value}") for field, value in changes.items())
    name = f"Preset `{preset}`, changed to {changed}" if changes else f"Preset `{preset}`"
    trained = f"{name}: {epochs[0]} epochs for the GAN and {epochs[1]} for the denoiser"
    if preset == PAPER and not changes:
        return f"{trained}, as in the paper."
    if epochs == [PAPER_EPOCHS, PAPER_EPOCHS]:
        return f"{trained}, as in the paper; batch size {gan.get('batch', 'unknown')} (paper: {PAPER_BATCH})."
    return (
        f"{trained}; the paper's budget is {PAPER_EPOCHS} epochs each at batch size {PAPER_BATCH}. "
        "These results **do not have the paper's budget**."
    )


def describe_progress(name: str, log: Rows, config: Row) -> str:
    """A warning when a stage logged fewer epochs than configured; empty otherwise."""
    planned = config.get("epochs")
    if not log:
        return f"Training ({name}): {NOT_MEASURED}."
    done = log[-1].get("epoch")
    if planned is None or done == planned:
        return ""
    return f"Unfinished training ({name}): {done} of {planned} epochs."


def describe_discriminator(log: Rows) -> str:
    """The accuracy of the discriminator in the last epoch, and whether it has saturated."""
    last = log[-1] if log else None
    real, fake = get_number(last, "accuracy_real"), get_number(last, "accuracy_fake")
    pairs = get_number(last, "pair_accuracy")
    if pairs is not None:
        scored = f"In the last epoch the discriminator scores the real image higher in {100 * pairs:.1f} % of pairs"
        return f"{scored}: {_saturation(pairs, pairs)}"
    if real is None or fake is None:
        return f"The discriminator's accuracy: {NOT_MEASURED}."
    correct = f"{100 * real:.1f} % of the real and {100 * fake:.1f} % of the generated images"
    return f"In the last epoch the discriminator classifies {correct} correctly: {_saturation(real, fake)}"


def describe_diversity(generated: float | None, real: float | None) -> str:
    """Whether the generator has mode collapse, from the pixelwise standard deviation between images."""
    if generated is None:
        return f"Diversity of the generated images: {NOT_MEASURED}."
    text = f"The pixelwise standard deviation between generated images is {generated:.3f}"
    if real is None:
        return f"{text}; that of real images: {NOT_MEASURED}."
    text += f" (the same number of real images: {real:.3f})"
    if generated < COLLAPSE_FRACTION * real:
        return f"{text}: **mode collapse**, or too little training; the images are nearly identical."
    return f"{text}: the generator does not draw one image for all latents."


def describe_inexact(stage: str, changes: Rows) -> str:
    """That a stage was resumed under changed conditions; empty where it was not."""
    changed = [
        f"from step {change['step']}, {name} is {now} instead of {before}"
        for change in changes
        for name, (before, now) in change["changed"].items()
    ]
    return f"Training ({stage}) was resumed with changes (--resume-inexact): {'; '.join(changed)}." if changed else ""


def describe_denoiser_training(log: Rows, images: int | None, validates_on_training: bool = True) -> str:
    """How PSNR on the validation images changed, and whether they were held out; `images` were trained on."""
    measured = [(row.get("epoch"), value) for row in log if (value := get_number(row, "psnr_db")) is not None]
    if not measured:
        return f"The denoiser's PSNR during training: {NOT_MEASURED}."
    (first, start), (last, end) = measured[0], measured[-1]
    best_epoch, best = max(measured, key=lambda item: item[1])
    if len(measured) == 1:
        text = f"PSNR after epoch {first} is {start:.2f} dB"
    else:
        verb = "hardly changes, from" if abs(end - start) < SAME_DB else "rises from" if end > start else "falls from"
        text = f"PSNR {verb} {start:.2f} dB after epoch {first} to {end:.2f} dB after epoch {last}"
    if best - end >= SAME_DB:
        text += f"; the maximum is {best:.2f} dB after epoch {best_epoch}"
    held_out = not validates_on_training or (images is not None and images <= VALIDATION_START)
    return f"{text}. These images were {'not ' if held_out else ''}part of the training."


def describe_time(name: str, log: Rows) -> str:
    """The duration of the logged epochs and the training speed."""
    seconds = [value for row in log if (value := get_number(row, "seconds")) is not None]
    rates = [value for row in log if (value := get_number(row, "images_per_s")) is not None]
    if not seconds or not rates:
        return f"Training time ({name}): {NOT_MEASURED}."
    total = sum(seconds)
    time = f"{total:.0f} s" if total < 120 else f"{total / 60:.0f} min" if total < 7200 else f"{total / 3600:.1f} h"
    count = int(log[-1].get("epoch") or len(seconds))  # of many epochs, some have a line in the log
    epochs = f"{count:,} epoch{'s' if count > 1 else ''}"
    return f"Training time ({name}): {time} ({epochs}, {min(rates):,.0f} to {max(rates):,.0f} images/s)."


def _saturation(real: float, fake: float) -> str:
    if min(real, fake) > SATURATED:
        return "**it has saturated**, and gives the generator little gradient."
    return "close to chance." if max(real, fake) < CHANCE else "it has not saturated."

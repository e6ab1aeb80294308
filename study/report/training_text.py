"""What the training logs say, in words: pure functions, true whichever way the numbers came out."""

from __future__ import annotations

from gan_denoise.eval.labels import NOT_MEASURED
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.report.results_text import SAME_DB
from gan_denoise.study.rows import Row, Rows, number
from gan_denoise.study.run.mode_collapse import COLLAPSE_FRACTION

PAPER = "paper"
PAPER_EPOCHS = 20
PAPER_BATCH = 256

SATURATED = 0.99  # accuracy on real and on fake
GUESSING = 0.6  # accuracy
HELD_OUT_FROM = 55_000  # training images from here on measure the denoiser after each epoch


def describe_budget(preset: str | None, gan: Row, denoiser: Row) -> str:
    """Whether this run had the paper's budget."""
    if preset not in PRESETS:
        return f"The preset was not recorded: whether this is the paper's budget ({PAPER_EPOCHS} epochs) is not known."
    epochs = [config.get("epochs", "unknown") for config in (gan, denoiser)]
    spent = f"epochs of the GAN {epochs[0]}, of the denoiser {epochs[1]}"
    if preset == PAPER:
        return f"Preset `{preset}`: {spent}, as the paper says."
    if epochs == [PAPER_EPOCHS, PAPER_EPOCHS]:
        batch = gan.get("batch", "unknown")
        return (
            f"Preset `{preset}`: {spent}, as the paper says, in batches of {batch} where the paper has {PAPER_BATCH}."
        )
    return (
        f"Preset `{preset}`: {spent}; the paper's budget is {PAPER_EPOCHS} epochs each with batch {PAPER_BATCH}. "
        "These are **not figures of the paper's budget**."
    )


def describe_progress(name: str, log: Rows, config: Row) -> str:
    """A warning when a stage has fewer epochs in its log than it should, else nothing."""
    wanted = config.get("epochs")
    if not log:
        return f"Training of the {name}: {NOT_MEASURED}."
    done = log[-1].get("epoch")
    return "" if wanted is None or done == wanted else f"The {name} is unfinished: {done} of {wanted} epochs."


def describe_discriminator(log: Rows) -> str:
    """Who was winning in the last epoch."""
    last = log[-1] if log else None
    real, fake = number(last, "accuracy_real"), number(last, "accuracy_fake")
    pairs = number(last, "pair_accuracy")
    if pairs is not None:
        found = f"In the last epoch the discriminator scores the real image higher in {100 * pairs:.1f} % of pairs"
        return f"{found}: {_who_wins(pairs, pairs)}"
    if real is None or fake is None:
        return f"The discriminator's accuracy: {NOT_MEASURED}."
    right = f"{100 * real:.1f} % of real and {100 * fake:.1f} % of generated images"
    found = f"In the last epoch the discriminator is right on {right}"
    return f"{found}: {_who_wins(real, fake)}"


def describe_variety(between: float | None, real: float | None) -> str:
    """Whether the generator has collapsed, from the standard deviation between its images, pixel by pixel."""
    if between is None:
        return f"Variety of the generated images: {NOT_MEASURED}."
    found = f"The standard deviation between the images of different latents is {between:.3f}"
    if real is None:
        return f"{found}; that of real ones: {NOT_MEASURED}."
    found += f" (as many real ones: {real:.3f})"
    if between < COLLAPSE_FRACTION * real:
        return f"{found}: **the generator has collapsed**, or has learnt nothing yet; its images are nearly the same."
    return f"{found}: the generator has not collapsed to one image."


def describe_inexact(stage: str, changes: Rows) -> str:
    """That a stage went on under other conditions than it began; nothing where it did not."""
    said = [
        f"after step {change['step']} {name} was {now}, not {before}"
        for change in changes
        for name, (before, now) in change["changed"].items()
    ]
    return f"The {stage} went on inexactly (--resume-inexact): {'; '.join(said)}." if said else ""


def describe_denoiser_training(log: Rows, images: int | None) -> str:
    """How PSNR on held-out images moved, and whether they were held out indeed."""
    measured = [(row.get("epoch"), value) for row in log if (value := number(row, "psnr_db")) is not None]
    if not measured:
        return f"The denoiser's PSNR during training: {NOT_MEASURED}."
    (first, start), (last, end) = measured[0], measured[-1]
    best_epoch, best = max(measured, key=lambda item: item[1])
    if len(measured) == 1:
        text = f"PSNR after epoch {first} is {start:.2f} dB"
    else:
        moved = "does not move from" if abs(end - start) < SAME_DB else "rises from" if end > start else "falls from"
        text = f"PSNR {moved} {start:.2f} dB after epoch {first} to {end:.2f} dB after epoch {last}"
    if best - end >= SAME_DB:
        text += f"; its best was {best:.2f} dB after epoch {best_epoch}"
    seen = images is None or images > HELD_OUT_FROM
    return f"{text}. The images that it is measured on were {'' if seen else 'not '}part of the training."


def describe_time(name: str, log: Rows) -> str:
    """How long the logged epochs took, and how fast they were."""
    seconds = [value for row in log if (value := number(row, "seconds")) is not None]
    rates = [value for row in log if (value := number(row, "images_per_s")) is not None]
    if not seconds or not rates:
        return f"Time for the {name}: {NOT_MEASURED}."
    total = sum(seconds)
    spent = f"{total:.0f} s" if total < 120 else f"{total / 60:.0f} min" if total < 7200 else f"{total / 3600:.1f} h"
    return f"The {name} took {spent} ({len(seconds)} epochs, {min(rates):,.0f} to {max(rates):,.0f} images/s)."


def _who_wins(real: float, fake: float) -> str:
    if min(real, fake) > SATURATED:
        return "**it has saturated**, and the generator learns little more from it."
    return "little better than guessing." if max(real, fake) < GUESSING else "it has not saturated."

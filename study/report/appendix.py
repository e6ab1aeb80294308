"""The report's appendix: the verdict by the number of images and by class, and all metrics of each epoch."""

from __future__ import annotations

import statistics
from typing import Any

from gan_denoise.eval.generation.subsets import ALL_CLASSES
from gan_denoise.markdown import bullets, code, escape_markdown
from gan_denoise.study.compare.crossover import CROSSOVER_RULE
from gan_denoise.study.compare.statistics import Estimate, build_curves, geometric_mean, group_by_snapshot, ratio_of
from gan_denoise.study.report.answer import features_section
from gan_denoise.study.report.comparison import effects_section
from gan_denoise.study.report.comparison_text import DENOISER_NAMES, describe_stability
from gan_denoise.study.report.results import SUBSETS, Study, describe_reference, source_line
from gan_denoise.study.report.tables import ratio_table
from gan_denoise.study.report.verdict import Verdict, verdict_of
from gan_denoise.study.rows import JOINT, MEAN, Row, Rows, get_number, join_words

COLUMNS = ("class", "n", "real", "raw", "denoised", "ratio", "excess_ratio")


EPOCH_COLUMNS = (
    "run",
    "denoiser",
    "epoch",
    "seeds",
    "ratio",
    *(
        f"{name}{when}"
        for name in ("", "kid_", "precision_", "recall_", "sharpness_", "noise_")
        for when in ("raw", "denoised")
    ),
    "class_preserved",
)


def appendix_section(study: Study) -> list[str]:
    """Sentences and tables; each is left out where it was not measured."""
    return [*features_section(study), *_subsets_section(study), *_epochs_section(study), *effects_section(study)]


def summarize_epochs(rows: Rows) -> list[Row]:
    """One row for each denoiser and epoch: means over the seeds, of distances and their ratio geometric."""
    summary: list[Row] = []
    for (run, epoch, denoiser), group in group_by_snapshot(rows).items():
        ratio = ratio_of(group)
        if ratio is None:
            continue
        row: dict[str, Any] = {"run": run, "denoiser": DENOISER_NAMES[denoiser], "epoch": epoch, "seeds": len(group)}
        row |= {"ratio": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high}
        for name in EPOCH_COLUMNS[5:]:
            values = [value for each in group if (value := get_number(each, name)) is not None]
            mean = geometric_mean if name in ("raw", "denoised") else statistics.mean
            row[name] = mean(values) if values else None
        summary.append(row)
    curves = list(dict.fromkeys((row["run"], row["denoiser"]) for row in summary))
    return sorted(summary, key=lambda row: curves.index((row["run"], row["denoiser"])))


def _epochs_section(study: Study) -> list[str]:
    rows, imagenet = summarize_epochs(study.crossover_rows()), summarize_epochs(study.imagenet_rows())
    if len(rows) < 2:
        return []
    curves = build_curves(study.crossover_rows())
    trained = [(run, denoiser) for run, denoiser in curves if denoiser in (MEAN, JOINT)]
    section = [
        "## Appendix: the epochs",
        _epochs_table(rows),
        "The generator of each epoch, before and after denoising; means over the seeds, of distances geometric; the "
        "ratio of distances with its 95 % interval, exploratory: not corrected for the number of epochs. "
        f"{describe_reference(study.crossover)}. The crossover is {CROSSOVER_RULE}. Command: "
        f"{code(study.crossover_command())}.",
        bullets([describe_stability(run, denoiser, study.crossover_rows()) for run, denoiser in trained]),
    ]
    if imagenet:
        text = f"The same by ImageNet features, at some of the epochs. Command: {code(study.imagenet_command())}."
        section += [_epochs_table(imagenet), text]
    return section


def _epochs_table(rows: Rows) -> str:
    return ratio_table(EPOCH_COLUMNS if len({row["run"] for row in rows}) > 1 else EPOCH_COLUMNS[1:], rows)


def _subsets_section(study: Study) -> list[str]:
    """Empty where it was not measured, or where no subset has a distance."""
    rows = [row for row in study.rows(SUBSETS) if get_number(row, "ratio") is not None]
    if not rows:
        return []
    return [
        "## Appendix: number of images, and classes",
        bullets([text for text in (describe_sizes(rows), describe_classes(rows)) if text]),
        ratio_table(COLUMNS, rows),
        "Fréchet distances of the first n generated images to the test images; those of a class, to the test images of "
        "that class. Real: of training images that the feature network did not see, as many where there are so many. "
        "In brackets the 95 % interval over the latents of this one training. The intervals of the classes are "
        "exploratory: not corrected for their number. " + source_line(study, SUBSETS),
    ]


def describe_sizes(rows: Rows) -> str:
    """How the ratio changes with the number of images; empty for a single number."""
    sizes = [row for row in rows if row["class"] == ALL_CLASSES]
    if len(sizes) < 2:
        return ""
    fewest, most = sizes[0], sizes[-1]
    verdicts = {verdict_of(_ratio(row)) for row in sizes}
    same = "The verdict is the same at each number" if len(verdicts) == 1 else "The verdict depends on the number"
    return (
        f"Fewer images give larger distances, those of real images too. From {fewest['n']:,} to {most['n']:,} images "
        f"the ratio goes from {fewest['ratio']:.3g} to {most['ratio']:.3g}. {same}."
    )


def describe_classes(rows: Rows) -> str:
    """In which classes denoising lowers and raises the distance; empty without classes."""
    classes = [row for row in rows if row["class"] != ALL_CLASSES]
    groups = {
        verdict: [f"{_name(row)} ({row['ratio']:.3g} times)" for row in classes if _is(row, verdict)]
        for verdict in Verdict
    }
    text = "; ".join(
        f"in {join_words(names)} denoising {verdict} the distance" for verdict, names in groups.items() if names
    )
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _name(row: Row) -> str:
    """The class in a sentence: `class 3` if its name is a number."""
    name = str(row["class"])
    return f"class {name}" if name.isdecimal() else escape_markdown(name)


def _is(row: Row, verdict: Verdict) -> bool:
    return verdict_of(_ratio(row)) == verdict


def _ratio(row: Row) -> Estimate:
    return Estimate(row["ratio"], get_number(row, "ratio_low"), get_number(row, "ratio_high"), seeds=1)

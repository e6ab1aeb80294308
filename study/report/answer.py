"""The report's opening: whether denoising helps, in one figure and a few sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gan_denoise.markdown import code, escape_markdown
from gan_denoise.options import FFD_1, FID, IMAGENET, OWN_CLASSIFIER, PIXELS, SECOND_CLASSIFIER
from gan_denoise.study.compare.statistics import Estimate, build_curves, estimate_geometric_mean, geometric_mean
from gan_denoise.study.report import plots
from gan_denoise.study.report.comparison import NO_CHANGE, build_epoch_bands, interval_note
from gan_denoise.study.report.comparison_text import DENOISER_NAMES
from gan_denoise.study.report.figure_markdown import figure_markdown, figure_path
from gan_denoise.study.report.results import FEATURES, SUBSETS, Study, describe_reference, source_line
from gan_denoise.study.report.results_text import describe_distance
from gan_denoise.study.report.tables import ratio_table
from gan_denoise.study.report.verdict import Verdict, verdict_of
from gan_denoise.study.rows import GAUSSIAN, JOINT, JOINT_FILTERS, MEAN, NLM, Row, Rows, get_number, join_words

FEATURE_NAMES = {
    FFD_1: "a Fashion-MNIST classifier",
    OWN_CLASSIFIER: "a classifier of these classes",
    SECOND_CLASSIFIER: "a second classifier of another architecture",
    IMAGENET: "an ImageNet network",
    PIXELS: "plain pixels",
    FID: "Inception-v3 (FID)",
}
DISTANCE = "the distance"
TRAINED = {MEAN: "separately trained denoiser", JOINT: "jointly trained denoiser"}
TRAININGS_NOTE = (
    "Geometric means over the trainings, with 95 % intervals over them (Student's t), not corrected for the number of "
    "networks. The appendix has this report's training and the command."
)
TRAININGS_COLUMNS = (
    "features",
    "seeds",
    "ratio",
    "alone_ratio",
    "excess_ratio",
    "raw",
    "alone",
    "denoised",
    "real",
    "n",
)
FEATURE_COLUMNS = (
    "features",
    "raw",
    "alone",
    "denoised",
    "ratio",
    "alone_ratio",
    "real",
    "excess_ratio",
    "n",
    "kid_real",
    "kid_raw",
    "kid_denoised",
    "precision_raw",
    "precision_denoised",
    "recall_raw",
    "recall_denoised",
)


def answer_section(study: Study) -> list[str]:
    """Figure, sentences and the table of feature networks; empty where nothing was measured."""
    crossover, imagenet = study.crossover_rows(), study.imagenet_rows()
    trainings, settings = estimate_trainings(study.features_by_name()), study.crossover.get("settings", {})
    distance = "FFD-1" if "distances are FFD-1" in str(settings.get("reference")) else DISTANCE
    if not study.rows(FEATURES) and not crossover and not study.rows("generation"):
        return []
    sentences = [
        describe_features(trainings) or describe_distance(study.rows("generation"), study.rows(SUBSETS)),
        describe_crossovers(settings.get("crossover", []), crossover, distance),
        describe_joint(crossover),
    ]
    details = [
        describe_filters(crossover, distance),
        describe_imagenet(study.crossover_imagenet.get("settings", {}).get("crossover", []), imagenet),
    ]
    return [
        "## Does denoising help?",
        " ".join(filter(None, sentences)),
        *([crossover_figure(study, crossover, imagenet)] if build_curves(crossover) else []),
        " ".join(filter(None, details)),
        *([ratio_table(TRAININGS_COLUMNS, trainings), TRAININGS_NOTE] if study.other_features else []),
        *(_features_table(study) if not study.other_features else []),
    ]


def features_section(study: Study) -> list[str]:
    """The appendix with the table of this training alone, where the answer has one of several trainings."""
    table = _features_table(study) if study.other_features else []
    return ["## Appendix: features", *table] if table else []


def _features_table(study: Study) -> list[str]:
    rows = study.rows(FEATURES)
    return [ratio_table(FEATURE_COLUMNS, rows), _features_note(study)] if rows else []


def estimate_trainings(by_name: Mapping[str, Rows]) -> list[Row]:
    """One row for each feature network: `features, n, seeds`, and the means of TRAININGS_COLUMNS over the trainings.

    The intervals are over the trainings, by Student's t; those of a single training over its latents.
    """
    estimated: list[Row] = []
    for features, rows in by_name.items():
        row: dict[str, Any] = {"features": features, "n": rows[0].get("n"), "seeds": len(rows)}
        for name in ("real", "raw", "alone", "denoised", "excess_ratio"):
            values = [value for each in rows if (value := get_number(each, name)) is not None]
            row[name] = geometric_mean(values) if len(values) == len(rows) else None
        for name in ("ratio", "alone_ratio"):
            estimate = estimate_geometric_mean(rows, name)
            if estimate is not None and estimate.seeds == 1:
                estimate = estimate._replace(
                    low=get_number(rows[0], f"{name}_low"), high=get_number(rows[0], f"{name}_high")
                )
            value, low, high = estimate[:3] if estimate is not None else (None, None, None)
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        estimated.append(row)
    return estimated


def describe_features(trainings: Rows) -> str:
    """What denoising does to the distance by each feature network, from the rows of `estimate_trainings`."""
    groups = _group_by_verdict(trainings, "ratio", FEATURE_NAMES)
    if not groups:
        return ""
    verdicts = "; ".join(f"on {_of_features(names)} denoising {it} the distance" for it, names in groups.items())
    of_alone = _group_by_verdict(trainings, "alone_ratio", {})  # by the names that the table has
    alone = "; ".join(f"it {it} the distance by {join_words(names)}" for it, names in of_alone.items())
    seeds = max(row["seeds"] for row in trainings)
    opening = f"Over {seeds} trainings" if seeds > 1 else "In this training (intervals over its latents)"
    verdicts = verdicts.replace("the distance", "the Fréchet distance to real images", 1)
    return f"{opening}, {verdicts}.{f' Compared with the generator alone, {alone}.' if alone else ''}"


def _group_by_verdict(trainings: Rows, column: str, titles: Mapping[str, str]) -> dict[Verdict, list[str]]:
    """The feature networks, each with its ratio in `column`, by the verdict on that ratio."""
    groups: dict[Verdict, list[str]] = {}
    for row in trainings:
        if (ratio := get_number(row, column)) is not None:
            features = str(row["features"])
            name = titles.get(features, escape_markdown(features))
            number = f"FFD-1: {ratio:.3g} times" if features == FFD_1 and titles else f"{ratio:.3g} times"
            low, high = (get_number(row, f"{column}_{end}") for end in ("low", "high"))
            groups.setdefault(verdict_of(Estimate(ratio, low, high, row["seeds"])), []).append(f"{name} ({number})")
    return groups


def _of_features(names: Sequence[str]) -> str:
    pixels = [name for name in names if name.startswith(FEATURE_NAMES[PIXELS])]
    networks = [name for name in names if name not in pixels]
    return " and on ".join([*([f"the features of {join_words(networks)}"] if networks else []), *pixels])


def describe_crossovers(found: Sequence[dict[str, Any]], rows: Rows, distance: str = DISTANCE) -> str:
    """The last epoch at which each trained denoiser lowers the distance, over the seeds; `distance` is its name."""
    sentences = []
    several = len({crossover["run"] for crossover in found}) > 1
    for crossover in found:
        if crossover["denoiser"] not in (MEAN, JOINT):
            continue
        of_run = [row for row in rows if (row["run"], row["denoiser"]) == (crossover["run"], crossover["denoiser"])]
        last = max(int(row["epoch"]) for row in of_run)
        seeds, helped = len(crossover["epochs"]), [epoch for epoch in crossover["epochs"] if epoch]
        name = f" of {code(crossover['run'])}" if several else ""
        where = f"Over {last} epochs{name} ({seeds} seed{'s' if seeds > 1 else ''})"
        denoiser = TRAINED[crossover["denoiser"]]
        if not helped:
            text = f"the {denoiser} lowers {distance} at no epoch"
        elif min(crossover["epochs"]) == last:
            text = f"the {denoiser} still lowers {distance} at the last epoch{' in each seed' if seeds > 1 else ''}"
        else:
            first, end = min(helped), max(helped)
            epochs = f"epoch {first}" if first == end else f"epoch {first} to {end}, by seed"
            text = f"the {denoiser} lowers {distance} for the last time at {epochs}"
            never, still = seeds - len(helped), helped.count(last)
            text += f", in {never} of {seeds} seeds at no epoch" if never else ""
            text += f", in {still} of {seeds} seeds at the last one measured" if still else ""
        ratio = build_curves(of_run)[crossover["run"], crossover["denoiser"]][-1].ratio
        interval = "" if ratio.low is None else f" ({ratio.low:.3f} to {ratio.high:.3f})"
        over = "over the seeds " if seeds > 1 else ""
        times = f"{ratio.value:.3f} times that of raw images{interval}"
        effect = f"at epoch {last} it is {times}: {over}denoising {verdict_of(ratio)} it"
        sentences.append(f"{where} {text}; {effect}.")
    return " ".join(sentences)


def describe_joint(rows: Rows) -> str:
    """What joint training does to the distance where it has a single epoch, and so no crossover; empty without it."""
    sentences = []
    for (run, denoiser), points in build_curves(rows).items():
        if denoiser == JOINT and len(points) == 1 and points[0].ratio.seeds > 1:
            ratio = points[0].ratio
            sentences.append(
                f"After joint training ({code(run)}, {ratio.seeds} seeds) the distance of figure K is "
                f"{ratio.value:.2f} times ({ratio.low:.2f} to {ratio.high:.2f}) that of the same images raw."
            )
    return " ".join(sentences)


def describe_filters(rows: Rows, distance: str = DISTANCE) -> str:
    """The ratios of the tuned filters beside the denoiser's, at the first and the last measured epoch."""
    ratios = _describe_ratios(rows, distance)
    opening = "Filters tuned on held-out images show whether blurring is enough"
    return f"{opening}: {ratios}." if ratios else ""


def describe_imagenet(found: Sequence[dict[str, Any]], rows: Rows) -> str:
    """The same epochs by ImageNet features; empty where these were not measured."""
    last, ratios = describe_crossovers(found, rows), _describe_ratios(rows)
    text = " ".join(filter(None, (last, ratios and f"{ratios[:1].upper()}{ratios[1:]}.")))
    return f"On the features of {FEATURE_NAMES[IMAGENET]}: {text[:1].lower()}{text[1:]}" if text else ""


def _describe_ratios(rows: Rows, distance: str = DISTANCE) -> str:
    curves = build_curves(rows)
    sentences = []
    for (run, denoiser), points in curves.items():
        keys = {name: (run, JOINT_FILTERS[name] if denoiser == JOINT else name) for name in (GAUSSIAN, NLM)}
        filters = {name: curves[key] for name, key in keys.items() if key in curves}
        if denoiser not in (MEAN, JOINT) or not filters:
            continue
        names = {TRAINED[denoiser]: points, **{DENOISER_NAMES[name]: those for name, those in filters.items()}}
        parts = [
            f"by {join_words(f'{those[i].ratio.value:.2f} ({name})' for name, those in names.items())} "
            f"at epoch {points[i].epoch}"
            for i in (0, -1)
        ]
        sentences.append(f"{distance} is multiplied {', and '.join(dict.fromkeys(parts))}")
    return "; ".join(sentences)


def crossover_figure(study: Study, rows: Rows, imagenet: Rows) -> str:
    """The ratio of the distances after and before denoising over the epochs, a curve for each denoiser.

    `imagenet` are the rows by ImageNet features, which may be none.
    """
    every = build_epoch_bands(rows)
    every |= {f"{name}, ImageNet features": band for name, band in build_epoch_bands(imagenet).items()}
    bands = {name: band for name, band in every.items() if len(band.x) > 1} or every
    single = {name: every[name].y[0] for name in every if name not in bands}  # joint training is short
    path = figure_path(study, "crossover.svg")
    plots.draw_bands(bands, path, plots.EPOCH, "distance after / before", {NO_CHANGE: 1.0, **single})
    ends = "; ".join(f"{name} {band.y[0]:.3g} to {band.y[-1]:.3g}" for name, band in bands.items())
    ends += "".join(f"; {name} {ratio:.3g}" for name, ratio in single.items())
    dashed = f" Dashed: {join_words(single)}, after its only epoch." if single else ""
    of_imagenet = describe_reference(study.crossover_imagenet)
    caption = (
        "The Fréchet distance after denoising over the one before, at each epoch of the generator; below 1 denoising "
        f"helps. {describe_reference(study.crossover)}. {interval_note(rows, of_ratio=True).capitalize()}.{dashed} "
        f"{f'By ImageNet features: {of_imagenet}. ' if imagenet else ''}Commands: see Reproducing these results."
    )
    return figure_markdown(path, f"Curves of the ratio over the epochs, first to last: {ends}.", "K", caption)


def _features_note(study: Study) -> str:
    if all(get_number(row, "raw") is None for row in study.rows(FEATURES)):
        return (
            "Kernel distances (KID) of generated images to test images, of which there are too few for a Fréchet "
            "distance. Real: of training images that the feature network did not see. " + source_line(study, FEATURES)
        )
    has_alone = any(row.get("alone") is not None for row in study.rows(FEATURES))
    alone = "Generator alone: of one trained without the denoiser. " if has_alone else ""
    return (
        "Fréchet distances of generated images to test images by the features of several networks; for FFD-1 to "
        "all 10,000, otherwise to as many as are generated. Real: of training images that the feature networks did"
        f" not see. {alone}In brackets the 95 % interval over the latents of this one training. Ratio above real: "
        "the ratio of what lies above the distance of the real images. KID, precision and recall are by the same "
        "features: KID, the kernel distance, is the better one for few images; precision is the fraction of images"
        " that look real, recall the fraction of the variety of real images that is reached. "
        + source_line(study, FEATURES)
    )

"""The report's section on the runs of `study compare`, 'Does denoising help?', and the distances over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gan_denoise.eval.columns import format_value, title_of
from gan_denoise.eval.labels import NOT_MEASURED
from gan_denoise.markdown import bullets, code, escape_markdown, markdown_table
from gan_denoise.study.compare.paired import compare_pairs, describe_test
from gan_denoise.study.compare.statistics import (
    Estimate,
    Point,
    build_curves,
    collect_pairs,
    estimate_difference,
    estimate_geometric_mean,
    group_by_snapshot,
    ratio_of,
)
from gan_denoise.study.experiments import EXPERIMENTS
from gan_denoise.study.report import plots
from gan_denoise.study.report.comparison_text import (
    CONTROLS,
    DENOISER_NAMES,
    control_ratio,
    count_seeds,
    describe_answer,
    describe_control,
    describe_cost,
    describe_stability,
)
from gan_denoise.study.report.figure_markdown import figure_markdown, figure_path, missing_figure
from gan_denoise.study.report.results import Study, describe_reference
from gan_denoise.study.report.verdict import Verdict, verdict_of
from gan_denoise.study.rows import JOINT, Rows, get_number

X_LABEL, Y_LABEL = "Fréchet distance of raw images", "distance denoised / raw"
NO_CHANGE = "no change"
MAX_CURVES = 5  # in figure G
EFFECTS = {
    Verdict.LOWERS: "lowers",
    Verdict.RAISES: "raises",
    Verdict.UNCLEAR: "unclear",
    Verdict.UNTESTED: "untested",
}
EFFECT_COLUMNS = (
    "run",
    "denoiser",
    "epoch",
    "seeds",
    "effect",
    "ratio",
    "raw",
    "denoised",
    "precision_change",
    "recall_change",
    "class_preserved",
)

PAIRED_COLUMNS = ("run", "against", "set", "seeds", "lower", "ratio", "ratio_low", "ratio_high", "p", "smallest_p")

Curves = dict[str, Sequence[Point]]


def comparison_section(study: Study) -> list[str]:
    """The section's paragraphs: figure, answer, and sentences on stability, controls and cost."""
    rows = study.compare_rows()
    curves = build_curves(rows)
    if not curves:
        return []
    settings, notes = study.compare.get("settings", {}), study.compare.get("notes", {})
    return [
        ratio_figure(study, rows),
        f"{describe_answer(rows)} The appendix lists them.",
        paired_comparison(rows),
        bullets(
            [*(describe_stability(*key, rows) for key in curves), *(describe_control(rows, name) for name in CONTROLS)]
        ),
        describe_cost(
            study.rows("denoising"), study.rows("bench"), study.results["bench"].get("machine", {}).get("threads")
        ),
        f"Distances: {escape_markdown(notes.get('raw, denoised', 'not described'))}; reference: "
        f"{escape_markdown(settings.get('reference', 'not recorded'))}{_seen(settings)}. Command: "
        f"{code(study.compare_command())}.",
    ]


def effects_section(study: Study) -> list[str]:
    """The appendix with a line for each run, epoch and denoiser of `study compare`."""
    rows = study.compare_rows()
    if not build_curves(rows):
        return []
    return [
        "## Appendix: the compared runs",
        effects_table(rows),
        "Distances are geometric means over the seeds; the ratio is denoised / raw; Δ is denoised minus raw. In "
        "brackets: 95 % confidence intervals, over the seeds (Student's t), or of the ratio of a single training over "
        "its latents. The effect is unclear where the interval of the ratio includes 1, untested where there is none. "
        "These comparisons are exploratory: their number is not corrected for. Class preserved: the fraction of images "
        "that the classifier assigns to the same class before and after denoising. Separate training: of a "
        "denoiser that never saw generated images. " + describe_runs(rows),
    ]


def describe_runs(rows: Rows) -> str:
    """What the compared runs are that `study experiment` trains."""
    names = dict.fromkeys(str(row["run"]) for row in rows)
    known = [f"{code(name)}: {EXPERIMENTS[name].description}" for name in names if name in EXPERIMENTS]
    return f"Runs: {'; '.join(known)}." if known else ""


def _seen(settings: Mapping[str, Any]) -> str:
    """Which runs were trained on the reference images too; empty for none."""
    return f"; {escape_markdown(settings['seen'])}" if "seen" in settings else ""


def ratio_figure(study: Study, rows: Rows) -> str:
    """Figure G: the ratio of denoised to raw distance, over raw: one curve per denoiser, one point per epoch.

    At most MAX_CURVES, of those with several epochs; the appendix has the others.
    """
    curves = dict(
        sorted(
            ((name, points) for name, points in named_curves(rows).items() if len(points) > 1),
            key=lambda curve: -len(curve[1]),
        )[:MAX_CURVES]
    )
    if not curves:
        return ""
    controls = {name: ratio.value for name in CONTROLS if (ratio := control_ratio(rows, name)) is not None}
    lines = {NO_CHANGE: 1.0, **{f"{name}, no denoiser": value for name, value in controls.items()}}
    path = figure_path(study, "compare.svg")
    plots.draw_bands({name: build_band(points) for name, points in curves.items()}, path, X_LABEL, Y_LABEL, lines)
    dashed = (
        f" Dashed: the raw distance of {' and '.join(f'`{name}`' for name in controls)} over that of `quarter`."
        if controls
        else ""
    )
    caption = (
        "The ratio of the Fréchet distances after and before denoising, over the distance before; below 1 denoising "
        f"helps. One point for each epoch; {interval_note(rows, of_ratio=True)}; at most {MAX_CURVES} curves, the "
        f"appendix has the others.{dashed} {describe_reference(study.compare)}"
        f"{_seen(study.compare.get('settings', {}))}."
    )
    return figure_markdown(path, _ratio_alt(curves, lines), "G", caption)


def named_curves(rows: Rows) -> Curves:
    """The curves by denoiser, with the run in brackets where several runs have that denoiser."""
    curves = build_curves(rows)
    denoisers = [denoiser for _, denoiser in curves]
    return {
        _denoiser_name(denoiser) + (f" ({run})" if denoisers.count(denoiser) > 1 else ""): points
        for (run, denoiser), points in curves.items()
    }


def build_band(points: Sequence[Point]) -> plots.Band:
    """The ratios of points with their intervals, over the raw distances."""
    return _band([point.raw for point in points], [point.ratio for point in points])


def effects_table(rows: Rows) -> str:
    """A line for each run, epoch and denoiser; each number has its interval where there are several seeds."""
    lines = []
    for (run, epoch, denoiser), group in group_by_snapshot(rows).items():
        ratio = ratio_of(group)
        if ratio is None:
            continue
        changes = [
            estimate_difference(collect_pairs(group, f"{name}_raw", f"{name}_denoised"))
            for name in ("precision", "recall")
        ]
        preserved = [(0.0, value) for row in group if (value := get_number(row, "class_preserved")) is not None]
        lines.append(
            [
                escape_markdown(run),
                escape_markdown(_denoiser_name(denoiser)),
                f"{epoch}",
                f"{ratio.seeds}",
                EFFECTS[verdict_of(ratio)],
                _cell(ratio, ".3f"),
                *(_cell(estimate_geometric_mean(group, name), ".3f") for name in ("raw", "denoised")),
                *(_cell(change, "+.3f") for change in changes),
                _cell(estimate_difference(preserved), ".1%"),
            ]
        )
    return markdown_table([title_of(key) for key in EFFECT_COLUMNS], lines)


def paired_comparison(rows: Rows) -> str:
    """A table of the runs against the first one, paired by seed, and what it can show.

    Empty where no run shares two seeds with the first: a single pair has a ratio, and neither interval nor test.
    """
    pairs = [row for row in compare_pairs(rows) if row["seeds"] > 1]
    if not pairs:
        return ""
    cells = [[escape_markdown(format_value(key, row[key])) for key in PAIRED_COLUMNS] for row in pairs]
    table = markdown_table([title_of(key) for key in PAIRED_COLUMNS], cells)
    return f"{table}\n\n{'. '.join(f'{name}: {text}' for name, text in describe_test(pairs).items())}."


def distance_figure(study: Study) -> str:
    """Figure L: the distances of raw and denoised images over the epochs of the study, or of the compared runs."""
    content = study.crossover if study.crossover_rows() else study.compare
    rows = list(content.get("rows", []))
    bands, distance = build_distance_bands(rows), "Fréchet distance"
    if not bands:  # fewer images than features
        bands, distance = build_kid_bands(rows), "KID"
    if not bands:
        reason = "no result of `gan-denoise study compare --epochs --json` with several epochs of a run"
        return missing_figure("L", "the Fréchet distance over the epochs, raw and denoised", reason)
    path = figure_path(study, "distances.svg")
    plots.draw_bands(bands, path, plots.EPOCH, distance)
    ends = "; ".join(f"{name} {band.y[0]:.3g} to {band.y[-1]:.3g}" for name, band in bands.items())
    if distance == "KID":
        features = escape_markdown(study.crossover.get("settings", {}).get("features", "unknown"))
        caption = f"KID over the epochs, raw and denoised, on the features {features}; one seed, no intervals."
        return figure_markdown(path, f"Curves over the epochs, first to last: {ends}.", "L", caption)
    caption = (
        "The Fréchet distance over the epochs, raw and denoised (for joint training, over its own epochs). Geometric "
        f"means over the seeds; {interval_note(rows)}. {describe_reference(content)}"
        f"{_seen(content.get('settings', {}))}."
    )
    return figure_markdown(path, f"Curves over the epochs, first to last: {ends}.", "L", caption)


def build_distance_bands(rows: Rows) -> dict[str, plots.Band]:
    """A curve of raw and one of denoised distances for each run and denoiser with several epochs.

    The name of the run is part of a curve's name where there are several runs.
    """
    curves: dict[str, dict[int, Estimate]] = {}
    groups, measured = group_by_snapshot(rows), build_curves(rows)
    several = len({run for run, _ in measured}) > 1
    for (run, denoiser), points in measured.items():
        of_run = f" ({run})" if several else ""
        raw = f"raw, joint{of_run}" if denoiser == JOINT else f"raw{of_run}"  # one curve for all separate denoisers
        for epoch in (point.epoch for point in points if len(points) > 1):
            for name, column in ((raw, "raw"), (f"{_denoiser_name(denoiser)}{of_run}", "denoised")):
                if distance := estimate_geometric_mean(groups[run, epoch, denoiser], column):
                    curves.setdefault(name, {})[epoch] = distance
    return {name: _band(list(curve), list(curve.values())) for name, curve in curves.items()}


def build_kid_bands(rows: Rows) -> dict[str, plots.Band]:
    """The curves of `build_distance_bands` for KID, of one run with several epochs.

    Values of 0 and below are left out: the axis is logarithmic.
    """
    curves: dict[str, dict[int, Estimate]] = {}
    for row in rows:
        raw = "raw, joint" if row["denoiser"] == JOINT else "raw"
        for name, column in ((raw, "kid_raw"), (_denoiser_name(row["denoiser"]), "kid_denoised")):
            if (kid := get_number(row, column)) is not None and kid > 0:
                curves.setdefault(name, {})[int(row["epoch"])] = Estimate(kid, None, None, seeds=1)
    return {name: _band(list(curve), list(curve.values())) for name, curve in curves.items() if len(curve) > 1}


def build_epoch_bands(rows: Rows) -> dict[str, plots.Band]:
    """The ratio of each denoiser over the epochs, named by the denoiser, with the run where there are several."""
    return {
        name: _band([point.epoch for point in points], [point.ratio for point in points])
        for name, points in named_curves(rows).items()
    }


def _band(x: Sequence[float], estimates: Sequence[Estimate]) -> plots.Band:
    """Estimates with their intervals; without an interval, `low` and `high` are the estimate itself."""
    return plots.Band(
        x=x,
        y=[estimate.value for estimate in estimates],
        low=[estimate.value if estimate.low is None else estimate.low for estimate in estimates],
        high=[estimate.value if estimate.high is None else estimate.high for estimate in estimates],
    )


def _denoiser_name(denoiser: object) -> str:
    return DENOISER_NAMES.get(str(denoiser), str(denoiser))


def interval_note(rows: Rows, of_ratio: bool = False) -> str:
    """What the intervals of the curves mean; those of a ratio are over the latents where there is one seed."""
    seeds = count_seeds(rows)
    if seeds > 1:
        return f"95 % confidence intervals over up to {seeds} seeds"
    measured = of_ratio and any(get_number(row, "ratio_low") is not None for row in rows)
    return "one seed; 95 % confidence intervals over its latents" if measured else "one seed, no intervals"


def _ratio_alt(curves: Curves, lines: dict[str, float]) -> str:
    def end(point: Point) -> str:
        return f"{point.ratio.value:.3f} at {point.raw:.3g}"

    parts = [
        f"{name} {end(points[0])}" + (f" to {end(points[-1])}" if len(points) > 1 else "")
        for name, points in curves.items()
    ]
    parts += [f"{name} at {value:.3f}" for name, value in lines.items() if name != NO_CHANGE]
    return f"Curves of the ratio over the raw distance, first to last epoch: {'; '.join(parts)}."


def _cell(estimate: Estimate | None, number_format: str) -> str:
    """A number and its interval."""
    if estimate is None:
        return NOT_MEASURED
    value = f"{estimate.value:{number_format}}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} ({estimate.low:{number_format}} to {estimate.high:{number_format}})"

"""The report's answer to whether denoising helps: a figure and sentences from the runs of `study compare`."""

from __future__ import annotations

from collections.abc import Sequence

from gan_denoise.eval.columns import title_of
from gan_denoise.eval.labels import NOT_MEASURED
from gan_denoise.markdown import bullets, code, escape_markdown, markdown_table
from gan_denoise.study.compare.statistics import (
    JOINT,
    Estimate,
    Point,
    curves_of,
    difference_of,
    groups_of,
    level_of,
    pairs_of,
    ratio_of,
)
from gan_denoise.study.report import plots
from gan_denoise.study.report.comparison_text import (
    CONTROLS,
    LOWERS,
    OPEN,
    RAISES,
    WAYS,
    control_ratio,
    describe_answer,
    describe_control,
    describe_cost,
    describe_stability,
    seeds_of,
    verdict_of,
)
from gan_denoise.study.report.figures import figure_markdown, figure_path, missing_figure
from gan_denoise.study.report.results import Study
from gan_denoise.study.rows import Rows, number

X_LABEL, Y_LABEL = "raw Fréchet distance of the generator", "denoised / raw distance"
NO_CHANGE = "no change"

Curves = dict[str, Sequence[Point]]

VERDICTS = {LOWERS: "lowers", RAISES: "raises", OPEN: "open"}
EFFECT_COLUMNS = (
    "run",
    "denoiser",
    "epoch",
    "seeds",
    "verdict",
    "ratio",
    "raw",
    "denoised",
    "precision",
    "recall",
    "class_preserved",
)


def headline(study: Study) -> list[str]:
    """The section's paragraphs: the figure, the answer, the table, and sentences on stability, controls and cost."""
    rows = study.compared()
    curves = curves_of(rows)
    if not curves:
        return []
    settings, notes = study.compare.get("settings", {}), study.compare.get("notes", {})
    return [
        ratios(study, rows),
        describe_answer(rows),
        effects_table(rows),
        "Distances are geometric means over the seeds; the ratio is that of denoised and raw, precision and recall are "
        "by how much they move. In brackets: intervals of 95 % (Student's t), which one seed has not. An open ratio is "
        "one whose interval includes 1, or of one seed within 2 % of 1.",
        bullets(
            [*(describe_stability(*key, rows) for key in curves), *(describe_control(rows, name) for name in CONTROLS)]
        ),
        describe_cost(study.rows("denoising"), study.rows("bench")),
        f"Distances are {escape_markdown(notes.get('raw, denoised', 'not described'))}, against "
        f"{escape_markdown(settings.get('reference', 'a reference not recorded'))}. Command: {code(study.comparing_command())}.",
    ]


def ratios(study: Study, rows: Rows) -> str:
    """The ratio of denoised and raw distance over the raw one: a curve a way to denoise, its points the epochs."""
    curves = named_curves(rows)
    found = {control: ratio.value for control in CONTROLS if (ratio := control_ratio(rows, control)) is not None}
    levels = {NO_CHANGE: 1.0, **{f"{name}, not denoised": value for name, value in found.items()}}
    path = figure_path(study, "compare.svg")
    plots.draw_bands({name: band_of(points) for name, points in curves.items()}, path, X_LABEL, Y_LABEL, levels)
    seeds = seeds_of(rows)
    intervals = f"intervals of 95 % over up to {seeds} seeds" if seeds > 1 else "one seed, no intervals"
    controls = f" Broken lines: {' and '.join(found)}, whose raw distance is over that of `quarter`." if found else ""
    caption = (
        f"The Fréchet distance after denoising over that before, against the latter; below 1 denoising helps. A point "
        f"is an epoch; {intervals}.{controls}"
    )
    return figure_markdown(path, _alt(curves, levels), "G", caption)


def named_curves(rows: Rows) -> Curves:
    """The curves by way to denoise, and by run where several runs have it."""
    curves = curves_of(rows)
    ways = [denoiser for _, denoiser in curves]
    names = {key: WAYS.get(key[1], key[1]).lower() for key in curves}
    return {names[key] + (f" ({key[0]})" if ways.count(key[1]) > 1 else ""): points for key, points in curves.items()}


def band_of(points: Sequence[Point]) -> plots.Band:
    """The ratios of points over their raw distances; where there is no interval it is the ratio itself."""
    ratios = [point.ratio for point in points]
    return plots.Band(
        x=[point.raw for point in points],
        y=[ratio.value for ratio in ratios],
        low=[ratio.value if ratio.low is None else ratio.low for ratio in ratios],
        high=[ratio.value if ratio.high is None else ratio.high for ratio in ratios],
    )


def _alt(curves: Curves, levels: dict[str, float]) -> str:
    ends = [
        f"{name} {_end(points[0])}" + (f" to {_end(points[-1])}" if points[1:] else "")
        for name, points in curves.items()
    ]
    lines = [f"{name} at {level:.3f}" for name, level in levels.items() if name != NO_CHANGE]
    return f"Curves of the ratio over the raw distance, first to last epoch: {'; '.join([*ends, *lines])}."


def _end(point: Point) -> str:
    return f"{point.ratio.value:.3f} at {point.raw:.3g}"


def distances(study: Study) -> str:
    """The figure of the distances over the epochs."""
    rows = study.compared()
    bands = bands_of(rows)
    if not bands:
        return missing_figure("K", "the distance over the epochs, raw and denoised")
    path = figure_path(study, "distances.svg")
    plots.draw_bands(bands, path, plots.EPOCH, "Fréchet distance")
    ends = "; ".join(f"{name} {band.y[0]:.3g} to {band.y[-1]:.3g}" for name, band in bands.items())
    seeds = seeds_of(rows)
    intervals = f"bands are intervals of 95 % over up to {seeds} seeds" if seeds > 1 else "one seed, no bands"
    caption = (
        "The Fréchet distance over the epochs, raw and denoised, of the runs under 'Does denoising help?' that were "
        f"measured after several epochs (of the join, where both train together): geometric means; {intervals}."
    )
    return figure_markdown(path, f"Curves over the epochs, first to last: {ends}.", "K", caption)


def bands_of(rows: Rows) -> dict[str, plots.Band]:
    """A curve of raw and one of denoised distances for each run and way that were measured after several epochs."""
    found: dict[str, dict[int, Estimate]] = {}
    for key, points in curves_of(rows).items():
        for epoch in (point.epoch for point in points if points[1:]):
            group = groups_of(rows)[key[0], epoch, key[1]]
            raw = f"raw ({key[0]}{', join' if key[1] == JOINT else ''})"  # the same whatever denoises it
            for name, column in ((raw, "raw"), (f"{WAYS.get(key[1], key[1]).lower()} ({key[0]})", "denoised")):
                if level := level_of(group, column):
                    found.setdefault(name, {})[epoch] = level
    return {name: _band(list(levels), list(levels.values())) for name, levels in found.items()}


def effects_table(rows: Rows) -> str:
    """A line for each run, way to denoise and epoch; where there are several seeds each number has its interval."""
    lines = []
    for (run, epoch, denoiser), group in groups_of(rows).items():
        ratio = ratio_of(pairs_of(group, "raw", "denoised"))
        if ratio is None:
            continue
        moves = [difference_of(pairs_of(group, f"{name}_raw", f"{name}_denoised")) for name in ("precision", "recall")]
        same = difference_of([(0.0, value) for row in group if (value := number(row, "class_preserved")) is not None])
        lines.append(
            [
                escape_markdown(run),
                escape_markdown(WAYS.get(denoiser, denoiser).lower()),
                f"{epoch}",
                f"{ratio.seeds}",
                VERDICTS[verdict_of(ratio)],
                _cell(ratio, ".3f"),
                *(_cell(level_of(group, name), ".3f") for name in ("raw", "denoised")),
                *(_cell(move, "+.3f") for move in moves),
                _cell(same, ".1%"),
            ]
        )
    return markdown_table([title_of(key) for key in EFFECT_COLUMNS], lines)


def _band(epochs: Sequence[int], levels: Sequence[Estimate]) -> plots.Band:
    return plots.Band(
        x=epochs,
        y=[level.value for level in levels],
        low=[level.value if level.low is None else level.low for level in levels],
        high=[level.value if level.high is None else level.high for level in levels],
    )


def _cell(found: Estimate | None, form: str) -> str:
    """A number and its interval."""
    if found is None:
        return NOT_MEASURED
    if found.low is None or found.high is None:
        return f"{found.value:{form}}"
    return f"{found.value:{form}} ({found.low:{form}} to {found.high:{form}})"

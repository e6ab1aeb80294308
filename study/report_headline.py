"""The report's answer to whether denoising helps: a figure and sentences from the runs of `study compare`."""

from __future__ import annotations

from collections.abc import Sequence

from gan_denoise.study import figures
from gan_denoise.study.report_compare import (
    CONTROLS,
    WAYS,
    control_ratio,
    say_answer,
    say_control,
    say_cost,
    say_stability,
    seeds_of,
)
from gan_denoise.study.report_distances import effects_table
from gan_denoise.study.report_figures import path_of, shown
from gan_denoise.study.report_study import Study
from gan_denoise.study.report_tables import code, plain
from gan_denoise.study.report_words import Rows
from gan_denoise.study.summary import Point, curves_of

X_LABEL, Y_LABEL = "raw Fréchet distance of the generator", "denoised / raw distance"
NO_CHANGE = "no change"

Curves = dict[str, Sequence[Point]]


def headline(study: Study) -> list[str]:
    """The section's paragraphs: the figure, the answer, the table, and sentences on stability, controls and cost."""
    rows = study.compared()
    curves = curves_of(rows)
    if not curves:
        return []
    settings = study.compare.get("settings", {})
    return [
        ratios(study, rows),
        say_answer(rows),
        effects_table(rows),
        "Distances are geometric means over the seeds; the ratio is that of denoised and raw, precision and recall are "
        "by how much they move. In brackets: intervals of 95 % (Student's t), which one seed has not. An open ratio is "
        "one whose interval includes 1, or of one seed within 2 % of 1.",
        _bullets([*(say_stability(*key, rows) for key in curves), *(say_control(rows, name) for name in CONTROLS)]),
        say_cost(study.rows("denoising"), study.rows("bench")),
        f"Distances are {plain(settings.get('raw, denoised', 'not described'))}, against "
        f"{plain(settings.get('reference', 'a reference not recorded'))}. Command: {code(study.comparing_command())}.",
    ]


def ratios(study: Study, rows: Rows) -> str:
    """The ratio of denoised and raw distance over the raw one: a curve a way to denoise, its points the epochs."""
    curves = named_curves(rows)
    found = {control: ratio.value for control in CONTROLS if (ratio := control_ratio(rows, control)) is not None}
    levels = {NO_CHANGE: 1.0, **{f"{name}, not denoised": value for name, value in found.items()}}
    path = path_of(study, "compare.svg")
    figures.draw_bands({name: band_of(points) for name, points in curves.items()}, path, X_LABEL, Y_LABEL, levels)
    seeds = seeds_of(rows)
    intervals = f"intervals of 95 % over up to {seeds} seeds" if seeds > 1 else "one seed, no intervals"
    controls = f" Broken lines: {' and '.join(found)}, whose raw distance is over that of `quarter`." if found else ""
    caption = (
        f"The Fréchet distance after denoising over that before, against the latter; below 1 denoising helps. A point "
        f"is an epoch; {intervals}.{controls}"
    )
    return shown(path, _alt(curves, levels), "G", caption)


def named_curves(rows: Rows) -> Curves:
    """The curves by way to denoise, and by run where several runs have it."""
    curves = curves_of(rows)
    ways = [denoiser for _, denoiser in curves]
    names = {key: WAYS.get(key[1], key[1]).lower() for key in curves}
    return {names[key] + (f" ({key[0]})" if ways.count(key[1]) > 1 else ""): points for key, points in curves.items()}


def band_of(points: Sequence[Point]) -> figures.Band:
    """The ratios of points over their raw distances; where there is no interval it is the ratio itself."""
    ratios = [point.ratio for point in points]
    return figures.Band(
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


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines if line)

"""What `study compare` measured at each age: the distances over the epochs, and every number with its interval."""

from __future__ import annotations

from collections.abc import Sequence

from gan_denoise.eval.tables import NOT_MEASURED
from gan_denoise.study import figures
from gan_denoise.study.report_compare import LOWERS, OPEN, RAISES, WAYS, seeds_of, verdict_of
from gan_denoise.study.report_figures import absent, path_of, shown
from gan_denoise.study.report_study import Study
from gan_denoise.study.report_tables import plain, table
from gan_denoise.study.report_words import Rows, number
from gan_denoise.study.summary import (
    JOINED,
    Estimate,
    curves_of,
    difference_of,
    groups_of,
    level_of,
    pairs_of,
    ratio_of,
)

VERDICTS = {LOWERS: "lowers", RAISES: "raises", OPEN: "open"}
HEAD = ["run", "way", "epoch", "seeds", "distance", "ratio", "raw", "denoised", "precision", "recall", "same class"]


def distances(study: Study) -> str:
    """The figure of the distances over the epochs."""
    rows = study.compared()
    bands = bands_of(rows)
    if not bands:
        return absent("K", "the distance over the epochs, raw and denoised")
    path = path_of(study, "distances.svg")
    figures.draw_bands(bands, path, figures.EPOCH, "Fréchet distance")
    ends = "; ".join(f"{name} {band.y[0]:.3g} to {band.y[-1]:.3g}" for name, band in bands.items())
    seeds = seeds_of(rows)
    intervals = f"bands are intervals of 95 % over up to {seeds} seeds" if seeds > 1 else "one seed, no bands"
    caption = (
        "The Fréchet distance over the epochs, raw and denoised, of the runs under 'Does denoising help?' that were "
        f"measured after several epochs (of the join, where both train together): geometric means; {intervals}."
    )
    return shown(path, f"Curves over the epochs, first to last: {ends}.", "K", caption)


def bands_of(rows: Rows) -> dict[str, figures.Band]:
    """A curve of raw and one of denoised distances for each run and way that were measured after several epochs."""
    found: dict[str, dict[int, Estimate]] = {}
    for key, points in curves_of(rows).items():
        for epoch in (point.epoch for point in points if points[1:]):
            group = groups_of(rows)[key[0], epoch, key[1]]
            raw = f"raw ({key[0]}{', join' if key[1] == JOINED else ''})"  # the same whatever denoises it
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
        same = difference_of([(0.0, value) for row in group if (value := number(row, "same_class")) is not None])
        lines.append(
            [
                plain(run),
                plain(WAYS.get(denoiser, denoiser).lower()),
                f"{epoch}",
                f"{ratio.seeds}",
                VERDICTS[verdict_of(ratio)],
                _cell(ratio, ".3f"),
                *(_cell(level_of(group, name), ".3f") for name in ("raw", "denoised")),
                *(_cell(move, "+.3f") for move in moves),
                _cell(same, ".1%"),
            ]
        )
    return table(HEAD, lines)


def _band(epochs: Sequence[int], levels: Sequence[Estimate]) -> figures.Band:
    return figures.Band(
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

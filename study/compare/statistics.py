"""What the seeds of a run tell together: rows of `study compare` over seeds, with intervals where there are several."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gan_denoise.eval.metrics.confidence import Interval, difference_interval, ratio_interval
from gan_denoise.eval.result_table import ResultTable
from gan_denoise.study.rows import Row, Rows, number

MEAN, SAMPLE, JOINT, NONE = "mean", "sample", "joint", "none"  # ways to denoise

Pairs = Sequence[tuple[float, float]]  # before and after, one pair a seed


class Estimate(NamedTuple):
    """A number over `seeds` seeds and its 95 % interval, None for one seed."""

    value: float
    low: float | None
    high: float | None
    seeds: int


class Point(NamedTuple):
    """What denoising does at one age of a run: the raw distance, and that of denoised images over it."""

    epoch: int
    raw: float
    ratio: Estimate


def ratio_of(pairs: Pairs) -> Estimate | None:
    """The geometric mean of after / before, for numbers above 0; None for no pair."""
    return _estimate(pairs, ratio_interval, lambda before, after: after / before)


def difference_of(pairs: Pairs) -> Estimate | None:
    """The mean of after - before; None for no pair."""
    return _estimate(pairs, difference_interval, lambda before, after: after - before)


def level_of(rows: Rows, name: str) -> Estimate | None:
    """The geometric mean of a column of numbers above 0; None where no row has one."""
    return ratio_of([(1.0, value) for row in rows if (value := number(row, name))])


def pairs_of(rows: Rows, before: str, after: str) -> Pairs:
    """Two columns of the rows that have both."""
    found = [(number(row, before), number(row, after)) for row in rows]
    return [(first, second) for first, second in found if first is not None and second is not None]


def groups_of(rows: Rows) -> dict[tuple[Any, ...], list[Row]]:
    """The rows of each run, epoch and denoiser, one a seed."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.get("run"), row.get("epoch"), row.get("denoiser")), []).append(row)
    return groups


def curves_of(rows: Rows) -> dict[tuple[str, str], list[Point]]:
    """The points of each run and denoiser in the order of the epochs, where denoised images were measured."""
    curves: dict[tuple[str, str], list[Point]] = {}
    for (run, epoch, denoiser), group in groups_of(rows).items():
        pairs = pairs_of(group, "raw", "denoised")
        ratio, raw = ratio_of(pairs), geometric_mean([before for before, _ in pairs])
        if ratio is not None and raw is not None:
            curves.setdefault((str(run), str(denoiser)), []).append(Point(int(epoch), raw, ratio))
    return {key: sorted(points) for key, points in curves.items()}


def summarise(rows: Rows) -> list[dict[str, Any]]:
    """A row for each run, epoch and denoiser.

    The columns: `run, epoch, denoiser, seeds`; `raw, denoised`, geometric means; `ratio` with `ratio_low, ratio_high`;
    `precision_change` and `recall_change`, denoised minus raw, with theirs. An interval of one seed is None.
    """
    return [_summary(key, group) for key, group in groups_of(rows).items()]


def summary_report(report: ResultTable) -> ResultTable:
    """The rows of `summarise` as a report of their own, without the settings that the rows were measured with."""
    title = "The same over seeds, with 95 % intervals (Student's t; of the ratio, of its logarithm)"
    return dataclasses.replace(report, title=title, rows=summarise(report.rows), settings={}, notes={})


def _summary(key: tuple[Any, ...], rows: Rows) -> dict[str, Any]:
    named = dict(zip(("run", "epoch", "denoiser"), key, strict=True))
    means = {name: geometric_mean([v for row in rows if (v := number(row, name))]) for name in ("raw", "denoised")}
    ratio = ratio_of(pairs_of(rows, "raw", "denoised"))
    changes = {
        name: difference_of(pairs_of(rows, f"{name}_raw", f"{name}_denoised")) for name in ("precision", "recall")
    }
    columns = _columns("ratio", "ratio", ratio)
    for name, change in changes.items():
        columns |= _columns(f"{name}_change", name, change)
    return {**named, "seeds": len(rows), **means, **columns}


def geometric_mean(values: Sequence[float]) -> float | None:
    """Of numbers above 0; None for none."""
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def _columns(name: str, short: str, found: Estimate | None) -> dict[str, float | None]:
    value, low, high = (None, None, None) if found is None else found[:3]
    return {name: value, f"{short}_low": low, f"{short}_high": high}


def _estimate(
    pairs: Pairs,
    interval: Callable[[Sequence[float], Sequence[float]], Interval],
    single: Callable[[float, float], float],
) -> Estimate | None:
    if not pairs:
        return None
    if len(pairs) == 1:
        return Estimate(single(*pairs[0]), None, None, 1)
    found = interval(*zip(*pairs, strict=True))
    return Estimate(found.value, found.low, found.high, found.n)

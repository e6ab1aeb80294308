"""Statistics over seeds: the rows of `study compare` with ratios, differences and 95 % intervals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from statistics import stdev
from typing import Any, NamedTuple

from gan_denoise.eval.metrics.confidence import Interval, difference_interval, ratio_interval
from gan_denoise.eval.result_table import ResultTable
from gan_denoise.study.rows import Row, Rows, get_number

Pairs = Sequence[tuple[float, float]]  # values before and after denoising, one pair per seed


class Estimate(NamedTuple):
    """A value estimated over `seeds` seeds with its 95 % interval; `low` and `high` are None for one seed."""

    value: float
    low: float | None
    high: float | None
    seeds: int


class Point(NamedTuple):
    """The effect of denoising on one snapshot: the raw distance, and the ratio of denoised to raw distance."""

    epoch: int
    raw: float
    ratio: Estimate


def summarize_seeds(rows: Rows) -> list[dict[str, Any]]:
    """One row for each run, epoch and denoiser.

    The columns: `run, epoch, denoiser, seeds`; `raw, denoised`, geometric means, and `raw_sd, denoised_sd`, standard
    deviations over the seeds; `ratio` with `ratio_low, ratio_high`; `precision_change, recall_change`, denoised minus
    raw, with their intervals. The spread and the interval of one seed are None.
    """
    return [_summary_row(key, group) for key, group in group_by_snapshot(rows).items()]


def summary_table(table: ResultTable) -> ResultTable:
    """The rows of `summarize_seeds` as a table of their own; settings and notes stay with the table of single seeds."""
    title = "Summary over seeds, with 95 % intervals (Student's t; the ratio's on its logarithm)"
    return dataclasses.replace(table, title=title, rows=summarize_seeds(table.rows), settings={}, notes={})


def group_by_snapshot(rows: Rows) -> dict[tuple[Any, ...], list[Row]]:
    """The rows by (run, epoch, denoiser), one row per seed."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.get("run"), row.get("epoch"), row.get("denoiser")), []).append(row)
    return groups


def build_curves(rows: Rows) -> dict[tuple[str, str], list[Point]]:
    """The points by (run, denoiser) in the order of the epochs; snapshots without denoised images are left out."""
    curves: dict[tuple[str, str], list[Point]] = {}
    for (run, epoch, denoiser), group in group_by_snapshot(rows).items():
        pairs = collect_pairs(group, "raw", "denoised")
        ratio, raw = ratio_of(group), geometric_mean([before for before, _ in pairs])
        if ratio is not None and raw is not None:
            curves.setdefault((str(run), str(denoiser)), []).append(Point(int(epoch), raw, ratio))
    return {key: sorted(points) for key, points in curves.items()}


def collect_pairs(rows: Rows, before: str, after: str) -> Pairs:
    """The values of two columns, from the rows that have both."""
    pairs = [(get_number(row, before), get_number(row, after)) for row in rows]
    return [(first, second) for first, second in pairs if first is not None and second is not None]


def estimate_ratio(pairs: Pairs) -> Estimate | None:
    """The geometric mean of after / before, for numbers above 0; None without pairs."""
    return _estimate(pairs, ratio_interval, lambda before, after: after / before)


def ratio_of(rows: Rows) -> Estimate | None:
    """Denoised over raw distance of one snapshot, a row per seed; of one seed with its interval over the latents."""
    estimate = estimate_ratio(collect_pairs(rows, "raw", "denoised"))
    if estimate is None or estimate.seeds > 1:
        return estimate
    return estimate._replace(low=get_number(rows[0], "ratio_low"), high=get_number(rows[0], "ratio_high"))


def estimate_difference(pairs: Pairs) -> Estimate | None:
    """The mean of after - before; None without pairs."""
    return _estimate(pairs, difference_interval, lambda before, after: after - before)


def estimate_geometric_mean(rows: Rows, name: str) -> Estimate | None:
    """The geometric mean of a column of numbers above 0; None where no row has one."""
    return estimate_ratio([(1.0, value) for row in rows if (value := get_number(row, name))])


def geometric_mean(values: Sequence[float]) -> float | None:
    """The geometric mean of numbers above 0; None without numbers."""
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def _summary_row(key: tuple[Any, ...], rows: Rows) -> dict[str, Any]:
    snapshot = dict(zip(("run", "epoch", "denoiser"), key, strict=True))
    means: dict[str, float | None] = {}
    for name in ("raw", "denoised"):
        values = [value for row in rows if (value := get_number(row, name))]
        means |= {name: geometric_mean(values), f"{name}_sd": stdev(values) if len(values) > 1 else None}
    columns = _interval_columns("ratio", "ratio", ratio_of(rows))
    for name in ("precision", "recall"):
        change = estimate_difference(collect_pairs(rows, f"{name}_raw", f"{name}_denoised"))
        columns |= _interval_columns(f"{name}_change", name, change)
    return {**snapshot, "seeds": len(rows), **means, **columns}


def _interval_columns(name: str, prefix: str, estimate: Estimate | None) -> dict[str, float | None]:
    value, low, high = (None, None, None) if estimate is None else estimate[:3]
    return {name: value, f"{prefix}_low": low, f"{prefix}_high": high}


def _estimate(
    pairs: Pairs,
    interval: Callable[[Sequence[float], Sequence[float]], Interval],
    single: Callable[[float, float], float],
) -> Estimate | None:
    if not pairs:
        return None
    if len(pairs) == 1:
        return Estimate(single(*pairs[0]), None, None, 1)
    estimate = interval(*zip(*pairs, strict=True))
    return Estimate(estimate.value, estimate.low, estimate.high, estimate.n)

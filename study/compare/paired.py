"""Runs against each other over the seeds that both have: ratios of distances, intervals and an exact paired test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gan_denoise.eval.metrics.sign_flip import pairs_needed, sign_flip_p, smallest_p
from gan_denoise.eval.result_table import ResultTable
from gan_denoise.study.compare.statistics import Estimate, Pairs, collect_pairs, estimate_ratio
from gan_denoise.study.rows import JOINT, MEAN, NONE, Row, Rows, get_number

PAIRED = "paired"  # key of the settings of `study compare --json`: the rows of `compare_pairs`
RAW, DENOISED = "raw", "denoised"
LEVEL = 0.05


def compare_pairs(rows: Rows) -> list[dict[str, Any]]:
    """Two rows, RAW and DENOISED images, for each run after the first that shares a seed with it.

    The columns: `run, against, set`; `seeds`, those that both runs have; `lower`, at how many of them the run has the
    lower distance; `ratio`, the geometric mean of its distance over that of the first run, with its 95 % interval
    `ratio_low, ratio_high`; `p` of the sign-flip test of the logarithms, and `smallest_p`, the smallest value that so
    many seeds can give. Each run counts with its last epoch, jointly trained if it is. A run without a denoiser has its
    raw images for DENOISED.
    """
    runs = list(dict.fromkeys(str(row["run"]) for row in rows))
    return [
        {"run": run, "against": runs[0], "set": images, **_test_columns(pairs)}
        for run in runs[1:]
        for images in (RAW, DENOISED)
        if (pairs := _distance_pairs(final_rows(rows, runs[0]), final_rows(rows, run), images))
    ]


def paired_table(table: ResultTable) -> ResultTable | None:
    """The rows of `compare_pairs` as a table of their own; None where no two runs share a seed."""
    rows = compare_pairs(table.rows)
    if not rows:
        return None
    title = f"Runs against {rows[0]['against']}, paired by seed: ratios of distances with 95 % intervals"
    return replace(table, title=title, rows=rows, settings={}, notes=describe_test(rows), skipped={})


def describe_test(rows: Sequence[Row]) -> dict[str, str]:
    """What the columns of `compare_pairs` mean, and from how many seeds on the test can show anything."""
    seeds = sorted({int(row["seeds"]) for row in rows})
    notes = {
        "ratio": "the run's distance over that of the other, geometric mean; Student's t on the logarithms",
        "p": "exact sign-flip test of the paired logarithms, two-sided, not corrected for the number of rows",
    }
    if smallest_p(seeds[0]) >= LEVEL:
        count = f"{seeds[0]} seed{'s' * (seeds[0] > 1)}"
        notes["smallest p"] = (
            f"with {count} no p value is below {smallest_p(seeds[0]):.3g}, whatever the effect: the test cannot reach "
            f"{LEVEL:g}; {pairs_needed(LEVEL)} seeds can. Read the ratios and their intervals"
        )
    return notes


def final_rows(rows: Rows, run: str) -> dict[object, Row]:
    """By seed, the row of a run's last epoch: after joint training, or with its own denoiser, or without one."""
    return next((found for name in (JOINT, MEAN, NONE) if (found := last_rows(rows, run, (name,)))), {})


def last_rows(rows: Rows, run: str, denoisers: Sequence[str]) -> dict[object, Row]:
    """By seed, the row of a run's last epoch with one of these denoisers."""
    last: dict[object, Row] = {}
    for row in rows:
        if row.get("run") == run and row.get("denoiser") in denoisers:
            seed = row.get("seed")
            if seed not in last or (get_number(row, "epoch") or 0) > (get_number(last[seed], "epoch") or 0):
                last[seed] = row
    return last


def paired_ratio(
    before: Mapping[object, Row], before_column: str, after: Mapping[object, Row], after_column: str
) -> Estimate | None:
    """The ratio of two columns over the seeds that both have."""
    return estimate_ratio(_pairs(before, before_column, after, after_column))


def _pairs(before: Mapping[object, Row], before_column: str, after: Mapping[object, Row], after_column: str) -> Pairs:
    shared = [
        {"before": before[seed].get(before_column), "after": after[seed].get(after_column)}
        for seed in before
        if seed in after
    ]
    return collect_pairs(shared, "before", "after")


def _distance_pairs(first: Mapping[object, Row], other: Mapping[object, Row], images: str) -> Pairs:
    columns = [images if any(get_number(row, images) for row in rows.values()) else RAW for rows in (first, other)]
    return _pairs(first, columns[0], other, columns[1])


def _test_columns(pairs: Pairs) -> dict[str, Any]:
    ratio, n = estimate_ratio(pairs), len(pairs)
    assert ratio is not None
    p = sign_flip_p([math.log(after / before) for before, after in pairs]) if n > 1 else None
    return {
        "seeds": n,
        "lower": sum(after < before for before, after in pairs),
        "ratio": ratio.value,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "p": p,
        "smallest_p": smallest_p(n) if n > 1 else None,
    }

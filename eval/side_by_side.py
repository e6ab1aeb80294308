"""The denoising table as people read it: a line a method, a column a strength of noise."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from gan_denoise.eval.tables import Report, cell

Row = Mapping[str, Any]


def side_by_side(report: Report) -> Report:
    """The rows of `evaluate_denoising` with all strengths in one line: `noise, n, method`, PSNR and SSIM, the costs.

    The time is the median over the strengths. What a method has none of is left empty.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in report.rows:
        groups.setdefault((row["n"], row["noise"], row["method"]), []).append(row)
    rows = [_line(rows) for rows in groups.values()]
    return dataclasses.replace(report, title=f"{report.title}: PSNR in dB and SSIM", rows=rows)


def _line(rows: Sequence[Row]) -> dict[str, Any]:
    first = rows[0]
    times = [row["ms_per_image"] for row in rows if row["ms_per_image"] is not None]
    return {
        "n": first["n"],
        "noise": first["noise"],
        "method": first["method"],
        **{cell("sigma", row["sigma"]): f"{cell('psnr_db', row['psnr_db'])} {row['ssim']:.3f}" for row in rows},
        "ms_per_image": statistics.median(times) if times else "",
        **{name: "" if first[name] is None else first[name] for name in ("parameters", "multiply_adds")},
    }

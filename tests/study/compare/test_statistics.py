"""Statistics over the rows of several seeds."""

from __future__ import annotations

from typing import Any

import pytest

from gan_denoise.eval.metrics.confidence import difference_interval, ratio_interval
from gan_denoise.eval.result_table import ResultTable
from gan_denoise.study.compare.statistics import (
    Point,
    build_curves,
    estimate_ratio,
    summarize_seeds,
    summary_table,
)

RAW, DENOISED = [0.72, 0.69, 0.75], [0.60, 0.61, 0.66]


def row(seed: int, raw: float | None, denoised: float | None, **columns: Any) -> dict[str, Any]:
    fractions = {
        "precision_raw": 0.8 + seed / 100,
        "precision_denoised": 0.9,
        "recall_raw": 0.7,
        "recall_denoised": 0.65,
    }
    return {
        "run": "a",
        "epoch": 1,
        "denoiser": "mean",
        "seed": seed,
        "raw": raw,
        "denoised": denoised,
        **fractions,
    } | columns


def test_seeds_are_paired_and_have_student_t_intervals() -> None:
    (summary,) = summarize_seeds([row(i, *pair) for i, pair in enumerate(zip(RAW, DENOISED, strict=True))])
    ratio = ratio_interval(RAW, DENOISED)
    assert (summary["ratio"], summary["ratio_low"], summary["ratio_high"]) == (ratio.value, ratio.low, ratio.high)
    assert (summary["run"], summary["epoch"], summary["denoiser"], summary["seeds"]) == ("a", 1, "mean", 3)
    assert summary["raw"] == pytest.approx((0.72 * 0.69 * 0.75) ** (1 / 3))
    change = difference_interval([0.80, 0.81, 0.82], [0.9] * 3)
    assert (summary["precision_change"], summary["precision_low"]) == pytest.approx((change.value, change.low))
    assert summary["recall_change"] == pytest.approx(-0.05)


def test_one_seed_has_a_ratio_and_no_interval() -> None:
    (summary,) = summarize_seeds([row(0, 0.5, 0.4)])
    assert (summary["ratio"], summary["recall_change"]) == pytest.approx((0.8, -0.05))
    assert [summary[f"{name}_{end}"] for name in ("ratio", "precision", "recall") for end in ("low", "high")] == [
        None
    ] * 6


def test_runs_epochs_and_denoisers_are_separate_groups() -> None:
    rows = [row(0, 1.0, 0.5), row(0, 1.0, 0.6, run="b"), row(0, 1.0, 0.7, epoch=2), row(0, 1.0, 0.8, denoiser="sample")]
    assert [summary["ratio"] for summary in summarize_seeds(rows)] == pytest.approx([0.5, 0.6, 0.7, 0.8])
    assert {summary["seeds"] for summary in summarize_seeds(rows)} == {1}


def test_what_was_not_measured_stays_none() -> None:
    alone = row(0, 0.5, None, precision_denoised=None, recall_denoised=None, denoiser="none")
    (summary,) = summarize_seeds([alone])
    assert summary["raw"] == pytest.approx(0.5)
    assert (summary["denoised"], summary["ratio"], summary["precision_change"]) == (None, None, None)
    assert build_curves([alone]) == {}
    assert estimate_ratio([]) is None


def test_curves_are_ordered_by_epoch() -> None:
    rows = [row(s, raw, 0.4, epoch=epoch) for epoch, raw in ((2, 0.5), (1, 0.8)) for s in (0, 1)]
    ((key, points),) = build_curves(rows).items()
    assert key == ("a", "mean")
    assert [point.epoch for point in points] == [1, 2]
    assert isinstance(points[0], Point)
    assert (points[0].raw, points[0].ratio.value, points[0].ratio.seeds) == pytest.approx((0.8, 0.5, 2))


def test_the_summary_is_a_table_of_its_own() -> None:
    table = ResultTable("study compare", "rows", [row(0, 0.5, 0.4)], None, {"threads": 1}, {"seed": 0})
    summary = summary_table(table)
    assert (summary.command, summary.machine, len(summary.rows)) == ("study compare", {"threads": 1}, 1)
    assert "95 % intervals" in summary.title
    assert summary.settings == {}

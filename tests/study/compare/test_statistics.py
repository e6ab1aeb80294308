"""Rows of several seeds, summed up."""

from __future__ import annotations

from typing import Any

import pytest

from gan_denoise.eval.metrics.confidence import difference_interval, ratio_interval
from gan_denoise.eval.result_table import ResultTable
from gan_denoise.study.compare.statistics import Point, curves_of, ratio_of, summarise, summary_report

RAW, DENOISED = [0.72, 0.69, 0.75], [0.60, 0.61, 0.66]


def row(seed: int, raw: float | None, denoised: float | None, **others: Any) -> dict[str, Any]:
    shares = {"precision_raw": 0.8 + seed / 100, "precision_denoised": 0.9, "recall_raw": 0.7, "recall_denoised": 0.65}
    return {
        "run": "a",
        "epoch": 1,
        "denoiser": "mean",
        "seed": seed,
        "raw": raw,
        "denoised": denoised,
        **shares,
    } | others


def test_seeds_are_paired_and_have_the_intervals_of_the_t_distribution() -> None:
    (found,) = summarise([row(i, *pair) for i, pair in enumerate(zip(RAW, DENOISED, strict=True))])
    ratio = ratio_interval(RAW, DENOISED)
    assert (found["ratio"], found["ratio_low"], found["ratio_high"]) == (ratio.value, ratio.low, ratio.high)
    assert (found["run"], found["epoch"], found["denoiser"], found["seeds"]) == ("a", 1, "mean", 3)
    assert found["raw"] == pytest.approx((0.72 * 0.69 * 0.75) ** (1 / 3))
    change = difference_interval([0.80, 0.81, 0.82], [0.9] * 3)
    assert (found["precision_change"], found["precision_low"]) == pytest.approx((change.value, change.low))
    assert found["recall_change"] == pytest.approx(-0.05)


def test_one_seed_has_a_ratio_and_no_interval() -> None:
    (found,) = summarise([row(0, 0.5, 0.4)])
    assert (found["ratio"], found["recall_change"]) == pytest.approx((0.8, -0.05))
    assert [found[f"{name}_{end}"] for name in ("ratio", "precision", "recall") for end in ("low", "high")] == [
        None
    ] * 6


def test_runs_epochs_and_denoisers_are_kept_apart() -> None:
    rows = [row(0, 1.0, 0.5), row(0, 1.0, 0.6, run="b"), row(0, 1.0, 0.7, epoch=2), row(0, 1.0, 0.8, denoiser="sample")]
    assert [found["ratio"] for found in summarise(rows)] == pytest.approx([0.5, 0.6, 0.7, 0.8])
    assert {found["seeds"] for found in summarise(rows)} == {1}


def test_what_was_not_measured_stays_so() -> None:
    alone = row(0, 0.5, None, precision_denoised=None, recall_denoised=None, denoiser="none")
    (found,) = summarise([alone])
    assert found["raw"] == pytest.approx(0.5)
    assert (found["denoised"], found["ratio"], found["precision_change"]) == (None, None, None)
    assert curves_of([alone]) == {}
    assert ratio_of([]) is None


def test_curves_go_by_epochs_whatever_the_order_of_the_rows() -> None:
    rows = [row(s, raw, 0.4, epoch=epoch) for epoch, raw in ((2, 0.5), (1, 0.8)) for s in (0, 1)]
    ((key, points),) = curves_of(rows).items()
    assert key == ("a", "mean")
    assert [point.epoch for point in points] == [1, 2]
    assert isinstance(points[0], Point)
    assert (points[0].raw, points[0].ratio.value, points[0].ratio.seeds) == pytest.approx((0.8, 0.5, 2))


def test_the_summary_is_a_report() -> None:
    report = ResultTable("study compare", "rows", [row(0, 0.5, 0.4)], None, {"threads": 1}, {"seed": 0})
    found = summary_report(report)
    assert (found.command, found.machine, len(found.rows)) == ("study compare", {"threads": 1}, 1)
    assert "95 % intervals" in found.title

"""The distances of each snapshot: a table with an interval for each number, and a figure over the epochs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gan_denoise.eval.metrics.confidence import mean_interval
from gan_denoise.study.report.build import write_report
from gan_denoise.study.report.comparison import build_distance_bands, effects_table

RATIOS = (0.70, 0.72, 0.74)  # of three seeds


def rows_of(epochs: int = 1, seeds: int = 3, denoiser: str = "mean", **columns: Any) -> list[dict[str, Any]]:
    """One row for each epoch and seed of run `quarter`; the raw distance halves each epoch."""
    fixed = {"run": "quarter", "denoiser": denoiser, "n": 500, "precision_raw": 0.8, "recall_raw": 0.7}
    return [
        {**fixed, "epoch": epoch, "seed": seed, "raw": 2.0**-epoch, "denoised": 2.0**-epoch * RATIOS[seed]}
        | {"precision_denoised": 0.81 + 0.01 * seed, "recall_denoised": 0.65, "class_preserved": 0.9}
        | columns
        for epoch in range(1, epochs + 1)
        for seed in range(seeds)
    ]


def test_each_number_has_an_interval_if_there_are_several_seeds() -> None:
    assert effects_table(rows_of()).splitlines()[2] == (
        "| quarter | separate training | 1 | 3 | lowers | 0.720 (0.672 to 0.771) "
        "| 0.500 (0.500 to 0.500) | 0.360 (0.336 to 0.386) "
        "| +0.020 (-0.005 to +0.045) | -0.050 (-0.050 to -0.050) | 90.0% (90.0% to 90.0%) |"
    )
    of_latents = effects_table(rows_of(seeds=1, ratio_low=0.6, ratio_high=0.8)).splitlines()[2]
    assert of_latents.startswith("| quarter | separate training | 1 | 1 | lowers | 0.700 (0.600 to 0.800) |")
    change = mean_interval([0.01, 0.02, 0.03])
    assert (change.low, change.high) == pytest.approx((-0.005, 0.045), abs=5e-4)
    one = effects_table(rows_of(seeds=1, class_preserved=None)).splitlines()[2]
    assert one == (
        "| quarter | separate training | 1 | 1 | untested | 0.700 | 0.500 | 0.350 | +0.010 | -0.050 | not measured |"
    )


def test_a_run_without_denoiser_has_no_line_and_no_curve() -> None:
    gan_only = rows_of(epochs=2, denoiser="none", denoised=None)
    assert len(effects_table([*rows_of(), *gan_only]).splitlines()) == 3
    assert build_distance_bands(gan_only) == build_distance_bands(rows_of(epochs=1)) == {}  # one epoch is no curve


def test_raw_and_denoised_distances_are_drawn_with_their_intervals(tmp_path: Path) -> None:
    rows = [*rows_of(3), *rows_of(3, denoiser="sample"), *rows_of(2, denoiser="joint", raw=1.0)]
    bands = build_distance_bands(rows)
    names = ["raw", "separate training", "separate training, stochastic sampling"]
    assert list(bands) == [*names, "raw, joint", "joint training"]
    two = build_distance_bands([*rows_of(3), *rows_of(3, run="best")])
    assert list(two) == ["raw (quarter)", "separate training (quarter)", "raw (best)", "separate training (best)"]
    assert bands[names[0]].y == bands[names[0]].low == pytest.approx([0.5, 0.25, 0.125])
    denoised = bands[names[1]]
    assert denoised.x == [1, 2, 3]
    assert denoised.y == pytest.approx([0.36, 0.18, 0.09], abs=1e-3)
    assert all(low < y < high for low, y, high in zip(denoised.low, denoised.y, denoised.high, strict=True))

    (tmp_path / "results").mkdir()
    (tmp_path / "results/compare.json").write_text(json.dumps({"rows": rows, "settings": {}}))
    markdown = write_report(tmp_path, None, published=tmp_path / "none").with_suffix(".md").read_text()
    figure = re.search(r"!\[(.+)\]\(figures/distances.svg\)\n\*Figure L\. (.+)\*", markdown)
    assert figure is not None
    assert "separate training 0.36 to 0.09" in figure[1]
    assert "over up to 3 seeds" in figure[2]
    assert (tmp_path / "figures/distances.svg").read_text().count('<g id="FillBetween') == len(bands)
    assert "lowers" in markdown[markdown.index("## Comparison of runs") :]

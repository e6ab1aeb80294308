"""The sentences about compared runs follow the rows in every direction."""

from __future__ import annotations

from typing import Any

import pytest

from gan_denoise.study.compare.statistics import curves_of
from gan_denoise.study.report import comparison_text as words

HELPS, HARMS, DOUBTFUL = (0.70, 0.72, 0.74), (1.30, 1.35, 1.32), (0.8, 1.1, 1.2)  # ratios of three seeds


def rows_of(ratios: tuple[float, ...], raw: float = 0.5, **others: Any) -> list[dict[str, Any]]:
    """A row a seed of run `quarter`, the first epoch, in one pass."""
    fixed = {"run": "quarter", "epoch": 1, "denoiser": "mean", "raw": raw, "precision_raw": 0.8, "recall_raw": 0.7}
    return [
        {**fixed, "seed": seed, "denoised": raw * ratio, "precision_denoised": 0.81 + 0.01 * seed}
        | {"recall_denoised": 0.65, "class_preserved": 0.9}
        | others
        for seed, ratio in enumerate(ratios)
    ]


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        (HELPS, words.LOWERS),
        (HARMS, words.RAISES),
        (DOUBTFUL, words.OPEN),
        ((0.9,), words.LOWERS),
        ((1.1,), words.RAISES),
        ((1.01,), words.OPEN),  # one seed has no interval: within 2 % decides nothing
    ],
)
def test_help_harm_and_doubt_are_told_apart_by_the_interval(ratios: tuple[float, ...], verdict: str) -> None:
    (((point,)),) = curves_of(rows_of(ratios)).values()
    assert words.verdict_of(point.ratio) == verdict
    assert f"denoising {verdict.split()[0]}" in words.describe_answer(rows_of(ratios))


def test_the_answer_counts_verdicts_with_their_distances() -> None:
    rows = [
        row
        for e, raw, ratios in ((1, 2.0, HELPS), (2, 1.5, HELPS), (3, 1.0, HELPS), (4, 0.2, HARMS))
        for row in rows_of(ratios, raw, epoch=e)
    ]
    assert words.describe_answer(rows) == (
        "Of 4 runs, epochs and ways to denoise that were measured, denoising **lowers** the distance in 3 "
        "(raw distances 1 to 2) and **raises** it in 1 (raw distance 0.2)."
    )


def test_nothing_measured_is_said_so() -> None:
    alone = rows_of((1.0,), denoised=None, denoiser="none")
    assert words.describe_answer([]) == words.describe_answer(alone) == "Whether denoising helps: not measured."
    assert words.describe_cost([], []) == "What the denoiser costs: not measured."
    assert words.describe_control([], "gan-only") == ""
    assert words.describe_seeds([]) == words.describe_seeds(rows_of((1.0,))) == "there are no error bars"
    assert "up to 3, and intervals" in words.describe_seeds(rows_of(HELPS))


def test_the_spread_and_the_collapse_of_seeds() -> None:
    rows = rows_of(HELPS, pair_accuracy=0.815)
    assert words.describe_stability("quarter", "mean", rows) == (
        "In one pass (`quarter`), 3 seeds, mean and standard deviation: raw 0.500 ± 0.000 and denoised 0.360 ± 0.010; "
        "none collapsed (lowest recall 0.700); the discriminator puts 82 % of pairs right."
    )
    rows[1] |= {"recall_raw": 0.3, "raw": 2.0}
    assert "raw 1.000 ± 0.866" in words.describe_stability("quarter", "mean", rows)
    assert "; 1 collapsed (lowest recall 0.300)" in words.describe_stability("quarter", "mean", rows)
    assert words.describe_stability("quarter", "mean", rows[:1]) == ""  # one seed has no spread


@pytest.mark.parametrize(
    ("ratios", "said"),
    [
        ((0.5, 0.52, 0.51), "the join **is worth its cost**"),
        ((1.5, 1.52, 1.51), "the join **is not worth its cost**"),
        ((0.6, 0.9, 1.3), "the two are not told apart: the interval includes no change"),
    ],
)
def test_the_join_is_held_against_its_cost_spent_on_the_generator(ratios: tuple[float, ...], said: str) -> None:
    base = rows_of(HELPS)
    control = rows_of((1.0, 1.0, 1.0), raw=0.45, run="gan-only", denoiser="none", epoch=7, denoised=None)
    early = rows_of((1.0, 1.0, 1.0), raw=9.0, run="gan-only", denoiser="none", epoch=6, denoised=None)
    joined = rows_of(ratios, raw=0.45, denoiser="joined")
    text = words.describe_control([*base, *control, *early, *joined], "gan-only")
    assert text.startswith(
        "`alone` (the join's updates spent on the generator alone) comes to 0.900 times (0.900 to 0.900"
    )
    assert said in text
    assert words.describe_control([*base, *control], "gan-only").endswith("the joined system against it: not measured.")


def test_seeds_are_paired_with_themselves_alone() -> None:
    base, control = rows_of((1.0, 1.0)), rows_of((1.0, 1.0), raw=1.0, run="gan-only", denoiser="none")
    control[1]["seed"] = 7
    found = words.control_ratio([*base, *control], "gan-only")
    assert found == (2.0, None, None, 1)


def test_the_cost_is_that_of_the_tables() -> None:
    network = {"method": "network", "ms_per_image": 0.5, "parameters": 123456}
    bench = [{"name": "fused", "batch": b, "p50_ms": t} for b, t in ((1, 2.0), (64, 32.0))]
    assert words.describe_cost([network, {"method": "median", "ms_per_image": 9.0}], bench) == (
        "The denoiser costs 123,456 weights and 0.50 ms an image on one thread; generator and denoiser together take "
        "0.50 ms an image at batch 64."
    )
    assert "time not measured" in words.describe_cost([{"method": "network", "parameters": 1}], [])

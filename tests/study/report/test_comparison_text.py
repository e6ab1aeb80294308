"""The sentences about compared runs follow the numbers, whatever they are."""

from __future__ import annotations

from typing import Any

import pytest

from gan_denoise.study.compare.statistics import build_curves
from gan_denoise.study.report import comparison_text as text
from gan_denoise.study.report.verdict import Verdict, verdict_of

LOWER, HIGHER, MIXED = (0.70, 0.72, 0.74), (1.30, 1.35, 1.32), (0.8, 1.1, 1.2)  # ratios of three seeds


def rows_of(ratios: tuple[float, ...], raw: float = 0.5, **columns: Any) -> list[dict[str, Any]]:
    """One row for each seed of run `quarter`, epoch 1, denoised in separate training."""
    fixed = {"run": "quarter", "epoch": 1, "denoiser": "mean", "raw": raw, "precision_raw": 0.8, "recall_raw": 0.7}
    return [
        {**fixed, "seed": seed, "denoised": raw * ratio, "precision_denoised": 0.81 + 0.01 * seed}
        | {"recall_denoised": 0.65, "class_preserved": 0.9}
        | columns
        for seed, ratio in enumerate(ratios)
    ]


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        (LOWER, Verdict.LOWERS),
        (HIGHER, Verdict.RAISES),
        (MIXED, Verdict.UNCLEAR),
        ((0.9,), Verdict.UNTESTED),  # one training without an interval
        ((1.1,), Verdict.UNTESTED),
    ],
)
def test_the_verdict_follows_the_interval(ratios: tuple[float, ...], verdict: Verdict) -> None:
    (((point,)),) = build_curves(rows_of(ratios)).values()
    assert verdict_of(point.ratio) == verdict
    assert (
        f"In 1 case (run, epoch and denoiser) of `study compare`, denoising {verdict} the distance in 1"
        in text.describe_answer(rows_of(ratios))
    )


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((0.8, 0.97), Verdict.LOWERS), ((1.03, 1.2), Verdict.RAISES), ((0.97, 1.03), Verdict.UNCLEAR)],
)
def test_one_training_has_the_interval_over_its_latents(interval: tuple[float, float], verdict: Verdict) -> None:
    rows = rows_of((sum(interval) / 2,), ratio_low=interval[0], ratio_high=interval[1])
    (((point,)),) = build_curves(rows).values()
    assert verdict_of(point.ratio) == verdict
    assert point.ratio.seeds == 1


def test_the_answer_counts_the_verdicts_with_their_distances() -> None:
    rows = [
        row
        for e, raw, ratios in ((1, 2.0, LOWER), (2, 1.5, LOWER), (3, 1.0, LOWER), (4, 0.2, HIGHER))
        for row in rows_of(ratios, raw, epoch=e)
    ]
    assert text.describe_answer(rows) == (
        "In 4 cases (run, epoch and denoiser) of `study compare`, denoising **lowers** the distance in 3 "
        "(raw distances 1 to 2) and **raises** the distance in 1 (raw distance 0.2); "
        "these verdicts are exploratory, not corrected for their number."
    )


def test_without_measurements_the_sentences_say_so() -> None:
    gan_only = rows_of((1.0,), denoised=None, denoiser="none")
    assert text.describe_answer([]) == text.describe_answer(gan_only) == "Whether denoising helps: not measured."
    assert text.describe_cost([], [], 2) == "The cost of the denoiser: not measured."
    assert text.describe_control([], "gan-only") == ""


def test_the_places_with_several_seeds_are_named() -> None:
    one, three = rows_of((1.0,)), rows_of(LOWER)
    assert text.describe_seeds([], one, False) == "there are no confidence intervals"
    assert text.describe_seeds(three, one, False) == (
        "there are several seeds in the section 'Comparison of runs' (up to 3), with intervals"
    )
    over_latents = "its confidence intervals are over its latents, not over trainings"
    assert text.describe_seeds([], [], True) == over_latents
    assert (
        text.describe_seeds(one, three, True) == f"{over_latents}; there are several seeds in figures K and L (up to 3)"
    )


def test_the_spread_of_seeds_and_collapsed_ones() -> None:
    rows = rows_of(LOWER, pair_accuracy=0.815)
    assert text.describe_stability("quarter", "mean", rows) == (
        "Run `quarter`, separate training, 3 seeds: distance (mean ± standard deviation) raw 0.500 ± 0.000 and "
        "denoised 0.360 ± 0.010; no seed collapsed (lowest recall 0.700); discriminator accuracy on pairs 82 %."
    )
    rows[1] |= {"recall_raw": 0.3, "raw": 2.0}
    assert "raw 1.000 ± 0.866" in text.describe_stability("quarter", "mean", rows)
    assert "; 1 seed collapsed (lowest recall 0.300)" in text.describe_stability("quarter", "mean", rows)
    assert text.describe_stability("quarter", "mean", rows[:1]) == ""  # one seed has no spread


@pytest.mark.parametrize(
    ("ratios", "conclusion"),
    [
        ((0.5, 0.52, 0.51), "at equal compute, joint training **is better**"),
        ((1.5, 1.52, 1.51), "at equal compute, joint training **is not better**"),
        ((0.6, 0.9, 1.3), "no clear difference (the interval includes 1)"),
    ],
)
def test_joint_training_is_compared_with_a_control_of_equal_compute(ratios: tuple[float, ...], conclusion: str) -> None:
    base = rows_of(LOWER)
    control = rows_of((1.0, 1.0, 1.0), raw=0.45, run="gan-only", denoiser="none", epoch=7, denoised=None)
    early = rows_of((1.0, 1.0, 1.0), raw=9.0, run="gan-only", denoiser="none", epoch=6, denoised=None)
    joint = rows_of(ratios, raw=0.45, denoiser="joint")
    sentence = text.describe_control([*base, *control, *early, *joint], "gan-only")
    assert sentence.startswith(
        "Control `gan-only` (the GAN alone, with as many updates as joint training has): its distance is "
        "0.900 times (0.900 to 0.900"
    )
    assert sentence.endswith(f": {conclusion}.")
    assert text.describe_control([*base, *control], "gan-only").endswith(
        "joint training compared with it: not measured."
    )


def test_only_equal_seeds_are_paired() -> None:
    base, control = rows_of((1.0, 1.0)), rows_of((1.0, 1.0), raw=1.0, run="gan-only", denoiser="none")
    control[1]["seed"] = 7
    ratio = text.control_ratio([*base, *control], "gan-only")
    assert ratio == (2.0, None, None, 1)


def test_the_cost_is_read_from_the_tables() -> None:
    network = {"method": "network", "ms_per_image": 0.5, "parameters": 123456}
    bench = [{"name": "fused", "batch": b, "p50_ms": t} for b, t in ((1, 2.0), (64, 32.0))]
    rows, alone = (
        [network, {"method": "median", "ms_per_image": 9.0}],
        "123,456 weights and 0.50 ms per image on one thread",
    )
    assert text.describe_cost(rows, bench, 1) == (
        f"The denoiser costs {alone}; generator and denoiser fused take 0.50 ms on one thread at batch size 64."
    )
    assert text.describe_cost(rows, bench, 2) == f"The denoiser costs {alone}."  # two threads are no comparison
    assert "time not measured" in text.describe_cost([{"method": "network", "parameters": 1}], [], 2)

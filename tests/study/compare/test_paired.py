"""Runs against each other over the seeds that both have."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gan_denoise.eval.metrics.confidence import ratio_interval
from gan_denoise.eval.result_table import ResultTable, to_text
from gan_denoise.options import TableFormat
from gan_denoise.study.compare.paired import compare_pairs, describe_test, final_rows, paired_table
from gan_denoise.study.compare.tables import print_comparison, with_statistics

PAPER, BEST = {0: 0.80, 1: 0.70, 2: 0.90, 5: 0.60}, {1: 0.35, 0: 0.44, 2: 0.36, 7: 0.50}


def row(run: str, seed: int, denoised: float | None, denoiser: str = "mean", **columns: Any) -> dict[str, Any]:
    raw = 2 * (denoised or 1.0)
    return {"run": run, "seed": seed, "epoch": 3, "denoiser": denoiser, "raw": raw, "denoised": denoised} | columns


ROWS = [row("paper", seed, value) for seed, value in PAPER.items()] + [
    row("best", seed, value if denoiser == "joint" else 9.0, denoiser)
    for seed, value in BEST.items()
    for denoiser in ("mean", "joint", "joint gaussian")
]


def test_runs_are_paired_by_seed_whatever_their_order() -> None:
    raw, denoised = compare_pairs(ROWS)
    expected = ratio_interval([0.80, 0.70, 0.90], [0.44, 0.35, 0.36])
    assert {key: denoised[key] for key in ("run", "against", "set", "seeds", "lower")} == {
        "run": "best",
        "against": "paper",
        "set": "denoised",
        "seeds": 3,
        "lower": 3,
    }
    assert (denoised["ratio"], denoised["ratio_low"], denoised["ratio_high"]) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )
    assert (denoised["p"], denoised["smallest_p"]) == (0.25, 0.25)
    assert (raw["set"], raw["ratio"]) == ("raw", pytest.approx(expected.value))


def test_a_run_that_is_not_always_lower_has_a_larger_p() -> None:
    mixed = [row("a", seed, 1.0) for seed in range(4)]
    mixed += [row("b", seed, value) for seed, value in enumerate((0.5, 0.6, 0.7, 1.1))]
    _, denoised = compare_pairs(mixed)
    assert (denoised["lower"], denoised["seeds"], denoised["smallest_p"]) == (3, 4, 0.125)
    assert denoised["p"] == 0.25  # of 16 patterns 4 have a mean as far from 0


def test_what_shares_no_seed_is_not_compared_and_one_seed_has_no_test() -> None:
    assert compare_pairs([row("a", 0, 1.0), row("b", 1, 0.5)]) == []
    assert compare_pairs([row("a", 0, 1.0)]) == []
    _, denoised = compare_pairs([row("a", 0, 1.0), row("b", 0, 0.5)])
    assert (denoised["seeds"], denoised["ratio"]) == (1, pytest.approx(0.5))
    assert [denoised[key] for key in ("ratio_low", "ratio_high", "p", "smallest_p")] == [None] * 4


def test_a_run_without_a_denoiser_counts_with_its_raw_images() -> None:
    alone = [row("gan-only", seed, None, "none", raw=0.5) for seed in (0, 1)]
    rows = [row("paper", seed, 0.8) for seed in (0, 1)] + alone
    ratios = {pair["set"]: pair["ratio"] for pair in compare_pairs(rows)}
    assert ratios == pytest.approx({"raw": 0.5 / 1.6, "denoised": 0.5 / 0.8})


def test_only_the_last_epoch_counts() -> None:
    rows = [row("a", 0, 1.0, epoch=1), row("a", 0, 0.7, epoch=12), row("a", 0, 0.9, epoch=2)]
    assert final_rows(rows, "a")[0]["denoised"] == 0.7


def test_the_table_says_from_how_many_seeds_on_it_can_show_anything() -> None:
    table = paired_table(ResultTable("study compare", "rows", ROWS, None, {"threads": 1}))
    assert table is not None
    assert "with 3 seeds no p value is below 0.25, whatever the effect" in table.notes["smallest p"]
    assert "6 seeds can" in table.notes["smallest p"]
    assert "Runs against paper, paired by seed" in to_text(table)
    assert "smallest p" not in describe_test([{"seeds": 6}])
    assert paired_table(ResultTable("study compare", "rows", ROWS[:4], None, {})) is None


def test_json_has_the_pairs_and_print_shows_them(capsys: pytest.CaptureFixture[str]) -> None:
    report = ResultTable("study compare", "rows", ROWS, None, {"threads": 1})
    settings = with_statistics(report).settings
    assert settings["paired"] == compare_pairs(ROWS)
    paper = settings["summary"][0]
    assert paper["denoised_sd"] == pytest.approx(math.sqrt(0.05 / 3))
    print_comparison(report, False, TableFormat.markdown, ("study", "report"))
    shown = capsys.readouterr()
    assert shown.out.index("**rows**") < shown.out.index("**Summary") < shown.out.index("**Runs against paper")
    assert shown.err.count("next: ") == 1
    print_comparison(report, False, TableFormat.csv, ())
    assert capsys.readouterr().out.count("run,") == 1

"""The report's section on whether denoising helps, from the output of `study compare --json`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gan_denoise.study.compare.statistics import build_curves
from gan_denoise.study.report.build import write_report
from gan_denoise.study.report.comparison import build_band, named_curves, paired_comparison
from gan_denoise.study.report.results import load_study
from gan_denoise.study.sweep_folder import Outcome, SweepFolder, SweepRecord

HEADLINE = "## Comparison of runs"
RAWS = (2.0, 1.0, 0.5)  # the raw distance after each epoch


def rows_of(run: str, denoiser: str, ratios: Sequence[float], seeds: int = 2) -> list[dict[str, Any]]:
    """One row for each epoch and seed; the ratios of seeds differ by 1 %."""
    fixed = {"run": run, "denoiser": denoiser, "n": 500}
    return [
        {**fixed, "seed": seed, "epoch": epoch, "raw": raw}
        | {"denoised": raw * ratio * (1 + 0.01 * seed) if ratio else None}
        for seed in range(seeds)
        for epoch, (raw, ratio) in enumerate(zip(RAWS, ratios, strict=False), 1)
    ]


def write_compare(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Write `results/compare.json` into a study's folder; returns the folder."""
    settings: dict[str, Any] = {"reference": "5,000 held-out training images", "seed": 7}
    notes = {"raw, denoised": "Fréchet distances"}
    (folder / "results").mkdir(parents=True)
    settings |= {"folders": "runs/quarter-0 'a b'", "epochs": "all"}
    content = {"settings": settings, "notes": notes, "rows": rows}
    (folder / "results/compare.json").write_text(json.dumps(content))
    return folder


def report_of(folder: Path, rows: list[dict[str, Any]]) -> str:
    return write_report(write_compare(folder, rows), None, published=folder / "none").with_suffix(".md").read_text()


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """The run `quarter` with two denoisers, of which the second raises the last distance, and a control."""
    return [
        *rows_of("quarter", "mean", (0.5, 0.6, 0.7)),
        *rows_of("quarter", "joint", (0.4, 0.9, 1.5)),
        *rows_of("gan-only", "none", (0, 0, 0)),
    ]


def test_the_section_has_a_figure_and_an_answer_before_the_other_results(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    markdown = report_of(tmp_path / "study", rows)
    assert markdown.index("## Training") < markdown.index(HEADLINE) < markdown.index("## Generated images")
    figure = re.search(r"!\[(.+)\]\(figures/compare.svg\)\n\*Figure G\. (.+)\*", markdown)
    assert figure is not None
    assert "separate training 0.502 at 2 to 0.703 at 0.5; joint training 0.402 at 2 to 1.507 at 0.5" in figure[1]
    assert "gan-only, no denoiser at 1.000" in figure[1]
    assert "95 % confidence intervals over up to 2 seeds" in figure[2]
    drawn = (tmp_path / "study/figures/compare.svg").read_text()
    assert drawn.count('<g id="FillBetween') == 2  # the intervals of two curves
    answer = (
        "In 6 cases (run, epoch and denoiser) of `study compare`, denoising **lowers** the distance in 5 "
        "(raw distances 0.5 to 2) and **raises** the distance in 1 (raw distance 0.5); "
        "these verdicts are exploratory, not corrected for their number."
    )
    assert markdown.count(answer) == 2  # in the abstract too
    assert (
        "- Control `gan-only` (the GAN alone, with as many updates as joint training has): its distance is 1.000"
        in markdown
    )
    assert "The cost of the denoiser: not measured." in markdown


def test_the_limits_mention_the_seeds(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    two = report_of(tmp_path / "two", rows)
    assert "there are several seeds in the section 'Comparison of runs' (up to 2), with intervals. A small" in two
    one = report_of(tmp_path / "one", [row for row in rows if row["seed"] == 0])
    assert "there are no confidence intervals. A small difference may be due to chance." in one
    assert "one seed, no intervals" in one
    assert "| quarter | joint training | 1 | 1 | untested | 0.400 | 2.000 | 0.800 |" in one


def test_the_command_repeats_the_comparison(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    study = load_study(write_compare(tmp_path, rows), None)
    command = f"gan-denoise study compare --epochs -n 500 --seed 7 --json runs/quarter-0 'a b' > {tmp_path}/results/"
    assert study.compare_command() == f"{command}compare.json"
    assert f"    {command}" in report_of(tmp_path / "again", rows).replace(str(tmp_path / "again"), str(tmp_path))


def test_without_compared_runs_or_denoised_images_there_is_no_section(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = write_report(tmp_path / "empty", None, published=tmp_path / "none").with_suffix(".md").read_text()
    gan_only = report_of(tmp_path / "gan-only", rows_of("gan-only", "none", (0, 0, 0)))
    for markdown in (empty, gan_only):
        assert HEADLINE not in markdown
        assert "Figure G" not in markdown


def test_a_curve_is_named_with_its_run_where_several_runs_have_the_denoiser(rows: list[dict[str, Any]]) -> None:
    assert list(named_curves(rows)) == ["separate training", "joint training"]
    both = named_curves([*rows, *rows_of("best", "mean", (1.0,))])
    assert list(both) == ["separate training (quarter)", "joint training", "separate training (best)"]


def test_a_band_without_interval_equals_its_curve() -> None:
    ((_, one),) = build_curves(rows_of("a", "mean", (0.5, 0.6), seeds=1)).items()
    assert build_band(one).low == build_band(one).y == build_band(one).high == [0.5, 0.6]
    ((_, two),) = build_curves(rows_of("a", "mean", (0.5, 0.6), seeds=2)).items()
    band = build_band(two)
    assert all(low < y < high for low, y, high in zip(band.low, band.y, band.high, strict=True))


def test_the_curves_of_joint_training_are_those_of_its_log(tmp_path: Path) -> None:
    events = [
        {"step": e, "epoch": e, "discriminator_loss": 0.6, "pair_accuracy": 0.5 + e / 10, "psnr_db": 27.0 + e}
        | {"images_per_s": 100.0, "seconds": 60.0}
        for e in (1, 2, 3)
    ]
    folder = tmp_path / "study"
    (folder / "joint").mkdir(parents=True)
    (folder / "joint/log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    (folder / "joint/meta.json").write_text(json.dumps({"fingerprint": {"seed": 5, "config": {"epochs": 4}}}))
    markdown = write_report(folder, None, published=folder / "none").with_suffix(".md").read_text()
    assert "discriminator, raw 0.6 to 0.6, raw images 0.6 to 0.8, PSNR 28 to 30" in markdown
    assert "*Figure H. Joint training: losses" in markdown
    assert "Unfinished training (joint training): 3 of 4 epochs." in markdown
    assert "Training time (joint training): 3 min (3 epochs, 100 to 100 images/s)." in markdown


def test_runs_that_share_seeds_are_compared_in_pairs(rows: list[dict[str, Any]]) -> None:
    text = paired_comparison(rows)
    lines = text.splitlines()
    assert lines[2].startswith("| gan-only | quarter | raw | 2 | 0 | 1.000 |")
    assert lines[3].startswith("| gan-only | quarter | denoised | 2 | 2 | 0.663 |")  # raw images over joint, denoised
    assert lines[3].endswith("| 0.5 | 0.5 |")
    assert "with 2 seeds no p value is below 0.5, whatever the effect" in lines[-1]
    assert paired_comparison(rows[:12]) == ""  # one run


def test_a_run_of_a_sweep_has_the_comparison_of_the_sweep(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    sweep = SweepFolder(tmp_path)
    for name in ("quarter-0", "quarter-1", "other"):
        (tmp_path / name).mkdir()
    sweep.write(SweepRecord({}, {"quarter-0": Outcome((), 0, 1.0), "quarter-1": Outcome((), 5, 1.0, "nan")}))
    sweep.compare.write_text(json.dumps({"rows": rows}))
    assert load_study(tmp_path / "quarter-0", None).compare_rows() == rows
    assert load_study(tmp_path / "quarter-1", None).compare_rows() == []  # it failed and is not among the rows
    assert load_study(tmp_path / "other", None).compare_rows() == []
    own = write_compare(tmp_path / "quarter-0", rows[:1])
    assert load_study(own, None).compare_rows() == rows[:1]


def test_the_runs_are_explained_and_those_that_saw_the_reference_are_named(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    study = write_compare(tmp_path / "study", rows)
    file = study / "results/compare.json"
    content = json.loads(file.read_text())
    seen = "held-out images were part of the training of best"
    file.write_text(json.dumps({**content, "settings": {**content["settings"], "seen": seen}}))
    markdown = write_report(study, None, published=tmp_path / "none").with_suffix(".md").read_text()
    assert "Runs: `quarter`: joint training with a quarter of the budget; `gan-only`: control:" in markdown
    assert f"reference: 5,000 held-out training images; {seen}. Command:" in markdown
    assert f"{seen}.*" in markdown  # in the caption of figure L

"""The report's answer to whether denoising helps, from the file that `study compare --json` made."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gan_denoise.study.compare.statistics import curves_of
from gan_denoise.study.report.build import write_report
from gan_denoise.study.report.comparison import band_of, named_curves
from gan_denoise.study.report.results import load_study

HEADLINE = "## Does denoising help?"
RAWS = (2.0, 1.0, 0.5)  # of the epochs


def rows_of(run: str, denoiser: str, ratios: Sequence[float], seeds: int = 2) -> list[dict[str, Any]]:
    """A row an epoch and seed, the seeds a little apart."""
    fixed = {"run": run, "denoiser": denoiser, "n": 500}
    return [
        {**fixed, "seed": seed, "epoch": epoch, "raw": raw}
        | {"denoised": raw * ratio * (1 + 0.01 * seed) if ratio else None}
        for seed in range(seeds)
        for epoch, (raw, ratio) in enumerate(zip(RAWS, ratios, strict=False), 1)
    ]


def write_compare(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A study's folder with that file."""
    settings: dict[str, Any] = {"reference": "5,000 held-out training images", "seed": 7}
    notes = {"raw, denoised": "Fréchet distances"}
    (folder / "results").mkdir(parents=True)
    settings |= {"folders": "runs/quarter-0 'a b'", "epochs": "all"}
    content = {"settings": settings, "notes": notes, "rows": rows}
    (folder / "results/compare.json").write_text(json.dumps(content))
    return folder


def report_of(folder: Path, rows: list[dict[str, Any]]) -> str:
    return write_report(write_compare(folder, rows), None, kept=folder / "none").with_suffix(".md").read_text()


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """The run `quarter` denoised in two ways, the second of which harms at last, and a control."""
    return [
        *rows_of("quarter", "mean", (0.5, 0.6, 0.7)),
        *rows_of("quarter", "joined", (0.4, 0.9, 1.5)),
        *rows_of("gan-only", "none", (0, 0, 0)),
    ]


def test_the_figure_and_the_answer_stand_before_the_other_results(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    markdown = report_of(tmp_path / "study", rows)
    assert markdown.index("## Training") < markdown.index(HEADLINE) < markdown.index("## Generated images")
    figure = re.search(r"!\[(.+)\]\(figures/compare.svg\)\n\*Figure G\. (.+)\*", markdown)
    assert figure is not None
    assert "in one pass 0.502 at 2 to 0.703 at 0.5; joined in training 0.402 at 2 to 1.507 at 0.5" in figure[1]
    assert "alone, not denoised at 1.000" in figure[1]
    assert "intervals of 95 % over up to 2 seeds" in figure[2]
    drawn = (tmp_path / "study/figures/compare.svg").read_text()
    assert drawn.count('<g id="FillBetween') == 2  # the intervals of two curves
    answer = (
        "denoising **lowers** the distance in 5 (raw distances 0.5 to 2) and **raises** it in 1 (raw distance 0.5)."
    )
    assert markdown.count(answer) == 2  # in the abstract too
    assert "- `alone` (the join's updates spent on the generator alone) comes to 1.000 times" in markdown
    assert "What the denoiser costs: not measured." in markdown


def test_the_limits_know_of_the_seeds(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    assert "up to 2, and intervals, and a small difference may be chance" in report_of(tmp_path / "two", rows)
    one = report_of(tmp_path / "one", [row for row in rows if row["seed"] == 0])
    assert "there are no error bars" in one
    assert "one seed, no intervals" in one
    assert "| quarter | joined in training | 1 | 1 | lowers | 0.400 | 2.000 | 0.800 |" in one


def test_the_command_makes_the_file_again(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    study = load_study(write_compare(tmp_path, rows), None)
    command = f"gan-denoise study compare --epochs -n 500 --seed 7 --json runs/quarter-0 'a b' > {tmp_path}/results/"
    assert study.comparing_command() == f"{command}compare.json"
    assert f"    {command}" in report_of(tmp_path / "again", rows).replace(str(tmp_path / "again"), str(tmp_path))


def test_without_comparison_or_denoised_images_nothing_is_claimed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = write_report(tmp_path / "empty", None, kept=tmp_path / "none").with_suffix(".md").read_text()
    alone = report_of(tmp_path / "gan-only", rows_of("gan-only", "none", (0, 0, 0)))
    for markdown in (empty, alone):
        assert HEADLINE not in markdown
        assert "Figure G" not in markdown


def test_a_way_is_named_by_its_run_where_several_runs_have_it(rows: list[dict[str, Any]]) -> None:
    assert list(named_curves(rows)) == ["in one pass", "joined in training"]
    both = named_curves([*rows, *rows_of("best", "mean", (1.0,))])
    assert list(both) == ["in one pass (quarter)", "joined in training", "in one pass (best)"]


def test_a_band_without_interval_is_its_curve() -> None:
    ((_, one),) = curves_of(rows_of("a", "mean", (0.5, 0.6), seeds=1)).items()
    assert band_of(one).low == band_of(one).y == band_of(one).high == [0.5, 0.6]
    ((_, two),) = curves_of(rows_of("a", "mean", (0.5, 0.6), seeds=2)).items()
    band = band_of(two)
    assert all(low < y < high for low, y, high in zip(band.low, band.y, band.high, strict=True))


def test_the_curves_of_a_join_are_those_of_its_log(tmp_path: Path) -> None:
    events = [
        {"step": e, "epoch": e, "discriminator_loss": 0.6, "pair_accuracy": 0.5 + e / 10, "psnr_db": 27.0 + e}
        | {"images_per_s": 100.0, "seconds": 60.0}
        for e in (1, 2)
    ]
    folder = tmp_path / "study"
    (folder / "joint").mkdir(parents=True)
    (folder / "join/log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    (folder / "join/meta.json").write_text(json.dumps({"fingerprint": {"seed": 5, "config": {"epochs": 3}}}))
    markdown = write_report(folder, None, kept=folder / "none").with_suffix(".md").read_text()
    assert "discriminator of images 0.6 to 0.6, of images 0.6 to 0.7, PSNR 28 to 29" in markdown
    assert "*Figure H. The joined training" in markdown
    assert "The join is unfinished: 2 of 3 epochs." in markdown
    assert "The join took 2 min (2 epochs, 100 to 100 images/s)." in markdown

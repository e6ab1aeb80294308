"""The report's appendix: its sentences follow from the rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from gan_denoise.study.report.appendix import describe_classes, describe_sizes, summarize_epochs
from gan_denoise.study.report.build import write_report


def row(name: str, n: int, ratio: float | None, spread: float = 0.05) -> dict[str, Any]:
    interval = {} if ratio is None else {"ratio_low": ratio - spread, "ratio_high": ratio + spread}
    return {"class": name, "n": n, "real": 0.1, "raw": 1.0, "denoised": ratio, "ratio": ratio, **interval}


def test_the_sentence_on_numbers_says_whether_the_verdict_depends_on_them() -> None:
    steady = [row("all", 500, 0.8), row("all", 10_000, 0.6)]
    assert describe_sizes(steady).endswith(
        "From 500 to 10,000 images the ratio goes from 0.8 to 0.6. The verdict is the same at each number."
    )
    assert describe_sizes([row("all", 500, 0.98), *steady]).endswith("The verdict depends on the number.")
    assert describe_sizes([row("all", 500, 0.8), row("Bag", 50, 0.8)]) == ""


def test_each_class_is_named_with_its_verdict() -> None:
    rows = [row("all", 500, 0.8), row("Bag", 50, 0.8), row("Shirt", 50, 1.2), row("Coat", 50, 1.01), row("Top", 9, 0.7)]
    assert describe_classes(rows) == (
        "In Bag (0.8 times) and Top (0.7 times) denoising **lowers** the distance; in Shirt (1.2 times) denoising "
        "**raises** the distance; in Coat (1.01 times) denoising has no clear effect on the distance."
    )
    assert describe_classes(rows[:1]) == ""
    assert describe_classes([row("0", 50, 0.8)]) == "In class 0 (0.8 times) denoising **lowers** the distance."


def test_the_appendix_ends_the_report_and_shows_what_has_a_distance(tmp_path: Path) -> None:
    results = tmp_path / "study/results"
    results.mkdir(parents=True)
    rows = [row("all", 500, 0.8), row("all", 2_000, 0.7), row("Bag", 9, None), row("a|b", 200, 1.2)]
    (results / "subsets.json").write_text(json.dumps({"rows": rows, "settings": {"seed": 0}}))
    markdown = write_report(tmp_path / "study", None, published=tmp_path / "none").with_suffix(".md").read_text()
    appendix = markdown[markdown.index("## Appendix") :]
    assert appendix.count("\n## ") == 0
    assert "| all | 2,000 | 0.1 | 1 | 0.7 | 0.700 (0.650 to 0.750) |" in appendix
    assert "Bag" not in appendix
    assert "| a\\|b | 200 |" in appendix
    assert "gan-denoise eval subsets --model" in markdown
    assert "-n 2000" in markdown


def test_the_epochs_are_means_over_the_seeds_with_the_interval_of_the_ratio() -> None:
    rows = [
        {"run": "paper", "seed": seed, "epoch": epoch, "denoiser": denoiser, "raw": 2.0, "denoised": ratio * 2.0}
        | {"ratio": ratio, "kid_raw": 0.01 * (seed + 1), "class_preserved": 0.8 + 0.1 * seed}
        for seed, ratio in enumerate((0.7, 0.9))
        for epoch in (1, 2)
        for denoiser in ("mean", "gaussian")
    ]
    first, second, *filters = summarize_epochs(rows)
    assert (first["epoch"], second["epoch"], first["seeds"], first["denoiser"]) == (1, 2, 2, "separate training")
    assert [(row["epoch"], row["denoiser"]) for row in filters] == [(1, "Gaussian filter"), (2, "Gaussian filter")]
    assert first["kid_raw"] == pytest.approx(0.015)
    assert first["class_preserved"] == pytest.approx(0.85)
    assert first["denoised"] == pytest.approx(2 * 0.63**0.5)
    assert first["ratio"] == pytest.approx(0.63**0.5)
    assert first["ratio_low"] < 0.7 < 0.9 < first["ratio_high"]
    assert first["recall_raw"] is None


def test_the_run_is_named_where_there_are_several(tmp_path: Path) -> None:
    tables = []
    for names in (("a",), ("a", "b")):
        results = tmp_path / "-".join(names) / "results"
        results.mkdir(parents=True)
        row = {"seed": 0, "denoiser": "mean", "raw": 2.0, "denoised": 1.0, "ratio": 0.5}
        rows = [{**row, "run": name, "epoch": epoch} for name in names for epoch in (1, 2)]
        (results / "crossover.json").write_text(json.dumps({"rows": rows, "settings": {"seed": 0}}))
        report = write_report(results.parent, None, published=tmp_path / "none").with_suffix(".md").read_text()
        tables.append(report[report.index("## Appendix: the epochs") :])
    assert "| separate training | 1 | 1 | 0.500 |" in tables[0]
    assert "| run |" not in tables[0]
    assert "| b | separate training | 2 | 1 | 0.500 |" in tables[1]

"""The report's opening: sentences that are true whatever the numbers are, a figure and the table of features."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gan_denoise.study.compare.crossover import crossovers
from gan_denoise.study.report.answer import (
    FEATURE_COLUMNS,
    describe_crossovers,
    describe_features,
    describe_filters,
    describe_imagenet,
    describe_joint,
    estimate_trainings,
)
from gan_denoise.study.report.build import write_report
from gan_denoise.study.report.tables import ratio_table
from gan_denoise.study.rows import GAUSSIAN, JOINT, JOINT_FILTERS


def features(name: str, ratio: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    row = {"features": name, "n": 3000, "real": 0.1, "raw": 1.0, "denoised": ratio}
    return {**row, "ratio": ratio, "ratio_low": low, "ratio_high": high, "kid_raw": 0.01, "excess_ratio": 0.5}


def of_trainings(*trainings: list[dict[str, Any]]) -> list[Any]:
    by_name: dict[str, list[Any]] = {}
    for row in (row for training in trainings for row in training):
        by_name.setdefault(row["features"], []).append(row)
    return estimate_trainings(by_name)


def epochs(ratios: list[float], denoiser: str = "mean", seed: int = 0) -> list[dict[str, Any]]:
    return [
        {"run": "paper", "seed": seed, "epoch": epoch, "denoiser": denoiser, "raw": 2.0}
        | {"denoised": 2 * ratio, "ratio": ratio, "n": 100, "ratio_low": 0.9 * ratio, "ratio_high": 1.1 * ratio}
        for epoch, ratio in enumerate(ratios, start=1)
    ]


def test_the_effect_by_each_feature_network_is_said_by_its_interval() -> None:
    rows = [features("ffd-1", 0.63, 0.6, 0.66), features("imagenet", 0.86, 0.8, 0.9)]
    rows += [features("pixels", 1.0, 0.99, 1.01), features("mine.onnx", 1.2, 1.1, 1.3), features("none.onnx", None)]
    sentence = describe_features(of_trainings(rows))
    assert sentence == (
        "In this training (intervals over its latents), on the features of a Fashion-MNIST classifier (FFD-1: 0.63 "
        "times) and an ImageNet network (0.86 times) denoising **lowers** the Fréchet distance to real images; on "
        "plain pixels (1 times) denoising has no clear effect on the distance; "
        "on the features of mine.onnx (1.2 times) denoising **raises** the distance."
    )
    assert "none.onnx" not in sentence
    assert describe_features(of_trainings([features("pixels", None)])) == ""
    untested = describe_features(of_trainings([features("ffd-1", 0.5)]))
    assert "untested effect" in untested  # without an interval nothing is claimed
    both = describe_features(of_trainings([features("pixels", 0.9, 0.8, 0.95), features("mine.onnx", 0.8, 0.7, 0.9)]))
    assert "on the features of mine.onnx (0.8 times) and on plain pixels (0.9 times) denoising **lowers**" in both


def test_the_generator_alone_is_the_second_baseline() -> None:
    rows = [features("ffd-1", 0.7, 0.6, 0.8) | {"alone_ratio": 0.75, "alone_ratio_low": 0.7, "alone_ratio_high": 0.8}]
    rows += [features("pixels", 1.0, 0.9, 1.1) | {"alone_ratio": 1.2, "alone_ratio_low": 1.1, "alone_ratio_high": 1.3}]
    assert describe_features(of_trainings(rows)).endswith(
        " Compared with the generator alone, it **lowers** the distance by ffd-1 (0.75 times); it **raises** the "
        "distance by pixels (1.2 times)."
    )


def test_several_trainings_have_one_verdict() -> None:
    """The interval is over the trainings, not over the latents of one, which would exclude 1 here."""
    ratios = [1.133, 1.068, 1.193]
    trainings = [features("ffd-1", ratio, ratio - 0.01, ratio + 0.01) for ratio in ratios]
    (row,) = of_trainings(*([training] for training in trainings))
    assert row["seeds"] == 3
    assert (row["ratio"], row["ratio_low"], row["ratio_high"]) == pytest.approx((1.130, 0.985, 1.296), abs=1e-3)
    assert describe_features([row]) == (
        "Over 3 trainings, on the features of a Fashion-MNIST classifier (FFD-1: 1.13 times) denoising has no clear "
        "effect on the Fréchet distance to real images."
    )


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        (
            [[0.7, 0.9, 1.1], [0.7, 0.9, 1.2]],
            "(2 seeds) the separately trained denoiser lowers the distance for the last time at epoch 2; at epoch 3 it "
            "is 1.149 times that of raw images (0.661 to 1.997): over the seeds denoising has no clear effect on it.",
        ),
        ([[0.7, 1.1, 1.1], [0.7, 0.9, 1.2]], "for the last time at epoch 1 to 2, by seed; at epoch 3"),
        ([[0.7, 0.9, 0.9], [0.7, 0.9, 1.2]], "at epoch 2 to 3, by seed, in 1 of 2 seeds at the last one measured;"),
        ([[0.7, 0.9, 1.1], [1.1, 1.2, 1.3]], "for the last time at epoch 2, in 1 of 2 seeds at no epoch; at epoch 3"),
        (
            [[0.7, 1.1, 0.8]],
            "Over 3 epochs (1 seed) the separately trained denoiser still lowers the distance at the last epoch; at "
            "epoch 3 it is 0.800 times that of raw images (0.720 to 0.880): denoising **lowers** it.",
        ),
        ([[1.1, 1.2, 1.3]], "lowers the distance at no epoch; at epoch 3 it is 1.300 times that of raw images (1.170"),
    ],
)
def test_the_crossover_is_said_with_its_seeds(seeds: list[list[float]], said: str) -> None:
    rows = [row for seed, ratios in enumerate(seeds) for row in epochs(ratios, seed=seed)]
    rows += epochs([0.5, 0.5, 0.5], "gaussian")  # no sentence of its own
    assert said in describe_crossovers(crossovers(rows), rows)


def test_joint_training_of_one_epoch_has_its_ratio_over_the_seeds() -> None:
    rows = [row for seed, ratio in enumerate((0.6, 0.7)) for row in epochs([ratio], JOINT, seed=seed)]
    assert describe_joint([*epochs([0.9, 0.9]), *rows]).startswith(
        "After joint training (`paper`, 2 seeds) the distance of figure K is 0.65 times ("
    )
    assert describe_joint(rows[:1]) == ""
    assert describe_joint([*epochs([0.9, 0.8], JOINT), *epochs([0.9, 0.8], JOINT, seed=1)]) == ""


def test_filters_stand_beside_the_denoiser() -> None:
    rows = [*epochs([0.7, 1.1]), *epochs([0.9, 1.0], "gaussian"), *epochs([0.8, 0.95], "nlm")]
    assert describe_filters(rows).endswith(
        "the distance is multiplied by 0.70 (separately trained denoiser), 0.90 (Gaussian filter) and 0.80 (non-local "
        "means) at epoch 1, and by 1.10 (separately trained denoiser), 1.00 (Gaussian filter) and 0.95 (non-local "
        "means) at epoch 2."
    )
    assert describe_filters(epochs([0.7, 1.1])) == ""
    joint = [*epochs([0.8], JOINT), *epochs([0.9], JOINT_FILTERS[GAUSSIAN])]
    both = describe_filters([*rows, *joint])
    assert both.count("Filters tuned") == 1
    assert both.endswith(
        "; the distance is multiplied by 0.80 (jointly trained denoiser) and 0.90 (Gaussian filter) at epoch 1."
    )


def test_imagenet_features_have_their_own_sentences() -> None:
    rows = [*epochs([0.6, 0.9]), *epochs([0.9, 0.95], "gaussian")]
    assert describe_imagenet(crossovers(rows), rows) == (
        "On the features of an ImageNet network: over 2 epochs (1 seed) the separately trained denoiser still "
        "lowers the distance at the last epoch; at epoch 2 it is 0.900 times that of raw images (0.810 to 0.990):"
        " denoising **lowers** it. The distance is multiplied by 0.60 (separately trained denoiser) and 0.90 "
        "(Gaussian filter) at epoch 1, and by 0.90 (separately trained denoiser) and 0.95 (Gaussian filter) at "
        "epoch 2."
    )
    assert describe_imagenet([], []) == ""


def test_each_seed_can_be_below_1_without_a_clear_mean() -> None:
    rows = [*epochs([0.5, 0.6]), *epochs([0.5, 0.99], seed=1)]
    text = describe_crossovers(crossovers(rows), rows, "FFD-1")
    assert text.endswith(
        "still lowers FFD-1 at the last epoch in each seed; at epoch 2 it is 0.771 times that of raw images (0.032 to "
        "18.561): over the seeds denoising has no clear effect on it."
    )


def test_the_report_opens_with_sentences_figure_and_table(tmp_path: Path) -> None:
    results = tmp_path / "study/results"
    results.mkdir(parents=True)
    rows = [*epochs([0.7, 0.9, 1.1]), *epochs([0.9, 0.95, 1.0], "gaussian")]
    settings = {"crossover": crossovers(rows), "epochs": "all", "with": "gaussian", "folders": "runs/a", "seed": 0}
    settings["reference"] = "10,000 test images: distances are FFD-1"
    (results / "crossover.json").write_text(json.dumps({"settings": settings, "rows": rows}))
    imagenet = [row | {"n": 50} for row in epochs([0.6, 0.7])]
    of_imagenet = settings | {"crossover": crossovers(imagenet), "epochs": "1,2", "reference": "50 test images"}
    (results / "crossover_imagenet.json").write_text(json.dumps({"settings": of_imagenet, "rows": imagenet}))
    (results / "features.json").write_text(json.dumps({"rows": [features("ffd-1", 0.63, 0.6, 0.66)]}))
    (results / "features-1.json").write_text(json.dumps({"rows": [features("ffd-1", 0.7, 0.6, 0.8)]}))
    page = write_report(tmp_path / "study", None, published=tmp_path / "none")
    markdown = page.with_suffix(".md").read_text()
    titles = re.findall(r"^## .*$", markdown, re.MULTILINE)
    assert titles[:2] == ["## Does denoising help?", "## Abstract"]
    assert "gan-denoise study compare --epochs --with gaussian --test -n 100 --seed 0 --json runs/a >" in markdown
    figure = re.search(r"!\[(.+)\]\(figures/crossover.svg\)\n\*Figure K\. (.+)\*", markdown)
    assert figure is not None
    assert "separate training 0.7 to 1.1; Gaussian filter 0.9 to 1" in figure[1]
    assert "separate training, ImageNet features 0.6 to 0.7" in figure[1]
    command = "study compare --at 1,2 --with gaussian --features imagenet --test -n 50 --seed 0 --json runs/a >"
    assert "By ImageNet features: 50 images of each generator; reference: 50 test images." in figure[2]
    assert markdown.count(command) == 2  # in the appendix of the epochs, and among the commands
    assert (tmp_path / "study/figures/crossover.svg").stat().st_size > 1000
    assert ratio_table(FEATURE_COLUMNS, [features("ffd-1", 0.63, 0.6, 0.66)]) in markdown
    assert "| 0.630 (0.600 to 0.660) |" in markdown
    assert "Over 2 trainings, on the features of a Fashion-MNIST classifier (FFD-1: 0.664 times)" in markdown
    assert "| ffd-1 | 2 | 0.664 (0.340 to 1.297) |" in markdown
    assert "gan-denoise eval generation --features ffd-1 --model" in markdown

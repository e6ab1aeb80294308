"""A stage of many epochs: which are reported and saved."""

import dataclasses
import json
from pathlib import Path

import pytest

from gan_denoise.data import sources
from gan_denoise.data.dataset import Dataset
from gan_denoise.export.run_folder import RunFolder
from gan_denoise.study.config import RunOptions
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.run import stage
from gan_denoise.study.train.dispatch import train


@pytest.mark.parametrize(("epochs", "interval"), [(20, 1), (100, 1), (101, 2), (494, 5), (833, 9)])
def test_at_most_a_hundred_epochs_are_reported(epochs: int, interval: int) -> None:
    assert stage.report_interval(epochs) == interval


def test_measured_epochs_are_reported_beside_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(PRESETS["smoke-best"].gan, epochs=7, images=48)
    monkeypatch.setattr(stage, "MAX_REPORTS", 2)  # every four epochs
    train(config, sources.load_fashion_mnist(), tmp_path / "run", RunOptions(threads=1, measure_every=3))
    lines = [json.loads(line) for line in RunFolder(tmp_path / "run").gan.log.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [3, 4, 6, 7]
    assert ["held_out_distance" in line for line in lines] == [True, False, True, False]


def test_of_many_epochs_some_have_a_line_samples_and_weights_and_the_weights_stay_the_same(
    excerpt: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(PRESETS["smoke"].gan, epochs=5, images=48)
    train(config, excerpt, tmp_path / "each", RunOptions(threads=1))
    monkeypatch.setattr(stage, "MAX_REPORTS", 3)
    train(config, excerpt, tmp_path / "few", RunOptions(threads=1))
    each, few = (RunFolder(tmp_path / name).gan for name in ("each", "few"))
    assert each.saved_epochs() == [1, 2, 3, 4, 5]
    assert few.saved_epochs() == [2, 4, 5]
    assert [few.sample(epoch).exists() for epoch in range(1, 6)] == [False, True, False, True, True]
    lines = [[json.loads(line) for line in folder.log.read_text().splitlines()] for folder in (each, few)]
    assert [(line["epoch"], line["step"]) for line in lines[1]] == [(2, 4), (4, 8), (5, 10)]
    mean = (lines[0][0]["generator_loss"] + lines[0][1]["generator_loss"]) / 2
    assert lines[1][0]["generator_loss"] == pytest.approx(mean, rel=1e-4)
    assert few.weights("generator").read_bytes() == each.weights("generator").read_bytes()

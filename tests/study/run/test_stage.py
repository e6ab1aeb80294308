"""A stage of many epochs: which are reported and saved."""

import dataclasses
import json
from pathlib import Path

import pytest

from gan_denoise.data.dataset import Dataset
from gan_denoise.export.run_folder import RunFolder
from gan_denoise.study.config import RunOptions
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.run import stage
from gan_denoise.study.train.dispatch import train


@pytest.mark.parametrize(
    ("epochs", "measure_every", "interval"),
    [(20, 0, 1), (100, 0, 1), (101, 0, 2), (494, 0, 5), (494, 10, 5), (494, 6, 3), (494, 7, 1)],
)
def test_at_most_a_hundred_epochs_are_reported_and_those_that_are_measured(
    epochs: int, measure_every: int, interval: int
) -> None:
    assert stage.report_interval(epochs, measure_every) == interval


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

"""Configurations: the published one is frozen, and invalid fields are refused by name."""

import pytest

from gan_denoise.errors import UsageError
from gan_denoise.study.config import (
    ClassifierConfig,
    DenoiserConfig,
    DnCNNShape,
    GanConfig,
    UNetShape,
    check_batch,
    config_sha256,
)
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.train.batches import steps_per_epoch

PAPER_SHA256 = "d6559dd7b6378f944abd2365e3793a8d44f00e9fe12d2df0a6dd83787b2e952c"


def test_paper_is_frozen() -> None:
    """A changed hash means that the published figures are no longer those of `paper`: make a new preset instead."""
    assert config_sha256(PRESETS["paper"]) == PAPER_SHA256


def test_paper_has_the_papers_budget() -> None:
    for config in (PRESETS["paper"].gan, PRESETS["paper"].denoiser):
        assert (config.epochs, config.batch, config.images) == (20, 256, 60_000)


def test_quick_trains_on_every_image() -> None:
    for config in (PRESETS["quick"].gan, PRESETS["quick"].denoiser):
        assert config.images == 60_000
        assert config.epochs * steps_per_epoch(config.images, config.batch) * config.batch >= 60_000


def test_configurations_that_differ_have_hashes_that_differ() -> None:
    assert config_sha256(GanConfig()) != config_sha256(GanConfig(dropout=0.31))
    assert config_sha256(GanConfig()) == config_sha256(GanConfig())


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: GanConfig(dropout=1.0), r"dropout: expected a number from 0 to below 1, got 1\.0"),
        (lambda: GanConfig(epochs=0), "epochs: expected 1 or more, got 0"),
        (lambda: GanConfig(batch=1), r"batch: expected 2 to 60000 \(the number of images\), got 1"),
        (lambda: check_batch(256, 257), "--batch: expected a size that does not leave 1 of 257 images over, got 256"),
        (lambda: check_batch(17, 18), "--batch: expected a size that does not leave 1 of 18 images over, got 17"),
        (lambda: UNetShape(blocks=(1, -1, 1)), "blocks: expected 3 numbers of 0 or more"),
        (lambda: DnCNNShape(depth=1), "depth: expected 2 or more, got 1"),
        (lambda: GanConfig(images=100), r"batch: expected 2 to 100 \(the number of images\), got 256"),
        (lambda: GanConfig(generator_widths=()), "generator_widths"),
        (lambda: GanConfig(learning_rate=float("nan")), "learning_rate: expected a number between 0 and 1, got nan"),
        (lambda: DenoiserConfig(sigma_min=0.6), r"sigma_min: expected 0 to 0\.5, got 0\.6"),
        (lambda: ClassifierConfig(images=50_001), "images: expected at most 50000, the rest is held out, got 50001"),
    ],
)
def test_invalid_fields_are_refused_by_name(make: object, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        make()  # type: ignore[operator]


def test_a_batch_that_leaves_no_single_image_is_accepted() -> None:
    for batch, images in ((256, 60_000), (17, 23), (23, 23), (64, 20)):
        check_batch(batch, images)

"""Configurations: the published one is frozen, nonsense is refused by name."""

import pytest

from gan_denoise.errors import UsageError
from gan_denoise.study.config import ClassifierConfig, DenoiserConfig, GanConfig, config_sha256
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.train.batches import steps_per_epoch

PAPER_SHA256 = "ea4f14b22f5a3a6674be29eb4a881c2a1c5cc35a1ccbe614f26c517c0a6a56a1"


def test_paper_is_frozen() -> None:
    """A changed hash means that the published figures are no longer those of `paper`: make a new preset instead."""
    assert config_sha256(PRESETS["paper"]) == PAPER_SHA256


def test_paper_has_what_the_paper_gives() -> None:
    for config in (PRESETS["paper"].gan, PRESETS["paper"].denoiser):
        assert (config.epochs, config.batch, config.images) == (20, 256, 60_000)


def test_quick_sees_every_image() -> None:
    for config in (PRESETS["quick"].gan, PRESETS["quick"].denoiser):
        assert config.images == 60_000
        assert config.epochs * steps_per_epoch(config.images, config.batch) * config.batch >= 60_000


def test_configurations_that_differ_have_hashes_that_differ() -> None:
    assert config_sha256(GanConfig()) != config_sha256(GanConfig(dropout=0.31))
    assert config_sha256(GanConfig()) == config_sha256(GanConfig())


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: GanConfig(dropout=1.0), r"dropout: 1\.0 found"),
        (lambda: GanConfig(epochs=0), "epochs: 0 found"),
        (lambda: GanConfig(batch=1), "batch: 1 found"),
        (lambda: GanConfig(images=257), "batch: 256 found, no remainder of 1"),
        (lambda: GanConfig(images=100), "images: 100 found"),
        (lambda: GanConfig(generator_widths=()), "generator_widths"),
        (lambda: GanConfig(learning_rate=float("nan")), "learning_rate: nan found"),
        (lambda: DenoiserConfig(sigma_min=0.6), r"sigma_min: 0\.6 found, 0 to 0\.5 wanted"),
        (lambda: ClassifierConfig(images=50_001), "images: 50001 found"),
    ],
)
def test_nonsense_is_refused_by_name(make: object, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        make()  # type: ignore[operator]

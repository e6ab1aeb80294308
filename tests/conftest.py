"""What several test modules need."""

from __future__ import annotations

from pathlib import Path

import pytest

from gan_denoise.data import fashion_mnist
from gan_denoise.data.fashion_mnist import Dataset
from gan_denoise.export.bundle import export_run
from gan_denoise.study.config import PRESETS
from gan_denoise.study.stage import Options
from gan_denoise.study.train_denoiser import train_denoiser
from gan_denoise.study.train_features import train_features
from gan_denoise.study.train_gan import train_gan

EXCERPT = Path(__file__).parent / "excerpt"


@pytest.fixture(scope="session")
def excerpt() -> Dataset:
    """400 training and 100 test images of the real Fashion-MNIST, 40 and 10 a class."""
    return fashion_mnist.read(EXCERPT, "excerpt", checked=False)


@pytest.fixture(scope="session")
def trained(excerpt: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose tiny networks really were trained on the excerpt, so that batch norm has statistics of its own."""
    run = tmp_path_factory.mktemp("trained")
    preset, options = PRESETS["smoke"], Options(threads=1)
    train_gan(preset.gan, excerpt, run, options)
    train_denoiser(preset.denoiser, excerpt, run, options)
    train_features(preset.features, excerpt, run, options)
    return run


@pytest.fixture(scope="session")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of `trained`."""
    out = tmp_path_factory.mktemp("exported") / "out"
    export_run(trained, out)
    return out

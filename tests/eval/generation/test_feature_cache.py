"""Features of real images are computed once, and nothing that goes wrong with the cache changes them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gan_denoise import console
from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import ArrayF32
from gan_denoise.eval.generation.extractor import FeatureExtractor, Features, Outputs
from gan_denoise.eval.generation.features import load_extractor
from gan_denoise.export.runtime import Graph
from gan_denoise.options import FFD_1


@pytest.fixture(scope="module")
def network() -> FeatureExtractor:
    return load_extractor(FFD_1, 1)


def arrays(outputs: Outputs) -> tuple[Features, Features]:
    """Features and logits, which this network has."""
    features, logits = outputs
    assert logits is not None
    return features, logits


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GAN_DENOISE_CACHE", str(tmp_path))
    return tmp_path / "features"


@pytest.fixture
def calls(network: FeatureExtractor, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each run of a network was given."""
    given: list[int] = []
    batched = Graph.batched

    def counted(self: Graph, samples: ArrayF32, batch: int = 100) -> tuple[ArrayF32, ...]:
        given.append(len(samples))
        return batched(self, samples, batch)

    monkeypatch.setattr(Graph, "batched", counted)
    return given


def test_they_are_those_of_the_network_and_computed_once(
    excerpt: Dataset, network: FeatureExtractor, folder: Path, calls: list[int]
) -> None:
    images = excerpt.test.images
    first, again = network.of_real(images), network.of_real(images)
    assert calls == [len(images)]
    assert len(list(folder.iterdir())) == 1
    for actual, once_more, expected in zip(*map(arrays, (first, again, network.outputs(images))), strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-5)
        np.testing.assert_array_equal(once_more, actual)


def test_other_images_and_another_network_have_features_of_their_own(
    excerpt: Dataset, network: FeatureExtractor, folder: Path, calls: list[int]
) -> None:
    images = excerpt.test.images
    for some in (images, images[::-1].copy(), images[:50]):
        network.of_real(some)
    dataclasses.replace(network, label="another").of_real(images)
    assert calls == [100, 100, 50, 100]
    assert len(list(folder.iterdir())) == 4


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "another file"])
def test_a_damaged_file_is_replaced(
    excerpt: Dataset, network: FeatureExtractor, folder: Path, calls: list[int], harm: str
) -> None:
    images = excerpt.test.images
    expected = network.of_real(images)
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    middle = len(whole) // 2
    harmed = {
        "cut": whole[:middle],
        "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "empty": b"",
        "another file": b"no arrays in here",
    }
    file.write_bytes(harmed[harm])
    for actual, known in zip(arrays(network.of_real(images)), arrays(expected), strict=True):
        np.testing.assert_array_equal(actual, known)
    assert calls == [len(images)] * 2
    assert file.read_bytes() == whole


@pytest.mark.row(48)
def test_a_cache_that_cannot_be_written_changes_nothing_and_is_reported_once(
    excerpt: Dataset,
    network: FeatureExtractor,
    tmp_path: Path,
    calls: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(console, "_warned", set())
    (tmp_path / "file").touch()
    monkeypatch.setenv("GAN_DENOISE_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        features, _ = network.of_real(excerpt.test.images)
        assert features.shape == (100, 96)
    assert calls == [100, 100]
    assert capsys.readouterr().err == (
        f"warning: {tmp_path / 'file/features'}: this cache cannot be written, so features are computed each time\n"
    )

"""FFD-1 has the pinned values, on every machine."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from gan_denoise.data import sources
from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float
from gan_denoise.errors import GateError, InputError
from gan_denoise.eval import commands
from gan_denoise.eval.metrics import ffd
from gan_denoise.eval.metrics.frechet import frechet_distance, statistics
from gan_denoise.export import runtime

WITHOUT_TORCH = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "safetensors", "onnxscript"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Finder())
from gan_denoise.cli import main
main()
"""


@pytest.fixture(scope="module")
def network() -> runtime.Graph:
    return ffd.load_network(threads=1)


def test_what_was_pinned_is_small_and_belongs_to_the_shipped_network() -> None:
    hashes = json.loads((runtime.SHIPPED / "sha256.json").read_text())
    assert ffd.load_pinned_metric().sha256 == hashes["features.onnx"]
    assert ffd.load_pinned_metric().sha256.startswith("947939ca")
    assert (
        ffd.load_pinned_metric().reference.mean.dtype
        == ffd.load_pinned_metric().reference.covariance.dtype
        == np.float64
    )
    assert ffd.FILE.stat().st_size < 100_000


def test_the_reference_is_computed_again_from_the_test_images(tmp_path: Path) -> None:
    out = tmp_path / "again.npz"
    result = CliRunner().invoke(commands.app, ["ffd-reference", "--out", str(out)], catch_exceptions=False)
    assert result.stdout == f"{out}\n"
    again, kept = ffd.load_pinned_metric(out), ffd.load_pinned_metric()
    assert again.reference.count == kept.reference.count == 10_000
    np.testing.assert_allclose(again.reference.mean, kept.reference.mean, rtol=0, atol=1e-5)
    np.testing.assert_allclose(again.reference.covariance, kept.reference.covariance, rtol=0, atol=1e-5)
    assert frechet_distance(again.reference, kept.reference) < 1e-6
    np.testing.assert_array_equal(kept.images, sources.load_fashion_mnist().test.images[:8])
    np.testing.assert_allclose(again.logits, kept.logits, rtol=0, atol=kept.tolerance)
    assert (again.sha256, again.tolerance) == (kept.sha256, kept.tolerance)
    refused = CliRunner().invoke(commands.app, ["ffd-reference", "--out", str(out)])
    assert getattr(refused.exception, "exit_code", 0) == 4


def test_a_machine_that_computes_other_values_is_detected(network: runtime.Graph) -> None:
    metric = ffd.load_pinned_metric()
    assert ffd.verify_test_vectors(network, metric) < 1e-5
    for part in ("features", "logits"):
        off = getattr(metric, part).copy()
        off[7, 3] += 2e-4
        with pytest.raises(GateError, match=r"FFD-1: expected test vectors within 0\.0001, got 0\.0002"):
            ffd.verify_test_vectors(network, dataclasses.replace(metric, **{part: off}))
        off[7, 3] = np.nan
        with pytest.raises(GateError, match="got nan"):
            ffd.verify_test_vectors(network, dataclasses.replace(metric, **{part: off}))


def test_another_network_is_refused(tmp_path: Path) -> None:
    model = onnx.load_model(runtime.SHIPPED / "features.onnx")
    onnx.save_model(model, tmp_path / "same.onnx")
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[::-1]
    onnx.save_model(model, tmp_path / "other.onnx")
    assert ffd.load_network(tmp_path / "same.onnx").sha256 == ffd.load_pinned_metric().sha256
    sha256 = hashlib.sha256((tmp_path / "other.onnx").read_bytes()).hexdigest()
    with pytest.raises(InputError, match=f"FFD-1: expected a feature network with SHA-256 947939ca.*, got {sha256}"):
        ffd.load_network(tmp_path / "other.onnx")


@pytest.mark.parametrize("content", [b"", b"PK nothing", None])
def test_a_damaged_reference_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ffd-1.npz"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match="expected the reference of FFD-1, got"):
        ffd.load_pinned_metric(file)
    part = io.BytesIO()
    np.savez(part, sha256="ab")
    file.write_bytes(part.getvalue())
    with pytest.raises(InputError, match=r"expected the reference of FFD-1, got KeyError"):
        ffd.load_pinned_metric(file)


def test_the_distance_is_that_of_the_features(network: runtime.Graph, excerpt: Dataset) -> None:
    images = excerpt.train.images
    features = network(to_float(images))[0]
    expected = frechet_distance(statistics(features), ffd.load_pinned_metric().reference)
    assert ffd.distance(images, network) == pytest.approx(expected, rel=1e-6)
    assert 0.02 < expected < 0.2  # 400 real images are near, and not at 0
    assert ffd.distance(255 - images, network) > 10 * expected


def test_97_images_are_enough_and_96_or_other_shapes_are_refused(network: runtime.Graph, excerpt: Dataset) -> None:
    images = excerpt.train.images
    assert ffd.distance(images[:97], network) > 0
    with pytest.raises(InputError, match="FFD-1: expected 97 or more images, got 96"):
        ffd.distance(images[:96], network)
    with pytest.raises(InputError, match=r"image: expected float32 \['N', 1, 28, 28\], got float32 \[64, 1, 28, 27\]"):
        ffd.distance(images[:, :, 1:], network)
    with pytest.raises(InputError, match="expected uint8 NxHxW or Nx3xHxW, got float32 64x28x28"):
        ffd.distance(images.astype(np.float32), network)


def test_the_command_needs_neither_torch_nor_data(tmp_path: Path, network: runtime.Graph, excerpt: Dataset) -> None:
    np.savez(tmp_path / "images.npz", mine=excerpt.test.images, its=excerpt.train.images[:, ::-1])
    command = [sys.executable, "-c", WITHOUT_TORCH, "eval", "ffd", "images.npz", "--threads", "1"]
    environment = {"GAN_DENOISE_DATA": str(tmp_path / "none")}
    done = subprocess.run([*command, "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert [(row["set"], row["n"]) for row in content["rows"]] == [("mine", 100), ("its", 400)]
    assert content["rows"][0]["ffd_1"] == pytest.approx(ffd.distance(excerpt.test.images, network), rel=1e-5)
    assert content["rows"][1]["ffd_1"] > content["rows"][0]["ffd_1"]  # upside down
    assert content["settings"]["features"] == "fashion-features-96@947939ca"
    table = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "FFD-1" in table.stdout.splitlines()[2]

"""Export under faults: no partial file under a final name, and no wrong or incompatible graph published."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from command_helpers import COLD
from onnx import numpy_helper
from straced import Straced
from tmpfs import on_tmpfs

from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import GateError, InputError
from gan_denoise.export import latents, runtime
from gan_denoise.export.convert import bundle, parity, weights
from gan_denoise.export.convert.bundle import export_run
from gan_denoise.export.convert.fuse import fuse
from gan_denoise.export.convert.to_onnx import to_onnx, with_metadata
from gan_denoise.export.runtime import Graph
from gan_denoise.models.autoencoder import Denoiser
from gan_denoise.models.dcgan import Generator

EXPORT = [*COLD, "export"]


@pytest.fixture(scope="module")
def publisher() -> Iterator[Straced]:
    publisher = Straced("publisher.py")
    yield publisher
    publisher.close()


def assert_whole(out: Path, expected: Path) -> None:
    """Every graph under a final name is complete; the file of hashes exists only when all graphs do."""
    names = {path.name for path in expected.glob("*.onnx")}
    graphs = {path.name: path.read_bytes() for path in out.glob("*.onnx")}
    assert {name: (expected / name).read_bytes() for name in graphs} == graphs
    assert not (out / bundle.HASHES).exists() or graphs.keys() == names


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
@pytest.mark.row(23)
def test_killed_at_any_call_no_partial_graph_has_a_final_name(
    publisher: Straced, trained: Path, exported: Path, tmp_path: Path, call: str
) -> None:
    for when in range(1, 200):
        out = tmp_path / str(when)
        status = publisher.serve(f"{trained} {exported} {out}", call, "signal=KILL", when)
        assert_whole(out, exported)
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
    assert when > 5
    assert (out / bundle.HASHES).exists()


@pytest.mark.parametrize("call", ["write", "rename"])
@pytest.mark.row(23)
def test_a_call_that_fails_is_exit_4_and_leaves_no_temporary(
    publisher: Straced, trained: Path, exported: Path, tmp_path: Path, call: str
) -> None:
    for when in range(1, 200):
        out = tmp_path / str(when)
        status = publisher.serve(f"{trained} {exported} {out}", call, "error=ENOSPC", when)
        assert_whole(out, exported)
        assert not [*tmp_path.glob(".*"), *out.glob(".*")]
        if status == 0:
            break
        assert os.waitstatus_to_exitcode(status) == 4
    assert when > 5


@pytest.mark.row(23)
def test_a_full_disk_is_exit_4_and_the_place_empty(trained: Path, exported: Path, tmp_path: Path) -> None:
    size = sum(path.stat().st_size for path in exported.iterdir())
    out = tmp_path / "disk"
    out.mkdir()
    done = on_tmpfs(out, f"size={size // 2048}k", *EXPORT, trained, "--out", out / "exported")
    assert done.returncode == 4, done.stderr
    assert done.stderr.splitlines()[-2:] == [
        f"error: {done.stderr.split('error: ')[1].split(':')[0]}: No space left on device",
        "hint: choose another --out, or free some space",
    ]
    assert done.stdout.split() == [f"{out}:"]


def perturbed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with one weight of its largest tensor changed."""
    largest = max(model.graph.initializer, key=lambda tensor: int(np.prod(tensor.dims)))
    values = numpy_helper.to_array(largest).copy()
    values.flat[0] += 1
    largest.CopyFrom(numpy_helper.from_array(values, largest.name))
    return model


@pytest.mark.parametrize("wrong", ["generator", "denoiser", "features"])
@pytest.mark.row(24)
def test_one_wrong_weight_in_a_graph_fails_the_gate(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    def with_a_wrong_weight(network: torch.nn.Module, signature: runtime.Signature, shape: tuple[int, ...]) -> object:
        model = to_onnx(network, signature, shape)
        return perturbed(model) if signature.file == f"{wrong}.onnx" else model

    monkeypatch.setattr(bundle, "to_onnx", with_a_wrong_weight)
    with pytest.raises(
        GateError, match=rf"^{wrong}\.onnx: expected a difference of at most 0.0001, got [\d.e+-]+ at batch 1$"
    ) as gate:
        export_run(trained, tmp_path / "out")
    assert gate.value.exit_code == 7
    assert list(tmp_path.iterdir()) == []


@pytest.mark.row(24)
def test_a_graph_that_outputs_nan_fails_the_gate(trained: Path) -> None:
    generator = weights.load_generator(trained / "gan")
    graph = Graph(
        to_onnx(generator, runtime.GENERATOR, (100,)).SerializeToString(), runtime.GENERATOR, "generator.onnx"
    )
    with torch.no_grad():
        assert generator.to_image.bias is not None
        generator.to_image.bias.fill_(float("nan"))
    with pytest.raises(GateError, match="got nan at batch 1"):
        parity.check_network(graph, generator, latents.latents(0, 0, 64))


@pytest.mark.parametrize(
    ("generator", "denoiser", "said"),
    [
        ({"size": 32}, {}, r"same image shape, got \[1, 32, 32\] of the generator and \[1, 28, 28\] of the denoiser"),
        (
            {},
            {"channels": 3},
            r"same image shape, got \[1, 28, 28\] of the generator and \[3, 28, 28\] of the denoiser",
        ),
        ({}, {"range": "[-1, 1]"}, r"same pixel range, got \[0, 1\] of the generator and \[-1, 1\] of the denoiser"),
        ({"range": None}, {}, r"same pixel range, got unknown of the generator and \[0, 1\] of the denoiser"),
    ],
)
@pytest.mark.row(25)
def test_graphs_that_do_not_fit_are_refused_and_both_sides_named(
    generator: dict[str, object], denoiser: dict[str, object], said: str
) -> None:
    def ranged(model: onnx.ModelProto, settings: dict[str, object]) -> onnx.ModelProto:
        pixel_range = settings.get("range", bundle.PIXEL_RANGE)
        return model if pixel_range is None else with_metadata(model, {"pixel_range": str(pixel_range)})

    channels = int(denoiser.get("channels", 1))  # type: ignore[call-overload]
    generator_model = to_onnx(Generator((4, 4, 4), size=int(generator.get("size", 28))), runtime.GENERATOR, (100,))  # type: ignore[call-overload]
    denoiser_model = to_onnx(Denoiser((4,), 0, 0.5, channels=channels), runtime.DENOISER, (channels, 28, 28))
    with pytest.raises(InputError, match=said):
        fuse(ranged(generator_model, generator), ranged(denoiser_model, denoiser))


@dataclass
class WrongAt:
    """A fused graph whose images are wrong at one batch size only."""

    graph: Graph
    batch: int

    @property
    def signature(self) -> runtime.Signature:
        return self.graph.signature

    def __call__(self, z: ArrayF32) -> tuple[ArrayF32, ...]:
        image, denoised = self.graph(z)
        return image, denoised + np.float32(0.001 * (len(z) == self.batch))


@pytest.mark.parametrize("batch", [1, 2, 7, 64])
@pytest.mark.row(26)
def test_a_fused_graph_that_differs_at_one_batch_fails_the_gate(exported: Path, batch: int) -> None:
    signatures = (runtime.FUSED, runtime.GENERATOR, runtime.DENOISER)
    fused, generator, denoiser = (runtime.load_graph(signature, exported) for signature in signatures)
    z = latents.latents(0, 0, 64)
    assert parity.check_fused(fused, generator, denoiser, z) < 1e-5
    with pytest.raises(
        GateError, match=rf"^fused\.onnx: expected a difference of at most 0.0001, got 0\.001\d* at batch {batch}$"
    ):
        parity.check_fused(WrongAt(fused, batch), generator, denoiser, z)  # type: ignore[arg-type]


@pytest.mark.row(26)
def test_fusing_that_goes_wrong_fails_the_gate(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "fuse", lambda *models: perturbed(fuse(*models)))
    with pytest.raises(GateError, match=r"^fused\.onnx: expected .*, got [\d.e+-]+ at batch 1$") as gate:
        export_run(trained, tmp_path / "out")
    assert gate.value.exit_code == 7
    assert list(tmp_path.iterdir()) == []

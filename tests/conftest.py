"""What several test modules need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

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


@pytest.fixture(scope="session")
def identity_graph() -> Callable[..., bytes]:
    """Makes fused graphs: z (N, side * side) as a picture that the denoiser leaves as it is; a flat one has no rows."""

    def made(side: int, flat: bool = False, opset: int = 20) -> bytes:
        sides: list[str | int] = ["batch", side * side] if flat else ["batch", 1, side, side]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in ("image", "denoised")]
        z = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", side * side])
        shape = numpy_helper.from_array(np.array([-1, *sides[1:]], np.int64), "shape")
        nodes = [
            helper.make_node("Reshape", ["z", "shape"], ["image"]),
            helper.make_node("Identity", ["image"], ["denoised"]),
        ]
        graph = helper.make_graph(nodes, "identity", [z], outputs, [shape])
        opsets = [helper.make_opsetid("", opset)]
        content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
        return content

    return made

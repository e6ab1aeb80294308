from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from photograph_helpers import averaging_network, colour_crop, grey_crop
from scipy import ndimage

from gan_denoise.data.images import ImagesF32
from gan_denoise.errors import InputError
from gan_denoise.eval.denoising.methods import NEEDS
from gan_denoise.eval.denoising.photographs.methods import FILTERS, classical_methods, network_method
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.eval.noise import add_photograph_noise
from gan_denoise.export import runtime


def floats(image: np.ndarray) -> ImagesF32:
    planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return planes[None].astype(np.float32) / np.float32(255)


@pytest.mark.parametrize("image", [grey_crop(), colour_crop(40, 44)], ids=["grey", "colour"])
def test_every_filter_improves_a_photograph_and_keeps_its_shape(image: np.ndarray) -> None:
    clean = floats(image)
    noisy = add_photograph_noise(clean, 25 / 255, "float", 3)
    gains = {}
    for name, method in classical_methods().items():
        restored = method.prepare("float", 25 / 255)(noisy)
        assert restored.shape == clean.shape
        assert restored.dtype == np.float32
        assert 0 <= restored.min() <= restored.max() <= 1
        gains[name] = psnr(clean, restored)[0] - psnr(clean, noisy)[0]
    assert gains.keys() == FILTERS.keys()
    assert min(gains.values()) > 2
    assert max(gains, key=gains.__getitem__) == "BM3D"
    assert max(gains.values()) < 14


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("image", [grey_crop(), colour_crop()], ids=["grey", "colour"])
def test_a_network_of_one_or_three_channels_denoises_grey_and_colour(
    channels: int, image: np.ndarray, tmp_path: Path
) -> None:
    method = network_method(averaging_network(tmp_path / "a.onnx", channels, ("x", "y")))
    noisy = add_photograph_noise(floats(image), 0.1, "float", 0)
    expected = ndimage.uniform_filter(noisy, (1, 1, 3, 3), mode="constant").clip(0, 1)
    np.testing.assert_allclose(method.prepare("float", 0.1)(noisy), expected, rtol=0, atol=1e-6)
    assert method.size is not None
    assert (method.size.parameters, method.size.multiply_adds) == (9 * channels, 9 * channels)


def test_a_network_of_one_size_is_applied_in_tiles() -> None:
    method = network_method("fashion")
    assert method.size is not None
    assert method.size.multiply_adds == pytest.approx(38e6 / 784, rel=0.02)
    clean = floats(grey_crop())
    noisy = add_photograph_noise(clean, 25 / 255, "float", 0)
    gain = psnr(clean, method.prepare("float", 0.1)(noisy))[0] - psnr(clean, noisy)[0]
    assert 3 < gain < 12


def test_other_graphs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"fused.onnx: expected a graph with one input and one output, got z -> image,"
    ):
        network_method(runtime.SHIPPED / "fused.onnx")
    with pytest.raises(
        InputError, match=r"generator.onnx: expected images of 1 or 3 channels and an output of the sam"
    ):
        network_method(runtime.SHIPPED / "generator.onnx")
    two = averaging_network(tmp_path / "two.onnx", 1, outputs=2)
    with pytest.raises(InputError, match=r"two.onnx: .*got \[1, 'free', 'free'\] -> \[2, 'free', 'free'\]"):
        network_method(two)
    with pytest.raises(InputError, match=r"nothing.onnx: not found"):
        network_method(tmp_path / "nothing.onnx")
    none = helper.make_graph([], "none", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])])
    (tmp_path / "none.onnx").write_bytes(helper.make_model(none).SerializeToString())
    with pytest.raises(InputError, match=r"none.onnx: expected "):
        network_method(tmp_path / "none.onnx")


def test_a_filter_whose_package_is_missing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_denoise.eval.denoising.methods.find_spec", lambda module: None)
    assert set(FILTERS) - classical_methods().keys() == {"BM3D"} == set(FILTERS) & NEEDS.keys()

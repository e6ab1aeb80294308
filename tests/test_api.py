"""The public Python API: what each function takes, returns and refuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from denoise_helpers import photo_graph, save_model, with_operator
from numpy.typing import NDArray
from PIL import Image

import gan_denoise
from gan_denoise import api
from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float
from gan_denoise.errors import InputError, UsageError
from gan_denoise.eval.metrics import ffd
from gan_denoise.export import latents, runtime

RAMP = np.linspace(0, 1, 28 * 28, dtype=np.float32).reshape(28, 28)  # a ramp from black to white


def restored(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the shipped denoiser makes of one image (28, 28)."""
    (batch,) = runtime.load_graph(runtime.DENOISER)(image[None, None])
    image_restored: NDArray[np.float32] = batch[0, 0].clip(0, 1)
    return image_restored


def test_every_public_name_is_there_and_no_other() -> None:
    assert set(gan_denoise.__all__) <= set(dir(gan_denoise))
    for name in gan_denoise.__all__:
        assert callable(getattr(gan_denoise, name))
    with pytest.raises(AttributeError, match="no attribute 'training'"):
        getattr(gan_denoise, "training")  # noqa: B009


def test_the_import_is_lazy_and_nothing_needs_torch() -> None:
    code = (
        "import sys, gan_denoise; print([name for name in ('numpy', 'onnxruntime', 'scipy') if name in sys.modules]);"
        "gan_denoise.load_model().generate(1); print('scipy' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "False False"]


def test_generate_gives_the_images_of_the_fused_graph() -> None:
    image, denoised = gan_denoise.generate(70, seed=3)  # more than a batch
    expected = runtime.load_graph(runtime.FUSED)(latents.latents(3, 0, 70))
    np.testing.assert_allclose(image, expected[0], atol=1e-6)
    np.testing.assert_allclose(denoised, expected[1], atol=1e-6)
    assert image.dtype == np.float32
    assert image.shape == (70, 1, 28, 28)
    assert np.array_equal(gan_denoise.generate(2, seed=3).image, image[:2])


def test_a_label_is_a_name_or_a_number() -> None:
    model = gan_denoise.load_model()
    named, numbered = model.generate(3, label="sneaker"), model.generate(3, label=7)
    assert np.array_equal(named.image, numbered.image)
    assert not np.array_equal(named.image, model.generate(3).image)
    with pytest.raises(UsageError, match="hat"):
        model.generate(3, label="hat")


@pytest.mark.parametrize("arguments", [{"n": 0}, {"seed": -1}, {"seed": 2**63}])
def test_generate_refuses_counts_and_seeds_out_of_range(arguments: dict[str, int]) -> None:
    with pytest.raises(InputError, match=f"^{next(iter(arguments))}: expected"):
        gan_denoise.generate(**arguments)


def test_a_model_is_a_folder_or_a_file(exported: Path, identity_graph: Callable[..., bytes], tmp_path: Path) -> None:
    own = gan_denoise.load_model(exported, threads=1)
    assert own.generate(2).image.shape == (2, 1, 28, 28)
    assert not np.array_equal(own.denoise(RAMP), restored(RAMP))
    (tmp_path / "own.onnx").write_bytes(identity_graph(4))
    file = gan_denoise.load_model(str(tmp_path / "own.onnx"))
    with pytest.raises(InputError, match="image"):  # normal z as pixels leave [0, 1]
        file.generate(2)
    with pytest.raises(InputError, match="noisy"):
        file.denoise(RAMP)
    with pytest.raises(InputError, match="nothing: not found"):
        gan_denoise.load_model(tmp_path / "nothing")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (1, 1, 28, 28)])
def test_denoise_returns_the_shape_and_dtype_of_a_float_array(shape: tuple[int, ...], dtype: type) -> None:
    noisy: NDArray[Any] = RAMP.astype(dtype)
    result = gan_denoise.denoise(noisy.reshape(shape))
    assert result.shape == shape
    assert result.dtype == dtype
    np.testing.assert_allclose(result.reshape(28, 28), restored(noisy.astype(np.float32)), atol=1e-3)


def test_denoise_takes_8_bits_as_an_array_and_as_a_pillow_image() -> None:
    noisy = np.rint(RAMP * 255).astype(np.uint8)
    expected = np.rint(restored(noisy.astype(np.float32) / np.float32(255)) * 255)
    array, image = gan_denoise.denoise(noisy), gan_denoise.denoise(Image.fromarray(noisy))
    assert array.dtype == np.uint8
    assert (image.mode, image.size) == ("L", (28, 28))
    assert np.abs(array - expected).max() <= 1  # rounding
    assert np.array_equal(np.asarray(image), array)


def test_denoise_removes_noise_that_leaves_the_range_and_clips_the_result(excerpt: Dataset) -> None:
    clean = to_float(excerpt.test.images[:20])
    noisy = clean + 0.2 * np.random.default_rng(0).standard_normal(clean.shape, dtype=np.float32)
    result = gan_denoise.denoise(noisy)
    assert 0 <= result.min() < result.max() <= 1
    assert gan_denoise.psnr(clean, result).mean() > gan_denoise.psnr(clean, noisy).mean() + 8
    assert gan_denoise.ssim(clean, result).mean() > 0.8


def test_denoise_takes_16_bits_in_any_byte_order() -> None:
    noisy = np.rint(RAMP * 65535).astype(np.uint16)
    swapped = gan_denoise.denoise(noisy.astype(noisy.dtype.newbyteorder()))
    assert swapped.dtype == noisy.dtype.newbyteorder()
    assert np.array_equal(swapped, gan_denoise.denoise(noisy))


@pytest.mark.parametrize(
    ("images", "message", "hint"),
    [
        ([[0.5, 0.5]], "images: expected a numpy array or a Pillow image, got list", ""),
        (None, "images: expected a numpy array or a Pillow image, got NoneType", ""),
        (Image.new("I", (28, 28), 40_000), "image: expected mode L, LA, .*, got I", "array of uint16"),
        (Image.new("F", (28, 28), 0.5), "image: expected mode L, LA, .*, got F", "array of uint16"),
        (Image.new("P", (28, 28)), "image: expected mode L, LA, .*, got P", 'image.convert("RGB")'),
    ],
)
def test_what_denoise_does_not_take_is_named(images: Any, message: str, hint: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        gan_denoise.denoise(images)
    assert hint in str(caught.value.hint)


def test_larger_images_are_denoised_in_tiles() -> None:
    large = np.tile(RAMP, (2, 3))  # (56, 84)
    model = gan_denoise.load_model()
    result = model.denoise(np.stack([large, large.T.copy().reshape(56, 84)])[:, None])
    assert result.shape == (2, 1, 56, 84)
    assert np.array_equal(result[0, 0], model.denoise(large))
    assert np.array_equal(result[0, 0], gan_denoise.denoise(large, "fashion"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 3), (20, 30, 4), (2, 1, 20, 30), (2, 3, 20, 30)])
def test_photographs_keep_their_shape_type_and_alpha(shape: tuple[int, ...], dtype: type, tmp_path: Path) -> None:
    model = str(save_model(tmp_path / "half.onnx", "half"))
    top = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    images: NDArray[Any] = (np.random.default_rng(0).random(shape) * top).astype(dtype)
    result = gan_denoise.denoise(images, model)
    assert (result.shape, result.dtype) == (images.shape, images.dtype)
    expected = images / 2
    if shape[-1] == 4:
        expected[..., 3] = images[..., 3]
    np.testing.assert_allclose(result, expected, atol=0.51 if top > 1 else 1e-6)
    half_as_much = gan_denoise.denoise(images[..., :3], model, strength=0.5) if shape[-1] == 4 else None
    if half_as_much is not None:
        np.testing.assert_allclose(half_as_much, images[..., :3] * 0.75, atol=0.51 if top > 1 else 1e-6)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_pillow_images_keep_their_mode_alpha_and_profile(mode: str, tmp_path: Path) -> None:
    model = str(save_model(tmp_path / "half.onnx", "half"))
    levels: dict[str, int | tuple[int, ...]] = {"L": 200, "LA": (200, 77), "RGB": (200, 9, 0), "RGBA": (200, 9, 0, 77)}
    image = Image.new(mode, (30, 20), levels.get(mode, 0))
    if mode == "I;16":
        image = Image.fromarray(np.full((20, 30), 40_000, np.uint16))
    image.info["icc_profile"] = b"profile"
    result = gan_denoise.denoise(image, model)
    assert (result.mode, result.size, result.info["icc_profile"]) == (mode, (30, 20), b"profile")
    expected = np.asarray(image) // 2
    if mode.endswith("A"):
        expected[..., -1] = 77
    assert np.array_equal(np.asarray(result), expected)


@pytest.mark.parametrize(("mode", "key"), [("L", 100), ("RGB", (100, 100, 100))])
def test_a_transparent_colour_becomes_alpha(mode: str, key: Any, tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[100, 200], [50, 100]], np.uint8)).convert(mode)
    image.info["transparency"] = key
    result = gan_denoise.denoise(image, str(save_model(tmp_path / "half.onnx", "half")))
    assert result.mode == {"L": "LA", "RGB": "RGBA"}[mode]
    assert np.asarray(result)[..., -1].tolist() == [[0, 255], [255, 0]]
    assert np.asarray(result)[..., 0].tolist() == [[50, 100], [25, 50]]
    assert "transparency" not in result.info


def test_the_model_is_chosen_by_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graphs of photographs, in colour and grey, for all but grey images of 28x28."""
    chosen: list[str] = []
    shipped = runtime.load_graph(runtime.DENOISER)

    def record(signature: runtime.Signature, *_: object) -> runtime.Graph:
        chosen.append(signature.file)
        return shipped if signature == runtime.DENOISER else photo_graph("half")

    monkeypatch.setattr(runtime, "load_graph", record)
    monkeypatch.setattr(api, "_denoisers", {})
    colours = np.arange(28 * 28 * 3, dtype=np.float32).reshape(28, 28, 3) / (28 * 28 * 3)
    grey = np.repeat(RAMP[..., None], 3, -1)
    results = [gan_denoise.denoise(image) for image in (RAMP, grey, colours, np.tile(RAMP, 2))]
    assert chosen == ["denoiser.onnx", "photo.onnx", "photo-grey.onnx"]  # each once
    np.testing.assert_allclose(results[1], np.repeat(results[0][..., None], 3, -1))
    np.testing.assert_allclose(results[2], colours / 2, atol=1e-6)
    assert results[3].shape == (28, 56)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((27, 28), np.float32), "expected 28x28 pixels or more, got 28x27"),
        (np.arange(28 * 28 * 3, dtype=np.uint16).reshape(28, 28, 3), "expected a grey image"),
        (np.zeros((5, 28, 28), np.uint8), "C = 1, 3 or 4"),
        (np.zeros((28, 28, 2), np.uint8), "C = 1, 3 or 4"),
        (np.zeros((2, 4, 28, 28), np.uint8), "C = 1, 3 or 4"),
        (np.zeros((28,), np.uint8), "C = 1, 3 or 4"),
        (np.zeros((0, 1, 28, 28), np.uint8), "one or more"),
        (np.zeros((28, 28), np.int64), "got int64"),
        (np.zeros((28, 28), bool), "got bool"),
        (np.full((28, 28), 255.0, np.float32), "got 255 to 255"),
        (np.full((28, 28), np.nan, np.float32), "got nan"),
        (np.full((28, 28), -np.inf, np.float32), "got -inf"),
        (Image.linear_gradient("L").convert("P"), "got P"),
        (Image.new("CMYK", (28, 28)), "got CMYK"),
        (Image.new("F", (28, 28)), "got F"),
    ],
)
def test_denoise_refuses_what_the_model_cannot_restore(images: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        gan_denoise.load_model().denoise(images)


@pytest.mark.parametrize("strength", [-0.1, 1.6, float("nan")])
def test_denoise_refuses_other_strengths_and_models(strength: float) -> None:
    with pytest.raises(InputError, match=r"strength: expected 0 to 1\.5"):
        gan_denoise.denoise(RAMP, strength=strength)
    with pytest.raises(InputError, match="phto: not found"):
        gan_denoise.denoise(RAMP, "phto")


def test_a_model_file_that_was_written_again_is_read_again(tmp_path: Path) -> None:
    model = save_model(tmp_path / "own.onnx", "half")
    assert gan_denoise.denoise(RAMP, str(model)) == pytest.approx(RAMP / 2)
    save_model(model, "copy")
    assert gan_denoise.denoise(RAMP, str(model)) == pytest.approx(RAMP)
    model.unlink()
    with pytest.raises(InputError, match="not found"):
        gan_denoise.denoise(RAMP, str(model))


@pytest.mark.parametrize("shape", [(28, 28), (2, 1, 28, 28)])
def test_a_model_of_fixed_size_that_gives_nan_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    model = onnx.load_model_from_string(with_operator("Log"))
    for value in (*model.graph.input, *model.graph.output):
        for side, length in zip(value.type.tensor_type.shape.dim[1:], (1, 28, 28), strict=True):
            side.dim_value = length
    onnx.save(model, tmp_path / "log.onnx")
    with pytest.raises(InputError, match="expected finite numbers"):
        gan_denoise.load_model(tmp_path / "log.onnx").denoise(np.zeros(shape, np.float32))


def test_the_metrics_agree_with_those_of_the_commands(excerpt: Dataset) -> None:
    images = excerpt.test.images
    expected = ffd.distance(images, ffd.load_network())
    assert gan_denoise.ffd(images) == pytest.approx(expected, rel=1e-6)
    assert gan_denoise.ffd(to_float(images)) == pytest.approx(expected, rel=1e-6)
    features = gan_denoise.extract_features(images)
    assert features.shape == (100, 96)
    assert features.dtype == np.float32
    assert gan_denoise.frechet_distance(features, features) == pytest.approx(0, abs=1e-6)
    assert gan_denoise.frechet_distance(features, features + 1) == pytest.approx(96, rel=1e-4)  # 1 squared an entry
    same = gan_denoise.prdc(features, features)
    assert (same["precision"], same["recall"], same["coverage"]) == (1, 1, 1)
    far = gan_denoise.prdc(features, features + 100, k=3)
    assert (far["precision"], far["recall"], far["coverage"], far["density"]) == (0, 0, 0, 0)
    value, error = gan_denoise.kid(features, features + 1)
    assert value > 3 * error > 0


def test_the_metrics_refuse_other_images_and_features() -> None:
    with pytest.raises(InputError, match="97"):
        gan_denoise.ffd(np.zeros((96, 28, 28), np.uint8))
    with pytest.raises(InputError):
        gan_denoise.ffd(np.full((97, 1, 28, 28), 2, np.float32))
    with pytest.raises(InputError, match="features"):
        gan_denoise.frechet_distance(np.zeros((5, 8)), np.zeros((5, 8)))
    with pytest.raises(InputError, match="width"):
        gan_denoise.prdc(np.zeros((9, 4)), np.zeros((9, 5)))

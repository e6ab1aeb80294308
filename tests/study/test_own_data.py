"""A study of own images by one command: from files to the report, measured on their own test split."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_helpers import run_command
from data_helpers import photograph
from PIL import Image
from typer.testing import CliRunner

from gan_denoise.cli import app
from gan_denoise.data.dataset import Dataset, Split
from gan_denoise.data.dataset_options import DatasetOptions
from gan_denoise.data.datasets import load_images
from gan_denoise.data.images import to_float
from gan_denoise.export import runtime
from gan_denoise.export.convert import weights
from gan_denoise.export.latents import latents
from gan_denoise.export.run_folder import RunFolder
from gan_denoise.study import pipeline

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("study")]
SIDE, CHANNELS = 32, 3


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 150 small photographs in colour; 25 of them become the test split."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("day", "night"):
        (folder / name).mkdir()
        for i in range(150):
            image = photograph(i + 200 * (name == "night"), 40, 36)
            (image if name == "day" else image.point(lambda level: level // 4)).save(folder / name / f"{i:03d}.png")
    return folder


@pytest.fixture(scope="module")
def study(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished study of the smallest size."""
    out = tmp_path_factory.mktemp("study") / "run"
    images = ("--dataset", "folder", "--data", photos, "--size", SIDE, "--channels", CHANNELS, "--flip")
    constants = {"eval.denoising.tuning.TUNING_PIXELS": 0}
    command = ("study", "run", "--preset", "smoke-best", "--threads", 1, *images, "--out", out)
    done = run_command(*command, constants=constants)
    assert done.returncode == 0, done.stderr
    for stage in ("classifier", "gan", "denoiser", "joint"):
        assert f"study: train {stage}" in done.stderr
    return RunFolder(out)


def rows_of(study: RunFolder, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(study.result(table).read_text())["rows"]
    return rows


def test_every_table_is_measured_on_the_own_test_split(study: RunFolder, photos: Path) -> None:
    dataset = load_images(DatasetOptions("folder", photos, SIDE, CHANNELS))
    for table in ("denoising", "generation", "features", "subsets", "crossover", "bench"):
        assert rows_of(study, table)
    content = json.loads(study.result("generation").read_text())
    assert content["settings"]["data_sha256"] == dataset.sha256
    assert content["settings"]["reference"] == f"{len(dataset.test)} test images"
    assert content["settings"]["features"].startswith("classifier-64@")
    raw = content["rows"][0]
    assert raw["distance"] is None  # 25 test images for 64 features
    assert raw["kid"] is not None
    assert 0 <= raw["class_accuracy"] <= 1


def test_too_few_images_are_refused_before_anything_is_trained(photos: Path, tmp_path: Path) -> None:
    done = run_command("study", "run", "--dataset", "folder", "--data", photos / "day", "--out", tmp_path / "run")
    assert done.returncode == 3
    assert "test images: expected 20 or more, got 12" in done.stderr
    assert "a study needs 264 images or more" in done.stderr
    assert not (tmp_path / "run/gan").exists()


def test_the_classifier_measures_what_denoising_does_to_the_classes(study: RunFolder, photos: Path) -> None:
    dataset = load_images(DatasetOptions("folder", photos, SIDE, CHANNELS))
    clean = [row for row in rows_of(study, "denoising") if row["method"] == "noisy" and row["sigma"] == 0]
    classifier = runtime.load_graph(runtime.FEATURES, study.export, threads=1)
    predicted = classifier(to_float(dataset.test.images[:4]))[1].argmax(axis=1)
    assert clean[0]["class_accuracy"] == np.mean(predicted == dataset.test.labels[:4])


def test_the_run_remembers_its_images_and_measures_on_them_again(study: RunFolder, photos: Path) -> None:
    fingerprint = study.gan.read_fingerprint()
    assert fingerprint["images"]["path"] == str(photos)
    assert fingerprint["flip"] is True
    assert fingerprint["image_shape"] == [CHANNELS, SIDE, SIDE]
    done = run_command("eval", "copies", "-n", "10", "--model", study.export, "--json")
    assert done.returncode == 0, done.stderr
    assert f"images: --dataset folder --data {photos}" in done.stderr
    assert [row["n"] for row in json.loads(done.stdout)["rows"]] == [10, 10, 10]


def test_images_that_moved_are_found_by_their_new_place(study: RunFolder, photos: Path, tmp_path: Path) -> None:
    exported = tmp_path / "exported"
    shutil.copytree(study.export, exported)
    options = json.loads((exported / "images.json").read_text())
    (exported / "images.json").write_text(json.dumps({**options, "path": str(tmp_path / "gone")}))
    missing = run_command("eval", "copies", "-n", "10", "--model", exported)
    assert missing.returncode == 3
    assert "gone" in missing.stderr
    found = run_command("eval", "copies", "-n", "10", "--model", exported, "--data", photos, "--json")
    assert found.returncode == 0, found.stderr
    other = run_command("eval", "copies", "-n", "10", "--model", exported, "--dataset", "fashion-mnist")
    assert other.returncode == 3
    assert "expected a model trained on fashion-mnist" in other.stderr


def test_the_report_says_whose_images_they_are_and_shows_them_in_colour(study: RunFolder) -> None:
    report = study.report.read_text()
    assert "2 classes (training images): day" in report
    assert "Test split: 25 of 300 images, chosen at random with a fixed seed" in report
    assert "published run" not in report
    assert "Fashion-MNIST" not in report
    assert "--dataset folder" in report
    assert "| images | 256 | 256 | the paper: 60,000 |" in report  # the preset's; 275 are there
    assert "PSNR on 25 test images with" in report
    assert "These images were not part of the training." in report
    with Image.open(study.figures / "before.png") as image:
        assert image.mode == "RGB"
        pixels = np.asarray(image)
    assert (pixels[..., 0] != pixels[..., 1]).any()


def test_the_report_of_few_images_without_classes_says_and_draws_what_denoising_does(
    study: RunFolder, tmp_path: Path
) -> None:
    """Its feature networks have no Fréchet distance: KID takes its place."""
    shutil.copytree(study.path, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    for table in ("features", "crossover"):
        measured = json.loads(run.result(table).read_text())
        for row in measured["rows"]:
            row |= dict.fromkeys(("raw", "denoised", "ratio", "ratio_low", "ratio_high"))
            row |= {"kid_raw": 0.2, "kid_denoised": 0.1}
        run.result(table).write_text(json.dumps(measured))
    done = CliRunner().invoke(app, ["study", "report", str(run.path)], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    report = run.report.read_text()
    answer = report.partition("## Does denoising help?")[2].partition("## ")[0]
    assert "the kernel distance (KID) of the generated images to real ones" in answer
    assert "Kernel distances (KID) of generated images" in answer
    assert "*Figure L. KID over the epochs, raw and denoised" in report
    assert (run.figures / "distances.svg").exists()


def test_images_without_classes_are_trained_jointly_and_exported(photos: Path, tmp_path: Path) -> None:
    flat = (
        "--dataset",
        "folder",
        "--data",
        photos / "day",
        "--size",
        SIDE,
        "--preset",
        "smoke-best",
        "--out",
        tmp_path,
    )
    for stage in ("gan", "denoiser", "joint"):
        done = run_command("train", stage, *flat, "--threads", 1)
        assert done.returncode == 0, done.stderr
    done = run_command("export", tmp_path, "--out", tmp_path / "exported")
    assert done.returncode == 0, done.stderr
    assert runtime.load_graph(runtime.FUSED, tmp_path / "exported", threads=1).classes == 0
    generated = run_command("generate", "-n", "4", "--model", tmp_path / "exported", "--out", tmp_path / "grid.png")
    assert generated.returncode == 0, generated.stderr


def test_any_epoch_is_exported_and_says_which(study: RunFolder, tmp_path: Path) -> None:
    done = run_command("export", study.path, "--epoch", 1, "--out", tmp_path / "early")
    assert done.returncode == 0, done.stderr
    early, final = (runtime.load_graph(runtime.FUSED, path, threads=1) for path in (tmp_path / "early", study.export))
    assert (early.metadata["epoch"], early.metadata["weights"]) == ("1", "float16")
    assert "epoch" not in final.metadata
    z = latents(0, 0, 2, 100)
    snapshot = weights.load_generator(RunFolder(study.joint.epoch(1)).gan.path)
    with torch.no_grad():
        np.testing.assert_allclose(early(z)[0], snapshot(torch.from_numpy(z)).numpy(), atol=1e-4)
    assert not np.array_equal(early(z)[0], final(z)[0])
    refused = run_command("export", study.path, "--epoch", 99, "--out", tmp_path / "none")
    assert refused.returncode == 2
    assert "--epoch: expected one of" in refused.stderr


@pytest.mark.parametrize(("count", "classes", "n"), [(400, 1, 500), (20_000, 1, 1_500), (400, 2, 3_000)])
def test_epochs_of_images_without_classes_are_compared_by_fewer_images(count: int, classes: int, n: int) -> None:
    """Their ImageNet features are slow; more than features where there are enough real images for a distance."""
    images, labels = np.zeros((count, 32, 32), np.uint8), np.arange(count).astype(np.uint8) % classes
    names = tuple("ab"[:classes]) if classes > 1 else ()
    dataset = Dataset(Split(images, labels), Split(images[:50], labels[:50]), "files", "0" * 64, names, "folder")
    assert pipeline._epoch_images(dataset, pipeline.EvalBudget()) == n

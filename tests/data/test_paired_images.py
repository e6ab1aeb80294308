"""Pairs of noisy and clean images: cropped at the same places; a wrong partner is named in the error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_helpers import run_command
from PIL import Image

from gan_denoise.data import paired_images
from gan_denoise.data.paired_images import read_image_pairs
from gan_denoise.errors import InputError, UsageError
from gan_denoise.export import runtime
from gan_denoise.study.run.log import read_log


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """13 smooth photographs of 100x80 as PNG, and as JPEG files with 30 more in every pixel."""
    noisy, clean = tmp_path / "noisy", tmp_path / "clean"
    for part in (noisy, clean):
        part.mkdir()
    y, x = np.mgrid[:80, :100]
    for i in range(13):
        image = np.stack([100 + i + x, 200 - i - y, 100 + x - y], axis=-1).astype(np.uint8)
        Image.fromarray(image).save(clean / f"{i:02d}.png")
        Image.fromarray(image + np.uint8(30)).save(noisy / f"{i:02d}.jpg", quality=98, subsampling=0)
    return noisy, clean


@pytest.mark.parametrize(("size", "channels"), [(64, 3), (32, 3), (28, 1)])
def test_crops_are_taken_from_the_same_places(folders: tuple[Path, Path], size: int, channels: int) -> None:
    data = read_image_pairs(*folders, size, channels)
    corners = len(range(0, 80 - size + 1, size // 2)) * len(range(0, 100 - size + 1, size // 2))
    assert (len(data.train), len(data.test)) == (12 * corners, corners)  # the test split is a whole image
    assert data.train.shape == (channels, size, size)
    for split in (data.train, data.test):
        assert split.noisy is not None
        assert np.abs(split.noisy.astype(int) - split.images - 30).max() <= 6  # compression by JPEG


def test_of_large_images_a_random_choice_of_crops_is_taken(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paired_images, "MAX_CROPS", 26)
    data = read_image_pairs(*folders, 28, 1)
    assert (len(data.train), len(data.test)) == (36, 3)
    assert data.sha256 == read_image_pairs(*folders, 28, 1).sha256


def test_the_hash_covers_both_folders(folders: tuple[Path, Path]) -> None:
    before = read_image_pairs(*folders, 32, 3).sha256
    Image.open(folders[0] / "01.jpg").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folders[0] / "01.jpg")
    assert read_image_pairs(*folders, 32, 3).sha256 != before


def test_wrong_partners_are_named(folders: tuple[Path, Path]) -> None:
    noisy, clean = folders
    Image.new("RGB", (50, 80)).save(clean / "00.png")
    with pytest.raises(InputError, match=r"noisy/00\.jpg: expected 50x80 pixels as in .*clean/00\.png, got 100x80"):
        read_image_pairs(noisy, clean, 32, 3)
    (clean / "00.png").unlink()
    with pytest.raises(InputError, match=r"noisy/00\.jpg: expected an image of the same name in .*clean, got none"):
        read_image_pairs(noisy, clean, 32, 3)
    with pytest.raises(InputError, match=r"noisy/00\.jpg: expected an image of the same name in .*clean, got none"):
        read_image_pairs(clean, noisy, 32, 3)
    (noisy / "00.jpg").unlink()
    read_image_pairs(noisy, clean, 32, 3)
    Image.new("RGB", (100, 80)).save(noisy / "01.png")
    with pytest.raises(InputError, match=r"noisy: expected one image per name without suffix, got 01\.jpg and 01\.png"):
        read_image_pairs(noisy, clean, 32, 3)


def test_images_that_cannot_be_cropped_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--size: expected 28, 32, 64 or 128, got 48"):
        read_image_pairs(*folders, 48, 3)
    for folder, name in zip(folders, ("x.jpg", "x.png"), strict=True):
        Image.new("RGB", (100, 40)).save(folder / name)
    with pytest.raises(InputError, match=r"x\.jpg: expected 64x64 pixels or more, got 100x40"):
        read_image_pairs(*folders, 64, 3)
    (folders[0] / "x.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"x\.jpg: expected an image \(PNG, .*\), got another kind of file"):
        read_image_pairs(*folders, 64, 3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: expected two or more image files \(.*\), got 0"):
        read_image_pairs(tmp_path / "empty", tmp_path / "empty", 64, 3)


def test_a_denoiser_learns_the_noise_of_the_pairs(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """The "noise" is brighter by 30: a denoiser trained on Gaussian noise would not remove it."""
    options = ["--pairs", *map(str, folders), "--size", "32", "--channels", "3", "--threads", "1"]
    train = ["train", "denoiser", "--preset", "smoke-best", *options, "--epochs", "40"]
    run, out = tmp_path / "run", tmp_path / "out"
    done = run_command(*train, "--out", run, check=True)
    last = read_log(run / "denoiser/log.jsonl")[-1]
    assert last["noisy_psnr_db"] == pytest.approx(20 * np.log10(255 / 30), abs=0.3)
    assert last["psnr_db"] > last["noisy_psnr_db"] + 6
    assert "noisy_psnr_db" in done.stderr.splitlines()[-2]

    run_command("export", run, "--out", out, check=True)
    assert runtime.load_graph(runtime.DENOISER, out).input_shape == (3, 32, 32)
    image = tmp_path / "square.png"
    Image.open(folders[0] / "03.jpg").crop((10, 10, 42, 42)).save(image)
    run_command("denoise", image, "--model", out, "--out", tmp_path / "d", check=True)
    clean = np.asarray(Image.open(folders[1] / "03.png").crop((10, 10, 42, 42)), float)
    denoised = np.asarray(Image.open(tmp_path / "d/square.png"), float)
    assert denoised.shape == (32, 32, 3)
    assert np.abs(denoised - clean).mean() < 15

    meta = json.loads((run / "denoiser/meta.json").read_text())["fingerprint"]
    assert meta["image_shape"] == [3, 32, 32]
    Image.open(folders[0] / "01.jpg").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folders[0] / "01.jpg")
    other = run_command(*train, "--resume", "--out", run)
    assert other.returncode == 3
    assert other.stderr.startswith(f"error: data_sha256: run {run}/denoiser was started with")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["denoiser", "--preset", "quick"], "--pairs: expected a preset with a blind denoiser, got DenoiserConfig"),
        (["gan", "--preset", "best"], "No such option: --pairs"),
        (["denoiser", "--preset", "best", "--dataset", "mnist"], "--pairs: expected no --dataset and no --data"),
    ],
)
def test_pairs_where_they_have_no_use_are_usage_errors(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = run_command("train", *arguments, "--pairs", "a", "b", cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr

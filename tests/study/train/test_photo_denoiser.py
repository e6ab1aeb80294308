"""Training of the denoiser for photographs: it learns, resumes bit-equal, and is exported for any size."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from skimage import data
from typer.testing import CliRunner, Result

from gan_denoise.cli import app
from gan_denoise.data import datasets
from gan_denoise.data.dataset import Dataset, Split, content_sha256
from gan_denoise.data.images import to_float, to_pil
from gan_denoise.errors import InputError, Interrupted, OutputError
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.export import runtime
from gan_denoise.export.convert.bundle import export_run
from gan_denoise.export.convert.weights import load_denoiser
from gan_denoise.study.config import DepthwiseUNetShape, PhotoDenoiserConfig, RunOptions, to_json
from gan_denoise.study.run import stage
from gan_denoise.study.train.dispatch import is_finished, train
from gan_denoise.study.train.photo_denoiser import (
    GREY,
    add_training_noise,
    random_crops,
    start_weights,
    train_photo_denoiser,
)

SHAPE = DepthwiseUNetShape((8, 8, 8), (1, 1, 1, 1, 1))
CONFIG = PhotoDenoiserConfig(
    network=SHAPE,
    crop=32,
    last_crop=48,
    learning_rate=1e-2,
    warmup_steps=5,
    ema_half_life_images=20,
    epochs=24,
    batch=4,
)
OPTIONS = RunOptions(threads=1, resume=True)


@pytest.fixture(scope="module")
def tiles() -> Dataset:
    """Tiles of 64x64 of scikit-image's photograph of an astronaut, those on the right held out."""
    photograph = data.astronaut().transpose(2, 0, 1)  # (3, 512, 512)
    grid = photograph.reshape(3, 8, 64, 8, 64).transpose(1, 3, 0, 2, 4).reshape(64, 3, 64, 64)
    held_out = np.arange(64) % 8 >= 6
    train_split, test = (
        Split(np.ascontiguousarray(part), np.zeros(len(part), np.uint8)) for part in (grid[~held_out], grid[held_out])
    )
    sha256 = content_sha256((), train_split, test)
    return Dataset(train_split, test, "skimage", sha256, (), "photos", published=False)


@pytest.fixture(scope="module")
def trained(tiles: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("photo")
    train(CONFIG, tiles, run, OPTIONS)
    return run


def test_it_learns_to_denoise_held_out_tiles(trained: Path, tiles: Dataset) -> None:
    log = [json.loads(line) for line in (trained / "denoiser/log.jsonl").read_text().splitlines()]
    assert [event["epoch"] for event in log] == list(range(1, 25))
    assert is_finished(CONFIG, trained, OPTIONS)
    noisy = tiles.held_out.images.astype(np.float32) / np.float32(255)
    noisy += np.float32(0.15) * np.random.default_rng(0).standard_normal(noisy.shape, np.float32)
    denoised = load_denoiser(trained / "denoiser")(torch.from_numpy(noisy)).detach().numpy()
    clean = tiles.held_out.images.astype(np.float32) / np.float32(255)
    gain = psnr(clean, denoised) - psnr(clean, noisy.clip(0, 1))
    assert gain.mean() > 2


def test_the_command_trains_from_a_file_or_weights_and_overwrites_no_run(
    trained: Path, tiles: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: tiles)  # the photographs take minutes to cut
    (tmp_path / "small.json").write_text(json.dumps({**to_json(CONFIG), "epochs": 1, "seed": 7}))
    run = tmp_path / "run"
    command = ["train", "photo", "--config", str(tmp_path / "small.json"), "--threads", "1", "--out", str(run)]

    def call(*more: str) -> Result:
        return CliRunner().invoke(app, [*command, *more], catch_exceptions=False)

    planned = json.loads(call("--dry-run", "--set", "learning_rate=1e-3").stdout)
    assert (planned["seed"], planned["epochs"], planned["learning_rate"]) == (7, 1, 1e-3)
    assert not run.exists()
    done = call()
    assert (done.exit_code, done.stdout) == (0, f"{run / 'denoiser'}\n")
    assert done.stderr.splitlines()[-1] == f"next: gan-denoise export {run} --out exported"
    fingerprint = json.loads((run / "denoiser/meta.json").read_text())["fingerprint"]
    assert (fingerprint["seed"], fingerprint["config"]["network"]["widths"]) == (7, [8, 8, 8])
    longer = call("--epochs", "2", "--start", str(trained / "denoiser"), "--json", "--out", str(tmp_path / "longer"))
    assert json.loads(longer.stdout)["settings"]["epochs"] == 2
    with pytest.raises(OutputError, match="holds a training run"):
        call()


def test_a_resumed_training_has_the_bits_of_an_unbroken_one(
    trained: Path, tiles: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop_at_17(self: stage.Stage, step: int) -> None:
        if step == 17:
            self.stop_signal = 15
        end_step(self, step)

    end_step = stage.Stage.end_step
    monkeypatch.setattr(stage.Stage, "end_step", stop_at_17)
    with pytest.raises(Interrupted):
        train(CONFIG, tiles, tmp_path, OPTIONS)
    monkeypatch.undo()
    train(CONFIG, tiles, tmp_path, OPTIONS)
    one, other = (load_file(run / "denoiser/denoiser.safetensors") for run in (trained, tmp_path))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_exported_graph_takes_any_size(trained: Path, tmp_path: Path) -> None:
    differences = export_run(trained, tmp_path / "export")
    assert 0 < differences["denoiser.onnx"] < 1e-4
    graph = runtime.load_graph(runtime.DENOISER, tmp_path / "export", threads=1)
    network = load_denoiser(trained / "denoiser")
    for shape in ((1, 3, 8, 8), (2, 3, 40, 72)):
        noisy = np.random.default_rng(1).random(shape, np.float32)
        expected = network(torch.from_numpy(noisy)).detach().numpy()
        np.testing.assert_allclose(graph(noisy)[0], expected, atol=1e-5)
    assert graph.receptive_field == network.receptive_field == 2 * 4 + 4 * 2 + 8 + 7
    assert graph.multiple == 8


def test_a_network_for_grey_photographs_learns_and_takes_one_channel(tiles: Dataset, tmp_path: Path) -> None:
    grey = dataclasses.replace(CONFIG, network=dataclasses.replace(SHAPE, channels=1))
    train_photo_denoiser(grey, tiles, tmp_path / "run", OPTIONS)
    export_run(tmp_path / "run", tmp_path / "export")
    graph = runtime.load_graph(runtime.DENOISER, tmp_path / "export", threads=1)
    assert graph.input_shape == (1, 0, 0)
    grey_tiles = np.stack([np.asarray(to_pil(tile).convert("L")) for tile in tiles.held_out.images])
    clean = to_float(grey_tiles)
    noisy = clean + np.float32(0.15) * np.random.default_rng(0).standard_normal(clean.shape, np.float32)
    gain = psnr(clean, graph.batched(noisy)[0]) - psnr(clean, noisy.clip(0, 1))
    assert gain.mean() > 2


@pytest.mark.parametrize("channels", [1, 3])
def test_the_noise_of_grey_crops_is_equal_in_all_channels(channels: int) -> None:
    torch.manual_seed(0)
    clean = torch.rand(64, 3, 16, 16)
    shape = dataclasses.replace(SHAPE, channels=channels)
    config = dataclasses.replace(CONFIG, network=shape, grey_probability=0.5, camera_probability=0)
    target, noisy = add_training_noise(clean, config)
    assert target.shape == noisy.shape == (64, channels, 16, 16)
    luma = (clean * GREY).sum(1, keepdim=True)
    if channels == 1:
        torch.testing.assert_close(target, luma)
        return
    is_grey = (target == target[:, :1]).all(3).all(2).all(1)
    assert 16 < is_grey.sum() < 48
    torch.testing.assert_close(target[is_grey], luma[is_grey].expand(-1, 3, -1, -1))
    torch.testing.assert_close(target[~is_grey], clean[~is_grey])
    assert torch.equal(noisy[is_grey], noisy[is_grey][:, :1].expand(-1, 3, -1, -1))


def test_of_crops_of_several_tiles_the_one_with_the_most_detail_is_used() -> None:
    torch.manual_seed(0)
    tiles = torch.zeros(4, 3, 64, 64, dtype=torch.uint8)
    tiles[2:] = torch.randint(0, 256, (64,), dtype=torch.uint8)  # two of four tiles have stripes
    one, best = (random_crops(tiles, 200, 16, choices).float() for choices in (1, 3))
    assert one.shape == best.shape == (200, 3, 16, 16)
    assert (one.std((1, 2, 3)) > 0).float().mean() == pytest.approx(0.5, abs=0.1)
    assert (best.std((1, 2, 3)) > 0).float().mean() == pytest.approx(1 - 0.5**3, abs=0.07)


def test_a_run_of_the_optimizer_before_is_not_resumed(trained: Path, tiles: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    meta = run / "denoiser/meta.json"
    content = json.loads(meta.read_text())
    assert content["fingerprint"].pop("optimizer") == "muon"
    meta.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"optimizer: run .* was started with None, got muon"):
        train_photo_denoiser(CONFIG, tiles, run, OPTIONS)


def test_a_training_can_start_from_weights_of_the_same_network(trained: Path, tiles: Dataset, tmp_path: Path) -> None:
    short = dataclasses.replace(CONFIG, epochs=1, learning_rate=1e-6)
    train_photo_denoiser(short, tiles, tmp_path / "run", OPTIONS, start=trained / "denoiser")
    before, after = (load_file(run / "denoiser/denoiser.safetensors") for run in (trained, tmp_path / "run"))
    assert all((before[name] - after[name]).abs().max() < 1e-4 for name in before)
    fingerprint = json.loads((tmp_path / "run/denoiser/meta.json").read_text())["fingerprint"]
    assert fingerprint["started_from"] == json.loads((trained / "denoiser/denoiser.json").read_text())["sha256"]
    with pytest.raises(InputError, match=r"started_from: run .* was started with .*, got None"):
        train_photo_denoiser(short, tiles, tmp_path / "run", OPTIONS)
    wider = dataclasses.replace(short, network=DepthwiseUNetShape((8, 8, 16), (1, 1, 1, 1, 1)))
    for name, channels in (("photo", 3), ("photo-grey", 1), (trained / "denoiser/denoiser.safetensors", 3)):
        assert json.loads(start_weights(name).with_suffix(".json").read_text())["arguments"]["channels"] == channels
    assert start_weights("./photo") == Path("photo/denoiser.safetensors")  # a folder
    with pytest.raises(InputError, match=r"--start .*: expected weights of the configuration's network, got Depthwise"):
        train_photo_denoiser(wider, tiles, tmp_path / "other", OPTIONS, start=trained / "denoiser")

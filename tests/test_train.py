"""Training by real processes: killed, stopped and resumed to the same bits; misuse refused."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gan_denoise.data.fashion_mnist import Dataset
from gan_denoise.errors import DivergedError, InputError, LockedError, OutputError
from gan_denoise.models.gan import Discriminator, Generator
from gan_denoise.study import runlog
from gan_denoise.study.config import PRESETS, GanConfig
from gan_denoise.study.stage import Options
from gan_denoise.study.train_denoiser import train_denoiser
from gan_denoise.study.train_features import learning_rate
from gan_denoise.study.train_gan import gan_step, train_gan
from gan_denoise.study.update import update

COMMAND = [sys.executable, "-m", "gan_denoise.cli", "train"]
LONG = ["--batch", "4", "--epochs", "4", "--threads", "1"]  # 64 steps an epoch


def train(kind: str, out: Path, *options: str, preset: str = "smoke") -> subprocess.Popen[bytes]:
    return subprocess.Popen([*COMMAND, kind, "--preset", preset, *LONG, "--out", str(out), *options])


def stop_in_the_middle_of_an_epoch(process: subprocess.Popen[bytes], stage: Path, number: int) -> int:
    """Send a signal some steps after the first epoch was saved; returns the exit code."""
    deadline = time.monotonic() + 60
    while not (stage / "checkpoints/step-00000064.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)  # an epoch takes half a second and more
    process.send_signal(number)
    return process.wait(60)


def assert_same_weights(one: Path, other: Path) -> None:
    wanted, found = load_file(one), load_file(other)
    assert wanted.keys() == found.keys()
    for name in wanted:
        assert torch.equal(wanted[name], found[name]), name


@pytest.mark.parametrize("preset", ["smoke", "smoke-best"])
@pytest.mark.parametrize(("kind", "file"), [("gan", "generator"), ("denoiser", "denoiser")])
def test_killed_and_resumed_gives_the_bits_of_an_unbroken_run(
    tmp_path: Path, preset: str, kind: str, file: str
) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    first, second = train(kind, unbroken, preset=preset), train(kind, broken, preset=preset)
    assert stop_in_the_middle_of_an_epoch(second, broken / kind, signal.SIGKILL) == -signal.SIGKILL
    assert not (broken / kind / f"{file}.safetensors").exists()
    assert first.wait(120) == 0
    assert train(kind, broken, "--resume", preset=preset).wait(120) == 0
    assert_same_weights(unbroken / kind / f"{file}.safetensors", broken / kind / f"{file}.safetensors")
    logs = [runlog.read(run / kind / "log.jsonl") for run in (unbroken, broken)]
    for event in (*logs[0], *logs[1]):
        del event["seconds"], event["images_per_s"]
    assert logs[0] == logs[1]
    assert [event["epoch"] for event in logs[1]] == [1, 2, 3, 4]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_within_the_epoch_and_resume_goes_on(tmp_path: Path, number: int, code: int) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    first, second = train("gan", unbroken), train("gan", broken)
    assert stop_in_the_middle_of_an_epoch(second, broken / "gan", number) == code
    assert first.wait(120) == 0
    step = max(int(path.stem.split("-")[1]) for path in (broken / "gan/checkpoints").glob("*.json"))
    assert step % 64 != 0
    assert train("gan", broken, "--resume").wait(120) == 0
    assert_same_weights(unbroken / "gan/generator.safetensors", broken / "gan/generator.safetensors")


def test_a_finished_run_holds_what_the_report_needs(trained: Path) -> None:
    meta = json.loads((trained / "gan/meta.json").read_text())
    assert meta["identity"]["config"]["epochs"] == 2
    assert meta["identity"]["threads"] == 1
    log = runlog.read(trained / "gan/log.jsonl")
    assert [event["epoch"] for event in log] == [1, 2]
    assert {"discriminator_loss", "generator_loss", "accuracy_real", "accuracy_fake", "images_per_s"} <= log[0].keys()
    assert {"loss", "psnr_db", "ssim", "images_per_s"} <= runlog.read(trained / "denoiser/log.jsonl")[0].keys()
    assert (trained / "gan/samples/epoch-002.png").stat().st_size > 1000
    layers = json.loads((trained / "gan/architecture.json").read_text())
    assert [layer["layer"] for layer in layers["discriminator"]][:4] == [
        "Input",
        "Conv2d 4x4, stride 2",
        "LeakyReLU 0.2",
        "Dropout 0.3",
    ]
    assert layers["generator"][-1]["output"] == [1, 28, 28]


def test_training_learns(excerpt: Dataset, tmp_path: Path) -> None:
    config = PRESETS["smoke"].denoiser
    train_denoiser(dataclasses.replace(config, epochs=30), excerpt, tmp_path, Options(threads=1))
    log = runlog.read(tmp_path / "denoiser/log.jsonl")
    assert log[-1]["psnr_db"] > log[0]["psnr_db"] + 3
    assert log[-1]["loss"] < 0.5 * log[0]["loss"]


def test_one_gan_step_moves_both_networks_the_right_way() -> None:
    torch.manual_seed(0)
    generator, discriminator = Generator((8, 8, 4)), Discriminator((8, 8), dropout=0.0)
    adams = [torch.optim.Adam(n.parameters(), 1e-2, (0.5, 0.999)) for n in (generator, discriminator)]
    real, z = torch.rand(32, 1, 28, 28), torch.randn(32, 100)
    steps = [gan_step(generator, discriminator, *adams, real, z) for _ in range(20)]
    assert steps[0]["discriminator_loss"] == pytest.approx(2 * np.log(2), abs=0.2)
    assert steps[0]["generator_loss"] == pytest.approx(np.log(2), abs=0.2)
    assert steps[-1]["discriminator_loss"] < steps[0]["discriminator_loss"]
    assert all(parameter.requires_grad for parameter in discriminator.parameters())


def test_a_run_in_the_way_is_kept_and_another_is_not_resumed(trained: Path, excerpt: Dataset, tmp_path: Path) -> None:
    config = PRESETS["smoke"].gan
    with pytest.raises(OutputError, match="holds a run"):
        train_gan(config, excerpt, trained, Options(threads=1))
    with pytest.raises(InputError, match=r"seed: the run .* has 0, 1 was asked for"):
        train_gan(config, excerpt, trained, Options(threads=1, resume=True, seed=1))
    with pytest.raises(InputError, match=r"config: .*dropout"):
        train_gan(dataclasses.replace(config, dropout=0.1), excerpt, trained, Options(threads=1, resume=True))


def test_two_writers_are_kept_apart(excerpt: Dataset, tmp_path: Path) -> None:
    holder = train("gan", tmp_path)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "gan/meta.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(LockedError, match=f"process {holder.pid} is writing"):
            train_gan(PRESETS["smoke"].gan, excerpt, tmp_path, Options(threads=1, resume=True))
    finally:
        holder.kill()
        holder.wait()


def test_a_loss_or_gradient_that_is_not_finite_changes_nothing() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    adam = torch.optim.Adam([weight], 0.1)
    for bad in (float("nan"), float("inf")):
        with pytest.raises(DivergedError, match="finite numbers wanted"):
            update(adam, (weight * bad).sum())
        assert torch.equal(weight, torch.ones(2))
    with pytest.raises(DivergedError, match=r"gradient norm (inf|nan)"):
        update(adam, (weight - 1).square().sum().sqrt())  # a loss of 0 with a slope that is no number
    assert torch.equal(weight, torch.ones(2))
    update(adam, weight.sum())
    assert weight.max() < 1


def test_a_diverging_run_stops_and_names_the_step(excerpt: Dataset, tmp_path: Path) -> None:
    config = dataclasses.replace(PRESETS["smoke"].denoiser, learning_rate=0.999, max_gradient_norm=1e30)
    images = excerpt.train.images
    assert images.max() == 255
    config = dataclasses.replace(config, sigma_min=1e38, sigma_max=3e38)
    with pytest.raises(DivergedError, match="step 0: loss"):
        train_denoiser(config, excerpt, tmp_path, Options(threads=1))
    assert not list(tmp_path.glob("denoiser/checkpoints/*"))


def test_cuda_without_a_gpu_is_refused(excerpt: Dataset, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        config = GanConfig(generator_widths=(8, 8, 4), discriminator_widths=(8, 8), epochs=1, batch=32, images=256)
        train_gan(config, excerpt, tmp_path, Options(device="cuda"))
        assert (tmp_path / "gan/generator.safetensors").exists()
    else:
        with pytest.raises(InputError, match="no usable CUDA GPU found"):
            train_gan(PRESETS["smoke"].gan, excerpt, tmp_path, Options(device="cuda"))
        assert not (tmp_path / "gan").exists()


def test_the_one_cycle_schedule_rises_to_its_peak_and_ends_at_nothing() -> None:
    rates = [learning_rate(step, 1000, 0.1) for step in range(1001)]
    assert rates[0] == pytest.approx(0.004)
    assert max(rates) == pytest.approx(0.1)
    assert rates.index(max(rates)) == 300
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_tensorboard_files_are_written_when_asked_for(excerpt: Dataset, tmp_path: Path) -> None:
    train_denoiser(PRESETS["smoke"].denoiser, excerpt, tmp_path, Options(threads=1, tensorboard=True))
    assert list((tmp_path / "denoiser/tensorboard").glob("events.out.tfevents.*"))


def test_progress_without_a_terminal_is_one_line_an_epoch(tmp_path: Path) -> None:
    environment = {**os.environ, "FORCE_COLOR": "", "TTY_COMPATIBLE": ""}
    command = [*COMMAND, "denoiser", "--preset", "smoke", "--threads", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("denoiser epoch 2/2  loss ")
    assert "\x1b" not in done.stderr

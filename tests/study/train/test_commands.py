"""Training by real processes: killed, stopped and resumed to the same bits; misuse refused."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gan_denoise import machine
from gan_denoise.data.dataset import Dataset
from gan_denoise.models.dcgan import Discriminator, Generator
from gan_denoise.study.config import RunOptions
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.run.log import read_log
from gan_denoise.study.train.autoencoder import train_autoencoder
from gan_denoise.study.train.classifier import learning_rate
from gan_denoise.study.train.gan import gan_step, train_gan

COMMAND = [sys.executable, "-m", "gan_denoise.cli", "train"]


def test_a_finished_run_holds_what_the_report_needs(trained: Path) -> None:
    meta = json.loads((trained / "gan/meta.json").read_text())
    assert meta["fingerprint"]["config"]["epochs"] == 2
    assert meta["fingerprint"]["threads"] == 1
    log = read_log(trained / "gan/log.jsonl")
    assert [event["epoch"] for event in log] == [1, 2]
    assert {"discriminator_loss", "generator_loss", "accuracy_real", "accuracy_fake", "images_per_s"} <= log[0].keys()
    assert {"loss", "psnr_db", "ssim", "images_per_s"} <= read_log(trained / "denoiser/log.jsonl")[0].keys()
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
    train_autoencoder(dataclasses.replace(config, epochs=30), excerpt, tmp_path, RunOptions(threads=1))
    log = read_log(tmp_path / "denoiser/log.jsonl")
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


def test_the_one_cycle_schedule_rises_to_its_peak_and_ends_at_nothing() -> None:
    rates = [learning_rate(step, 1000, 0.1) for step in range(1001)]
    assert rates[0] == pytest.approx(0.004)
    assert max(rates) == pytest.approx(0.1)
    assert rates.index(max(rates)) == 300
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_tensorboard_files_are_written_when_asked_for(excerpt: Dataset, tmp_path: Path) -> None:
    train_autoencoder(PRESETS["smoke"].denoiser, excerpt, tmp_path, RunOptions(threads=1, tensorboard=True))
    assert list((tmp_path / "denoiser/tensorboard").glob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("precision", "flags"), [("bfloat16", "avx2"), ("bfloat16", "avx512_bf16"), ("float32", "avx2")]
)
def test_bfloat16_where_the_processor_has_none_is_said(
    precision: str,
    flags: str,
    excerpt: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    train_gan(PRESETS["smoke"].gan, excerpt, tmp_path, RunOptions(threads=1, precision=precision, device="cpu"))
    said = capfd.readouterr().err
    assert ("bfloat16: no instructions for it found" in said) == (precision == "bfloat16" and flags == "avx2")


def test_progress_without_a_terminal_is_one_line_an_epoch(tmp_path: Path) -> None:
    environment = {**os.environ, "FORCE_COLOR": "", "TTY_COMPATIBLE": ""}
    command = [*COMMAND, "denoiser", "--preset", "smoke", "--threads", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("denoiser epoch 2/2  loss ")
    assert lines[2] == f"next: gan-denoise export {tmp_path} --out exported"
    assert "\x1b" not in done.stderr


def test_memory_is_kept_from_step_to_step() -> None:
    code = """
import resource, sys, torch
from gan_denoise.study.fingerprint import Options
from gan_denoise.study.stage import prepare_torch

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    del [torch.ones(2_000_000) for _ in range(10)][:]  # 80 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "prepared":
    prepare_torch(Options(threads=1))
print(faults(), faults())
"""
    found = {}
    for how in ("prepared", "plain"):
        done = subprocess.run([sys.executable, "-c", code, how], capture_output=True, text=True, check=True)
        found[how] = [int(number) for number in done.stdout.split()]
    assert found["prepared"][1] < found["prepared"][0] / 5
    assert found["plain"][1] > found["plain"][0] / 2

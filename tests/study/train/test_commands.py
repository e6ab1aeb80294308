"""The `train` commands and the trainers: logs, precision, progress, hints, memory."""

import dataclasses
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from command_helpers import run_command
from safetensors.torch import load_file
from typer.testing import CliRunner

from gan_denoise import machine
from gan_denoise.cli import app
from gan_denoise.data import sources
from gan_denoise.data.dataset import Dataset, split_holdout
from gan_denoise.data.dataset_options import DatasetOptions
from gan_denoise.data.images import to_float
from gan_denoise.eval.metrics import ffd
from gan_denoise.eval.metrics.frechet import frechet_distance, statistics
from gan_denoise.export.convert import weights
from gan_denoise.export.latents import latents
from gan_denoise.export.run_folder import RunFolder
from gan_denoise.models.dcgan import Discriminator, Generator
from gan_denoise.study.config import DenoiserConfig, GanConfig, RunOptions
from gan_denoise.study.options import PresetName
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.rows import HELD_OUT_DISTANCE
from gan_denoise.study.run.log import read_log
from gan_denoise.study.train.autoencoder import train_autoencoder
from gan_denoise.study.train.classifier import one_cycle_lr
from gan_denoise.study.train.commands import _next_command
from gan_denoise.study.train.dispatch import train
from gan_denoise.study.train.gan import gan_step, train_gan

GAN, DENOISER = cast(GanConfig, PRESETS["smoke"].gan), cast(DenoiserConfig, PRESETS["smoke"].denoiser)


def test_a_finished_run_has_the_files_that_the_report_needs(trained: Path) -> None:
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
    train_autoencoder(dataclasses.replace(DENOISER, epochs=30), excerpt, tmp_path, RunOptions(threads=1))
    log = read_log(tmp_path / "denoiser/log.jsonl")
    assert log[-1]["psnr_db"] > log[0]["psnr_db"] + 3
    assert log[-1]["loss"] < 0.5 * log[0]["loss"]


def test_one_gan_step_moves_both_networks_the_right_way() -> None:
    torch.manual_seed(0)
    generator, discriminator = Generator((8, 8, 4)), Discriminator((8, 8), dropout=0.0)
    first, second = (torch.optim.Adam(n.parameters(), 1e-2, (0.5, 0.999)) for n in (generator, discriminator))
    real, z = torch.rand(32, 1, 28, 28), torch.randn(32, 100)
    steps = [gan_step(generator, discriminator, first, second, real, z) for _ in range(20)]
    assert steps[0]["discriminator_loss"] == pytest.approx(2 * np.log(2), abs=0.2)
    assert steps[0]["generator_loss"] == pytest.approx(np.log(2), abs=0.2)
    assert steps[-1]["discriminator_loss"] < steps[0]["discriminator_loss"]
    assert all(parameter.requires_grad for parameter in discriminator.parameters())


def test_the_one_cycle_schedule_rises_to_its_peak_and_ends_at_zero() -> None:
    rates = [one_cycle_lr(step, 1000, 0.1) for step in range(1001)]
    assert rates[0] == pytest.approx(0.004)
    assert max(rates) == pytest.approx(0.1)
    assert rates.index(max(rates)) == 300
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_tensorboard_files_are_written_with_the_option(excerpt: Dataset, tmp_path: Path) -> None:
    train_autoencoder(DENOISER, excerpt, tmp_path, RunOptions(threads=1, tensorboard=True))
    assert list((tmp_path / "denoiser/tensorboard").glob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("precision", "flags"), [("bfloat16", "avx2"), ("bfloat16", "avx512_bf16"), ("float32", "avx2")]
)
def test_bfloat16_without_cpu_support_prints_a_warning(
    precision: str,
    flags: str,
    excerpt: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    train_gan(GAN, excerpt, tmp_path, RunOptions(threads=1, precision=precision, device="cpu"))
    stderr = capfd.readouterr().err
    assert ("this CPU has no native bfloat16" in stderr) == (precision == "bfloat16" and flags == "avx2")


@pytest.mark.parametrize("stage", ["denoiser", "classifier"])
def test_bfloat16_reaches_the_stage_and_its_loss_stays_finite(stage: str, excerpt: Dataset, tmp_path: Path) -> None:
    config = dataclasses.replace(getattr(PRESETS["smoke"], stage), epochs=1, images=64)
    weights = {}
    for precision in ("float32", "bfloat16"):
        run = tmp_path / precision
        train(config, excerpt, run, RunOptions(threads=1, precision=precision, device="cpu"))
        weights[precision] = load_file(run / stage / f"{stage}.safetensors")
        assert np.isfinite(read_log(run / stage / "log.jsonl")[-1]["loss"])
    for name, value in weights["float32"].items():
        assert value.dtype == weights["bfloat16"][name].dtype
    assert any(not torch.equal(value, weights["bfloat16"][name]) for name, value in weights["float32"].items())


def in_process(*arguments: object) -> Any:
    return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)


def test_each_next_command_works_on_what_was_just_made(excerpt: Dataset, tmp_path: Path) -> None:
    np.savez(tmp_path / "few.npz", images=excerpt.train.images[:64], labels=excerpt.train.labels[:64])
    images = ["--dataset", "npz", "--data", tmp_path / "few.npz"]
    run, out = tmp_path / "a run", tmp_path / "exported"
    other = ["--set", "epochs=1", "--set", "generator_widths=8,8,8"]  # sizes that the preset does not have
    command: list[object] = ["train", "gan", "--preset", "smoke-best", *images, *other, "--out", run]
    stages = []
    while command[0] == "train":
        stages.append(command[1])
        done = in_process(*command, "--threads", "1")
        assert done.exit_code == 0, done.output
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("next: gan-denoise ")]
        command = [*shlex.split(line)[2:]]
    assert stages == ["gan", "denoiser", "joint"]
    assert RunFolder(run).joint.read_fingerprint()["config"]["gan"]["generator_widths"] == [8, 8, 8]
    assert command == ["export", str(run), "--out", "exported"]
    assert in_process(*command[:-1], out).exit_code == 0


def test_joint_training_is_not_the_next_command_where_it_would_refuse(trained: Path, tmp_path: Path) -> None:
    run = RunFolder(trained)  # preset smoke: no discriminator was saved
    images = DatasetOptions()
    following = _next_command(PresetName["smoke-best"], PRESETS["smoke-best"], run, images, None)
    assert following == ("export", trained, "--out", "exported")
    empty = RunFolder(tmp_path)
    assert _next_command(PresetName["smoke"], PRESETS["smoke"], empty, images, None)[:2] == ("train", "gan")


def test_a_run_with_changes_is_named_after_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = in_process(
        "train", "denoiser", "--preset", "smoke", "--set", "epochs=1", "--set", "widths=4,8", "--threads", 1
    )
    assert done.stdout == "runs/smoke-widths=4,8-epochs=1/denoiser\n"
    meta = json.loads((tmp_path / "runs/smoke-widths=4,8-epochs=1/denoiser/meta.json").read_text())
    assert (meta["fingerprint"]["config"]["widths"], meta["fingerprint"]["config"]["epochs"]) == ([4, 8], 1)


def test_progress_without_a_terminal_is_one_line_an_epoch(tmp_path: Path) -> None:
    environment = {**os.environ, "FORCE_COLOR": "", "TTY_COMPATIBLE": ""}
    command = ("train", "denoiser", "--preset", "smoke", "--threads", 1, "--out", tmp_path)
    done = run_command(*command, environment=environment, check=True)
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("denoiser epoch 2/2  loss ")
    assert lines[2] == f"next: gan-denoise export {tmp_path} --out exported"
    assert "\x1b" not in done.stderr


def test_freed_memory_is_reused_in_the_next_step() -> None:
    code = """
import resource, sys, torch
from gan_denoise.study.config import RunOptions
from gan_denoise.study.run.device import prepare_torch

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    del [torch.ones(2_000_000) for _ in range(10)][:]  # 80 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "prepared":
    prepare_torch(RunOptions(threads=1))
print(faults(), faults())
"""
    page_faults = {}
    for how in ("prepared", "plain"):
        done = subprocess.run([sys.executable, "-c", code, how], capture_output=True, text=True, check=True)
        page_faults[how] = [int(number) for number in done.stdout.split()]
    assert page_faults["prepared"][1] < page_faults["prepared"][0] / 5
    assert page_faults["plain"][1] > page_faults["plain"][0] / 2


def test_the_distance_to_held_out_images_is_logged_at_the_epochs_asked_for(tmp_path: Path) -> None:
    sizes = ("--set", "images=64", "--set", "epochs=3", "--set", "batch=32")
    done = run_command("train", "gan", "--preset", "smoke", *sizes, "--measure-every", 2, "--out", tmp_path / "a")
    assert done.returncode == 0, done.stderr
    events = read_log(tmp_path / "a/gan/log.jsonl")
    assert [HELD_OUT_DISTANCE in event for event in events] == [False, True, False]
    generator = weights.load_generator(tmp_path / "a/gan/epochs/002")  # in float16
    with torch.no_grad():
        images = generator(torch.from_numpy(latents(0, 0, 1000))).numpy()
    held_out = split_holdout(sources.load_fashion_mnist().train)[1].images[:1000]
    network = ffd.load_network(threads=1)
    real, fake = (
        statistics(network.batched(values)[0]) for values in (to_float(held_out), np.rint(images * 255) / 255)
    )
    distance = float(events[1][HELD_OUT_DISTANCE])
    assert distance == pytest.approx(frechet_distance(fake, real), rel=0.02)
    assert f"smallest distance to held-out images: {distance:.4g} after epoch 2" in done.stderr
    same = run_command("train", "gan", "--preset", "smoke", *sizes, "--out", tmp_path / "b")
    assert same.returncode == 0, same.stderr
    first, second = (tmp_path / name / "gan/generator.safetensors" for name in "ab")
    assert first.read_bytes() == second.read_bytes()  # measuring changes no weight

"""Faults of training: divergence, mode collapse, changed options on resume, no GPU, memory, space or permission."""

import dataclasses
import hashlib
import json
import pickle
import shutil
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from command_helpers import COLD, run_command, start_command
from data_helpers import EXCERPT
from tmpfs import on_tmpfs, run

from gan_denoise.data import fashion_mnist
from gan_denoise.data.dataset import Dataset
from gan_denoise.errors import DivergedError, InputError, OutputError
from gan_denoise.export.convert import weights
from gan_denoise.study.config import ConditionalGanConfig, DenoiserConfig, GanConfig, RunOptions
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.report.training_text import describe_inexact
from gan_denoise.study.run import checkpoint, mode_collapse
from gan_denoise.study.run.log import read_log
from gan_denoise.study.train import optim
from gan_denoise.study.train.autoencoder import train_autoencoder
from gan_denoise.study.train.dispatch import is_finished, train
from gan_denoise.study.train.gan import train_gan
from gan_denoise.study.train.optim import optimizer_step

SMOKE_GAN = cast(GanConfig, PRESETS["smoke"].gan)
SMOKE_DENOISER = cast(DenoiserConfig, PRESETS["smoke"].denoiser)
GAN = ["train", "gan", "--threads", "1"]
TRAIN = [*COLD, *GAN]
FOUR_EPOCHS = ["--preset", "smoke", "--batch", 4, "--epochs", 4]
GIGABYTE = 1_000_000_000


@pytest.mark.row(16)
def test_no_memory_names_a_batch_to_try(tmp_path: Path) -> None:
    command = [*TRAIN, "--preset", "paper", "--batch", 60_000, "--out", tmp_path]
    done = run("prlimit", f"--as={8 * GIGABYTE}", *command)
    assert done.returncode == 4
    assert "error: step 0: not enough memory for a batch of 60000\nhint: --batch 30000" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.row(18)
def test_a_full_disk_leaves_the_checkpoint_before_it(tmp_path: Path) -> None:
    steps = ["--preset", "smoke", "--batch", 4, "--epochs", 50]  # 3,200 steps, a checkpoint each 64
    done = on_tmpfs(tmp_path, "size=1200k", *TRAIN, *steps, "--out", tmp_path / "run")
    assert done.returncode == 4, done.stderr[-500:]
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "step-000000" in done.stdout
    assert not [line for line in done.stdout.splitlines() if line.startswith(".step")]


@pytest.mark.row(20)
def test_code_in_a_checkpoint_never_runs(tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "ran",)

    content = pickle.dumps(Code())
    (tmp_path / "step-00000001.safetensors").write_bytes(content)
    for hashed in (b'{"step": 1, "trainer_state": {}}' + content, b""):  # the right hash and a wrong one
        description = {"step": 1, "trainer_state": {}, "sha256": hashlib.sha256(hashed).hexdigest()}
        (tmp_path / "step-00000001.json").write_text(json.dumps(description, indent=1) + "\n")
        with pytest.warns(UserWarning, match="damaged"), pytest.raises(InputError, match="got 1 damaged"):
            checkpoint.load_latest(tmp_path)
    assert not (tmp_path / "ran").exists()
    pickle.loads(content)  # outside a checkpoint it does
    assert (tmp_path / "ran").exists()


@pytest.mark.row(21)
def test_a_read_only_folder_is_refused_before_the_first_step(tmp_path: Path) -> None:
    done = on_tmpfs(tmp_path, "ro", *TRAIN, "--preset", "smoke", "--out", tmp_path / "run")
    assert done.returncode == 4
    assert done.stderr == (f"error: {tmp_path / 'run/gan'}: Read-only file system\nhint: choose another --out\n")


@pytest.mark.row(14)
def test_an_existing_run_is_not_overwritten_and_another_is_not_resumed(
    trained: Path, excerpt: Dataset, tmp_path: Path
) -> None:
    config = SMOKE_GAN
    with pytest.raises(OutputError, match="holds a training run"):
        train_gan(config, excerpt, trained, RunOptions(threads=1))
    with pytest.raises(InputError, match=r"seed: run .* was started with 0, got 1"):
        train_gan(config, excerpt, trained, RunOptions(threads=1, resume=True, seed=1))
    with pytest.raises(InputError, match=r"dropout: run .* was started with 0.3, got 0.1"):
        train_gan(dataclasses.replace(config, dropout=0.1), excerpt, trained, RunOptions(threads=1, resume=True))


@pytest.mark.row(12)
def test_a_loss_or_gradient_that_is_not_finite_changes_nothing() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    adam = torch.optim.Adam([weight], 0.1)
    for bad in (float("nan"), float("inf")):
        with pytest.raises(DivergedError, match=r"loss and gradient norm: expected finite numbers, got (nan|inf)"):
            optimizer_step(adam, (weight * bad).sum())
        assert torch.equal(weight, torch.ones(2))
    with pytest.raises(DivergedError, match=r"got 0.0 and (inf|nan)"):
        optimizer_step(adam, (weight - 1).square().sum().sqrt())  # a loss of 0 whose gradient is not finite
    assert torch.equal(weight, torch.ones(2))
    optimizer_step(adam, weight.sum())
    assert weight.max() < 1


@pytest.mark.row(12)
def test_a_diverging_run_stops_and_names_the_step(excerpt: Dataset, tmp_path: Path) -> None:
    config = dataclasses.replace(SMOKE_DENOISER, learning_rate=0.999, max_gradient_norm=1e30)
    images = excerpt.train.images
    assert images.max() == 255
    config = dataclasses.replace(config, sigma_min=1e38, sigma_max=3e38)
    with pytest.raises(DivergedError, match="step 0: loss and gradient norm"):
        train_autoencoder(config, excerpt, tmp_path, RunOptions(threads=1))
    assert not list(tmp_path.glob("denoiser/checkpoints/*"))


@pytest.mark.row(15)
def test_cuda_without_a_gpu_is_refused(excerpt: Dataset, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        config = GanConfig(generator_widths=(8, 8, 4), discriminator_widths=(8, 8), epochs=1, batch=32, images=256)
        train_gan(config, excerpt, tmp_path, RunOptions(device="cuda"))
        assert (tmp_path / "gan/generator.safetensors").exists()
    else:
        with pytest.raises(InputError, match="--device: expected a usable CUDA GPU, got none"):
            train_gan(SMOKE_GAN, excerpt, tmp_path, RunOptions(device="cuda"))
        assert not (tmp_path / "gan").exists()


def nearly_all_black(dataset: Dataset) -> Dataset:
    """All images black except the first 64, which give inter_image_std_real."""
    images = np.where(np.arange(len(dataset.train))[:, None, None] < 64, dataset.train.images, np.uint8(0))
    return dataclasses.replace(dataset, train=dataclasses.replace(dataset.train, images=images))


@pytest.mark.parametrize(("preset", "rate", "black"), [("smoke", None, True), ("smoke-best", 0.9, False)])
@pytest.mark.row(13)
def test_mode_collapse_is_a_warning_on_stderr_and_in_the_log(
    excerpt: Dataset,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    preset: str,
    rate: float | None,
    black: bool,
) -> None:
    monkeypatch.setattr(optim, "STATISTICS_BATCHES", 2)  # else most of the time
    config = dataclasses.replace(PRESETS[preset].gan, epochs=20)
    if isinstance(config, ConditionalGanConfig):
        config = dataclasses.replace(
            config, ema_half_life_images=100, epochs=30
        )  # so that the EMA follows within 30 epochs
    collapsing = dataclasses.replace(config, learning_rate=rate or config.learning_rate)
    warning = "mode collapse, or nothing learned yet: inter_image_std: expected 0.0"
    train(collapsing, nearly_all_black(excerpt) if black else excerpt, tmp_path / "collapsed", RunOptions(threads=1))
    assert capfd.readouterr().err.splitlines()[-1].startswith(f"warning: {warning}")  # after the last epoch's line
    assert read_log(tmp_path / "collapsed/gan/log.jsonl")[-1]["warning"].startswith(warning)
    train(config, excerpt, tmp_path / "clothes", RunOptions(threads=1))
    assert "warning" not in capfd.readouterr().err.splitlines()[-1]
    assert "warning" not in read_log(tmp_path / "clothes/gan/log.jsonl")[-1]
    assert mode_collapse.collapse_warning(0.01, 0.05) == ""  # as similar as the training images


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of four epochs that was stopped by SIGTERM after the first."""
    folder = tmp_path_factory.mktemp("stopped")
    process = start_command(*GAN, *FOUR_EPOCHS, "--out", folder)
    while not (folder / "gan/checkpoints/step-00000064.json").exists():
        assert process.poll() is None
    process.terminate()
    assert process.wait(60) == 143
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--seed", 1], "seed: run {} was started with 0, got 1"),
        (["--threads", 2], "threads: run {} was started with 1, got 2"),
        (["--batch", 8], "batch: run {} was started with 4, got 8"),
        (["--dataset", "npz", "--data", "black.npz"], "data_sha256: run {} was started with "),
        (["--precision", "bfloat16"], "precision: run {} was started with float32, got bfloat16"),
    ],
)
@pytest.mark.row(14)
def test_changed_options_are_refused_by_name_or_recorded(
    stopped: Path, tmp_path: Path, change: list[object], message: str
) -> None:
    shutil.copytree(stopped, tmp_path / "run")
    np.savez(tmp_path / "black.npz", images=np.zeros((300, 28, 28), np.uint8))
    change = [tmp_path / "black.npz" if word == "black.npz" else word for word in change]
    meta_text = (tmp_path / "run/gan/meta.json").read_text()
    command = [*GAN, *FOUR_EPOCHS, "--out", tmp_path / "run", *change]
    exact = run_command(*command, "--resume")
    assert exact.returncode == 3
    assert exact.stderr.startswith(f"error: {message.format(tmp_path / 'run/gan')}")
    assert "--resume-inexact resumes and records the change" in exact.stderr
    assert (tmp_path / "run/gan/meta.json").read_text() == meta_text
    assert run_command(*command, "--resume-inexact").returncode == 0
    (record,) = json.loads((tmp_path / "run/gan/meta.json").read_text())["inexact_resumes"]
    assert record["step"] >= 64
    assert message.split(":")[0] in record["changed"]
    before, now = record["changed"].get("seed", (None, None))
    assert ("--seed" not in change) or describe_inexact("GAN", [record]) == (
        "Training (GAN) was resumed with changes (--resume-inexact): "
        f"from step {record['step']}, seed is {now} instead of {before}."
    )


@pytest.mark.row(14)
def test_nothing_is_recorded_if_no_step_is_left(stopped: Path, tmp_path: Path) -> None:
    shutil.copytree(stopped, tmp_path / "run")
    command = [*GAN, *FOUR_EPOCHS, "--out", tmp_path / "run"]
    assert run_command(*command, "--resume").returncode == 0
    meta_text = (tmp_path / "run/gan/meta.json").read_text()
    assert run_command(*command, "--resume-inexact", "--seed", 1).returncode == 0
    assert (tmp_path / "run/gan/meta.json").read_text() == meta_text


@pytest.mark.row(14)
def test_an_inexactly_resumed_run_does_not_count_as_finished(stopped: Path, tmp_path: Path) -> None:
    shutil.copytree(stopped, tmp_path / "run")
    command = [*GAN, *FOUR_EPOCHS, "--out", tmp_path / "run", "--seed", 1]
    assert run_command(*command, "--resume-inexact").returncode == 0
    config = dataclasses.replace(SMOKE_GAN, batch=4, epochs=4)
    with pytest.raises(InputError, match="expected a training without changes, got one resumed with --resume-inexact"):
        is_finished(config, tmp_path / "run", RunOptions(seed=1, threads=1))


@pytest.mark.row(14)
def test_networks_of_other_sizes_are_refused_even_inexactly(stopped: Path, tmp_path: Path) -> None:
    shutil.copytree(stopped, tmp_path / "run")
    done = run_command(*GAN, "--preset", "quick", "--out", tmp_path / "run", "--resume-inexact")
    assert done.returncode == 3
    assert "expected a checkpoint of the same networks, got other sizes" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.row(14)
def test_means_after_a_change_of_batch_are_over_the_steps_since(stopped: Path, tmp_path: Path) -> None:
    shutil.copytree(stopped, tmp_path / "run")
    samples = tmp_path / "run/gan/samples"
    before = {file.name: file.read_bytes() for file in samples.iterdir()}
    done = run_command(
        *GAN, "--preset", "smoke", "--batch", 16, "--epochs", 8, "--out", tmp_path / "run", "--resume-inexact"
    )
    assert done.returncode == 0, done.stderr
    rows = read_log(tmp_path / "run/gan/log.jsonl")
    assert all(0 <= row[name] <= 1 for row in rows for name in ("accuracy_real", "accuracy_fake"))
    assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) == len(list(samples.iterdir())) > len(before) > 0
    assert all((samples / name).read_bytes() == content for name, content in before.items())


@pytest.mark.row(14)
def test_weights_from_before_a_change_are_not_exported(stopped: Path, tmp_path: Path) -> None:
    shutil.copytree(stopped, tmp_path / "run")
    command = [*GAN, "--preset", "smoke", "--batch", 4, "--out", tmp_path / "run"]
    assert run_command(*command, "--epochs", 4, "--resume").returncode == 0
    weights.load_generator(tmp_path / "run/gan")
    more = start_command(*command, "--epochs", 4_000, "--seed", 1, "--resume-inexact")
    while not (tmp_path / "run/gan/checkpoints/step-00000400.json").exists():
        assert more.poll() is None
    more.terminate()
    assert more.wait(60) == 143
    with pytest.raises(InputError, match=r"generator\.json: not found"):
        weights.load_generator(tmp_path / "run/gan")
    assert run_command(*command, "--epochs", 8, "--seed", 1, "--resume-inexact").returncode == 0
    weights.load_generator(tmp_path / "run/gan")


@pytest.mark.parametrize("content", [None, "{", "[]", "null", '{"fingerprint": []}', '{"fingerprint": {"config": 5}}'])
@pytest.mark.row(14)
def test_a_run_without_readable_metadata_is_refused(stopped: Path, tmp_path: Path, content: str | None) -> None:
    shutil.copytree(stopped, tmp_path / "run")
    (tmp_path / "run/gan/meta.json").unlink()
    if content is not None:
        (tmp_path / "run/gan/meta.json").write_text(content)
    config = dataclasses.replace(SMOKE_GAN, batch=4, epochs=4)
    for options in (RunOptions(threads=1, resume=True), RunOptions(threads=1, resume_inexact=True)):
        with pytest.raises(InputError, match=r"meta\.json: expected the metadata of a trained stage"):
            train_gan(config, fashion_mnist.read_dataset(EXCERPT, "excerpt", checked=False), tmp_path / "run", options)
    with pytest.raises(OutputError, match="holds a training run"):
        train_gan(
            config,
            fashion_mnist.read_dataset(EXCERPT, "excerpt", checked=False),
            tmp_path / "run",
            RunOptions(threads=1),
        )

"""Faults of evaluation: sets against themselves, too few samples, batches, threads, ranges, a benchmark under load."""

import contextlib
import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_helpers import run_command, start_command

from gan_denoise.data import fashion_mnist
from gan_denoise.errors import InputError
from gan_denoise.eval.metrics.psnr_ssim import psnr, ssim
from gan_denoise.eval.noise import add_noise
from gan_denoise.export import runtime

TOLERANCE = 1e-4  # of a distance: other batches and threads add in another order


def ffd(images: Path, *options: str) -> dict[str, float]:
    """FFD-1 of each set in a file."""
    return {row["set"]: row["ffd_1"] for row in answer("eval", "ffd", str(images), *options)["rows"]}


def answer(*arguments: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(run_command(*arguments, "--json", check=True).stdout)
    return content


@pytest.mark.row(33)
def test_the_reference_against_itself_is_0_and_the_training_images_are_not(real_folder: Path, tmp_path: Path) -> None:
    real = fashion_mnist.read_dataset(real_folder, "real")
    np.savez(tmp_path / "a.npz", test=real.test.images, train=real.train.images[:2_000])
    content = answer("eval", "ffd", str(tmp_path / "a.npz"))
    assert content["settings"]["reference"] == "10000 test images"
    actual = {row["set"]: row["ffd_1"] for row in content["rows"]}
    assert actual["test"] == pytest.approx(0, abs=1e-6)
    assert actual["train"] > 1e-3


@pytest.mark.parametrize("count", [0, 1, 96])
@pytest.mark.row(33)
def test_fewer_samples_than_features_are_refused(tmp_path: Path, count: int) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((count, 28, 28), np.uint8))
    done = run_command("eval", "ffd", tmp_path / "a.npz")
    assert done.returncode == 3
    assert f"expected 97 or more images, got {count}\n" in done.stderr


@pytest.mark.row(34)
def test_another_batch_or_thread_count_gives_the_same_distance(tmp_path: Path) -> None:
    actual = []
    for batch in ("1", "7", "64"):
        answer("generate", "-n", "500", "--batch", batch, "--out", str(tmp_path / f"{batch}.npz"))
        actual += [ffd(tmp_path / f"{batch}.npz", "--threads", threads) for threads in ("1", "2")]
    for name in ("image", "denoised"):
        assert actual[0][name] > 0.1
        assert [row[name] for row in actual] == pytest.approx([actual[0][name]] * 6, rel=TOLERANCE)


@pytest.mark.row(34)
def test_another_thread_count_gives_the_same_rows(real_folder: Path) -> None:
    one, two = (
        answer("eval", "generation", "-n", "300", "--threads", threads, "--data", str(real_folder))["rows"]
        for threads in ("1", "2")
    )
    for mine, theirs in zip(one, two, strict=True):
        assert mine.keys() == theirs.keys()
        for name, value in mine.items():
            close = pytest.approx(value, rel=TOLERANCE, abs=1e-6) if isinstance(value, float) else value
            assert theirs[name] == close, name


@pytest.mark.row(35)
def test_integers_and_other_ranges_are_refused(exported: Path) -> None:
    grey = np.full((2, 1, 28, 28), 0.5, np.float32)
    cases: tuple[tuple[Any, str], ...] = (
        ((grey * 255).astype(np.uint8), "uint8"),
        (grey.astype(np.float64), "float64"),
        (grey * 255, "expected values from 0 to 1, got 127.5 to 127.5"),
        (grey - 1, "expected values from 0 to 1, got -0.5 to -0.5"),
    )
    for wrong, said in cases:
        for measure in (psnr, ssim):
            with pytest.raises(InputError, match=said):
                measure(wrong, grey)
        with pytest.raises(InputError, match=said):
            add_noise(wrong, 0.1, "float", 0)
    with pytest.raises(InputError, match=r"noisy: expected float32 .*, got uint8 \[2, 1, 28, 28\]"):
        runtime.load_graph(runtime.DENOISER, exported)((grey * 255).astype(np.uint8))


@pytest.mark.xdist_group("serial")
@pytest.mark.row(36)
def test_a_benchmark_that_was_interrupted_marks_its_rows(exported: Path) -> None:
    command = ["bench", "--model", exported, "--repeats", 5, "--pause", 0, "--json", "--force-busy", "--threads", 1]
    moments = random.Random(0)
    process = start_command(*command, new_session=True)
    while process.poll() is None:  # from time to time all its processes are stopped
        for number in (signal.SIGSTOP, signal.SIGCONT):
            with contextlib.suppress(ProcessLookupError):  # it has ended since
                os.killpg(process.pid, number)
            time.sleep(moments.uniform(0, 0.05))
    assert process.returncode == 0
    rows, said = json.loads(process.output()[0])["rows"], process.output()[1]
    unstable = [row for row in rows if not row["stable"]]
    assert unstable
    assert all((row["spread"] > 0.2) is not row["stable"] for row in rows)
    assert f"{len(unstable)} of {len(rows)} rows are unstable: the rounds differ by more than 20 %" in said

"""Faults of training processes: killed, stopped, stopped twice, two in one folder."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from command_helpers import COLD, RunningCommand, run_command, start_command
from safetensors.torch import load_file

from gan_denoise.study.run import checkpoint
from gan_denoise.study.run.log import read_log

pytestmark = pytest.mark.xdist_group("serial")  # alone among the tests of times and kills
TRAINER = Path(__file__).parent / "trainer.py"
KILLS = 5  # `make soak` has 100
LONG = ["--batch", "4", "--epochs", "4", "--threads", "1"]  # 64 steps an epoch

Process = RunningCommand | subprocess.Popen[bytes]


def train(kind: str, out: Path, *options: str, preset: str = "smoke") -> RunningCommand:
    return start_command("train", kind, "--preset", preset, *LONG, "--out", out, *options)


def train_cold(out: Path) -> subprocess.Popen[bytes]:
    """A process whose handlers of signals are those that Python sets when it starts."""
    return subprocess.Popen([*COLD, "train", "gan", "--preset", "smoke", *LONG, "--out", str(out)])


def stop_in_the_middle_of_an_epoch(process: Process, stage: Path, number: int) -> int:
    """Send a signal some steps after the first epoch was saved; returns the exit code."""
    wait_for(stage / "checkpoints/step-00000064.json", process)
    time.sleep(0.1)  # an epoch takes half a second and more
    process.send_signal(number)
    return process.wait(60)


def assert_same_weights(one: Path, other: Path) -> None:
    first, second = load_file(one), load_file(other)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


@pytest.mark.row(10)
def test_killed_at_random_moments_all_stages_end_with_the_bits_of_an_unbroken_run(tmp_path: Path) -> None:
    moments, kills, broken = random.Random(0), 0, 0
    with subprocess.Popen(
        [sys.executable, TRAINER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as trainer:

        def train_until(folder: Path, seconds: float | None) -> int:
            """The wait status of a process that trains in `folder`, killed after `seconds`."""
            assert trainer.stdin is not None
            assert trainer.stdout is not None
            print(folder, file=trainer.stdin, flush=True)
            child = int(trainer.stdout.readline())
            if seconds is not None and not select.select([trainer.stdout], [], [], seconds)[0]:
                os.kill(child, signal.SIGKILL)  # not yet waited for, so the process id is still valid
            return int(trainer.stdout.readline())

        assert train_until(tmp_path / "unbroken", None) == 0
        while kills < KILLS:
            broken += 1
            longest = 1.5
            while status := train_until(tmp_path / str(broken), moments.uniform(0.1, longest)):
                assert os.WTERMSIG(status) == signal.SIGKILL
                kills += 1
                longest *= 1.1  # so that a slow machine finishes too
            for part in ("gan/generator", "gan/discriminator", "denoiser/denoiser", "joint/final/denoiser/denoiser"):
                assert_same_weights(*(tmp_path / run / f"{part}.safetensors" for run in ("unbroken", str(broken))))
        trainer.stdin.close()  # type: ignore[union-attr]


@pytest.mark.parametrize("preset", ["smoke", "smoke-best"])
@pytest.mark.parametrize(("kind", "file"), [("gan", "generator"), ("denoiser", "denoiser")])
@pytest.mark.row(10)
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
    logs = [read_log(run / kind / "log.jsonl") for run in (unbroken, broken)]
    for event in (*logs[0], *logs[1]):
        del event["seconds"], event["images_per_s"]
    assert logs[0] == logs[1]
    assert [event["epoch"] for event in logs[1]] == [1, 2, 3, 4]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.row(11)
def test_a_signal_saves_within_the_epoch_and_resume_continues(tmp_path: Path, number: int, code: int) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    first, second = train("gan", unbroken), train_cold(broken)
    assert stop_in_the_middle_of_an_epoch(second, broken / "gan", number) == code
    assert first.wait(120) == 0
    step = max(int(path.stem.split("-")[1]) for path in (broken / "gan/checkpoints").glob("*.json"))
    assert step % 64 != 0
    assert train("gan", broken, "--resume").wait(120) == 0
    assert_same_weights(unbroken / "gan/generator.safetensors", broken / "gan/generator.safetensors")


@pytest.mark.row(11)
def test_a_second_ctrl_c_exits_at_once_and_the_last_checkpoint_is_valid(tmp_path: Path) -> None:
    for attempt in range(20):  # the first signal's save may end before the second signal
        run = tmp_path / str(attempt)
        process = train_cold(run)
        wait_for(run / "gan/checkpoints/step-00000064.json", process)
        process.send_signal(signal.SIGINT)
        while catches(process, signal.SIGINT):
            pass
        process.send_signal(signal.SIGINT)
        if process.wait(60) == -signal.SIGINT:
            break
    assert process.returncode == -signal.SIGINT
    saved = checkpoint.load_latest(run / "gan/checkpoints")
    assert saved is not None
    assert saved.step >= 64
    assert train("gan", run, "--resume").wait(120) == 0


def catches(process: Process, number: int) -> bool:
    """Whether the process has a handler for the signal; false once it has ended."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = status.split("SigCgt:")[1].split()[0] if "SigCgt:" in status else "0"
    return bool(int(caught, 16) >> (number - 1) & 1)


def wait_for(file: Path, process: Process) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.row(22)
def test_a_second_writer_is_refused_and_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    holder = train("gan", tmp_path, "--epochs", "40")  # ten seconds: longer than the second process takes to start
    try:
        wait_for(tmp_path / "gan/meta.json", holder)
        second = run_command("train", "gan", "--preset", "smoke", "--out", tmp_path)
        assert second.returncode == 6
        assert second.stderr.startswith(f"error: {tmp_path}/gan: process {holder.pid} is writing to it\nhint: ")
    finally:
        holder.kill()
        holder.wait(60)
    resumed = train("gan", tmp_path, "--epochs", "40", "--resume")
    while not catches(resumed, signal.SIGTERM):  # the holder may have written checkpoints already
        assert resumed.poll() is None
        time.sleep(0.01)
    resumed.terminate()
    assert resumed.wait(60) == 143

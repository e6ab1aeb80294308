"""Training by several processes: real ones that talk by gloo, with the environment that torchrun gives them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from command_helpers import FASTER, cold_command, run_command, start_command
from safetensors.torch import load_file
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from gan_denoise.data.dataset import Dataset
from gan_denoise.study.run.log import read_log

pytestmark = pytest.mark.xdist_group("serial")  # two processes each, and kills
TINY = ["--threads", "1", "--device", "cpu", "--batch", "32", "--set", "images=64"]  # two steps an epoch
PENALTY = ["--set", "penalty_interval=2"]  # gradient penalties in half of the steps
STAGES = {  # the options of each, and the weights that it writes
    ("gan", "smoke-best"): ([*PENALTY, "--set", "augment=true"], "gan/generator"),
    ("denoiser", "smoke-best"): ([], "denoiser/denoiser"),
    ("joint", "smoke-best"): (
        ["--set", "gan.penalty_interval=2", "--set", "gan.augment=true"],
        "joint/final/denoiser/denoiser",
    ),
    ("gan", "smoke"): ([], "gan/generator"),
    ("denoiser", "smoke"): ([], "denoiser/denoiser"),
    ("classifier", "smoke"): ([], "classifier/classifier"),
}
LONG = ["--preset", "smoke-best", "--threads", "1", "--device", "cpu", "--batch", "8", "--set", "images=64"]
LONG = [*LONG, "--epochs", "6"]  # 8 steps an epoch
LOST = "error: another process of this training ended, or cannot be reached\nhint: its own message says why; "


class Ranks:
    """`gan-denoise ARGUMENTS` in several processes, with the store that torchrun would keep for them."""

    def __init__(
        self, *arguments: object, count: int = 2, second: tuple[object, ...] = (), broken: Mapping[str, object] = {}
    ) -> None:
        """`second` are more arguments of the second process alone, `broken` constants that it has."""
        self.store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        names = {"TORCHELASTIC_RUN_ID": "test", "TORCHELASTIC_USE_AGENT_STORE": "True", "MASTER_ADDR": "127.0.0.1"}
        names |= {"MASTER_PORT": str(self.store.port), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
        self.processes = [
            start_command(
                *arguments,
                *(second if rank else ()),
                environment={**os.environ, **names, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                constants=broken if rank else {},
            )
            for rank in range(count)
        ]

    def wait(self) -> tuple[list[int], str]:
        """The exit codes, and what all processes wrote on stderr."""
        codes = [process.wait(200) for process in self.processes]
        return codes, "".join(process.output()[1] for process in self.processes)

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(60)


def train_together(kind: str, *options: object) -> str:
    ranks = Ranks("train", kind, *options)
    try:
        codes, errors = ranks.wait()
    finally:
        ranks.stop()
    assert codes == [0, 0], errors
    return ranks.processes[0].output()[0] + ranks.processes[1].output()[0]


def wait_for(file: Path, ranks: Ranks) -> None:
    while not file.exists():
        assert all(process.poll() is None for process in ranks.processes)


@pytest.fixture(scope="module")
def images(excerpt: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """The options of the excerpt as a data set."""
    file = tmp_path_factory.mktemp("images") / "images.npz"
    splits = {"train": excerpt.train, "test": excerpt.test}
    arrays = {f"{axis}_{name}": getattr(split, field) for name, split in splits.items() for axis, field in AXES}
    np.savez(file, **arrays)
    return ["--dataset", "npz", "--data", file]


AXES = (("x", "images"), ("y", "labels"))


@pytest.fixture(scope="module")
def runs(images: list[object], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """All stages trained by one process, and by two."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    for (kind, preset), (options, _) in STAGES.items():
        stage = ["--preset", preset, *TINY, *options, *images, "--epochs", 2]
        run_command("train", kind, *stage, "--out", one / preset, check=True)
        train_together(kind, *stage, "--out", two / preset)
    return one, two


def difference(one: Path, other: Path) -> float:
    """The norm of the difference of all weights, relative to their own."""
    first, second = load_file(one), load_file(other)
    assert first.keys() == second.keys()
    flat = [torch.cat([weights[name].double().flatten() for name in first]) for weights in (first, second)]
    return ((flat[0] - flat[1]).norm() / flat[0].norm()).item()


@pytest.mark.parametrize(("kind", "preset"), STAGES)
def test_two_processes_take_the_steps_of_one(runs: tuple[Path, Path], kind: str, preset: str) -> None:
    one, two = (run / preset for run in runs)
    _, name = STAGES[kind, preset]
    bound = 2e-3 if kind == "classifier" else 1e-6  # its max pooling chooses between nearly equal numbers
    assert difference(one / f"{name}.safetensors", two / f"{name}.safetensors") < bound
    logs = [read_log(run / kind / "log.jsonl") for run in (one, two)]
    assert [event["epoch"] for event in logs[1]] == [1, 2]  # written once
    for first, second in zip(*logs, strict=True):
        assert first.keys() == second.keys()
        for key in first.keys() - {"seconds", "images_per_s", "warning"}:
            assert second[key] == pytest.approx(first[key], rel=1e-3, abs=1e-4), key


def test_torchrun_itself_starts_them_and_the_bits_repeat(
    runs: tuple[Path, Path], images: list[object], tmp_path: Path
) -> None:
    """Also: the first process alone prints, and the run records how many trained it."""
    options = [
        "--preset",
        "smoke-best",
        *TINY,
        *STAGES["gan", "smoke-best"][0],
        *images,
        "--epochs",
        2,
        "--out",
        tmp_path,
    ]
    script = tmp_path / "train.py"
    script.write_text(cold_command(FASTER)[2])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, script, *map(str, ["train", "gan", *options])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}/gan\n"
    assert done.stderr.count("gan epoch 2/2") == done.stderr.count("next: ") == 1
    for name in ("generator", "discriminator"):
        paths = [folder / f"gan/{name}.safetensors" for folder in (runs[1] / "smoke-best", tmp_path)]
        assert paths[0].read_bytes() == paths[1].read_bytes()
    fingerprints = [json.loads((run / "smoke-best/gan/meta.json").read_text())["fingerprint"] for run in runs]
    assert fingerprints[1].pop("processes") == 2
    assert fingerprints[0] == fingerprints[1]


def test_one_process_of_torchrun_is_a_plain_run(runs: tuple[Path, Path], images: list[object], tmp_path: Path) -> None:
    stage = [
        "--preset",
        "smoke-best",
        *TINY,
        *STAGES["gan", "smoke-best"][0],
        *images,
        "--epochs",
        2,
        "--out",
        tmp_path,
    ]
    assert Ranks("train", "gan", *stage, count=1).wait()[0] == [0]
    for name in ("generator.safetensors", "discriminator.safetensors", "meta.json"):
        assert (tmp_path / "gan" / name).read_bytes() == (runs[0] / "smoke-best/gan" / name).read_bytes()


@pytest.mark.row(96)
@pytest.mark.row(97)
def test_a_killed_and_a_signalled_process_stop_both_and_resume_gives_the_same_bits(
    images: list[object], tmp_path: Path
) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    train_together("gan", *LONG, *images, "--out", unbroken)
    command = ("train", "gan", *LONG, *images, "--out", broken)
    for number, epoch, expected in ((signal.SIGKILL, 1, [4, -9]), (signal.SIGTERM, 3, [143, 143])):
        ranks = Ranks(*command, "--resume")
        try:
            wait_for(broken / f"gan/checkpoints/step-{8 * epoch:08d}.json", ranks)
            ranks.processes[1].send_signal(number)
            codes, errors = ranks.wait()
        finally:
            ranks.stop()
        assert codes == expected, errors
        text = LOST if number == signal.SIGKILL else "error: stopped after step "
        assert errors.count("error: ") == 1
        assert text in errors
    last = max((broken / "gan/checkpoints").glob("*.json")).stem
    assert 24 < int(last.split("-")[1]) < 48
    assert f"stopped after step {int(last.split('-')[1])}; checkpoint saved" in errors
    shutil.copytree(broken, tmp_path / "alone")
    train_together("gan", *LONG, *images, "--out", broken, "--resume")
    for name in ("generator", "discriminator"):
        paths = [run / f"gan/{name}.safetensors" for run in (unbroken, broken)]
        assert paths[0].read_bytes() == paths[1].read_bytes()
    check_a_checkpoint_of_two_in_one(["train", "gan", *LONG, *images, "--out", tmp_path / "alone"], unbroken)


def check_a_checkpoint_of_two_in_one(command: list[object], unbroken: Path) -> None:
    run = Path(str(command[-1]))
    done = run_command(*command, "--resume")
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: processes: run {run}/gan was started with 2, got 1\nhint: ")
    run_command(*command, "--resume-inexact", check=True)
    (record,) = json.loads((run / "gan/meta.json").read_text())["inexact_resumes"]
    assert record["changed"] == {"processes": [2, 1]}
    assert 0 < difference(*(folder / "gan/generator.safetensors" for folder in (unbroken, run))) < 1e-2


@pytest.mark.row(96)
def test_a_loss_that_is_not_finite_in_one_process_stops_both(images: list[object], tmp_path: Path) -> None:
    broken = {"models.dcgan.LEAKY_SLOPE": float("nan")}
    ranks = Ranks("train", "gan", "--preset", "smoke", *TINY, *images, "--out", tmp_path, broken=broken)
    codes, errors = ranks.wait()
    assert codes == [5, 5]
    assert errors.count("error: ") == errors.count("step 0: loss and gradient norm: expected finite numbers") == 1
    assert not list((tmp_path / "gan/checkpoints").glob("*"))


@pytest.mark.row(98)
@pytest.mark.parametrize(
    ("arguments", "second", "code", "message"),
    [
        (["train", "gan", "--batch", "7"], [], 2, "--batch: expected a multiple of 2, the number of processes, got 7"),
        (["train", "gan", "--set", "images=99"], [], 2, "images: expected a multiple of 2, the number of processes"),
        (["train", "joint", "--set", "denoising_batch=3"], [], 2, "denoising_batch: expected a multiple of 2"),
        (["train", "gan"], ["--seed", "1"], 3, "process 1: seed: expected 0, got 1"),
        (["study", "run", "--preset", "smoke"], [], 2, "torchrun: expected the command `train`, got study"),
        (["generate", "-n", "1"], [], 2, "torchrun: expected the command `train`, got generate"),
    ],
)
def test_what_several_processes_cannot_do_is_refused_once(
    images: list[object], tmp_path: Path, arguments: list[object], second: list[object], code: int, message: str
) -> None:
    is_training = arguments[0] == "train"
    preset = "smoke-best" if "joint" in arguments else "smoke"
    options = ["--preset", preset, "--device", "cpu", "--threads", "1", *images] if is_training else []
    if "joint" in arguments:
        options += ["--set", "from_scratch=true"]
    command = (*arguments, *options, "--out", tmp_path / "run")
    codes, errors = Ranks(*command, second=tuple(second)).wait()
    assert codes == [code, code], errors
    assert errors.startswith(f"error: {message}")
    assert errors.count("error: ") == errors.count("hint: ") == 1
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.row(98)
def test_a_run_in_the_way_is_named_once(runs: tuple[Path, Path], images: list[object]) -> None:
    out = runs[1] / "smoke-best"
    codes, errors = Ranks("train", "gan", "--preset", "smoke-best", *TINY, *PENALTY, *images, "--out", out).wait()
    assert codes == [4, 4]
    assert errors.count("error: ") == errors.count(f"error: {out}/gan: holds a training run") == 1

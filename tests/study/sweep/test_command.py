"""The command `study sweep` with real trainings of the smallest preset."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_helpers import RunningCommand, run_command, start_command
from safetensors.torch import load_file
from typer.testing import CliRunner

from gan_denoise.errors import GanDenoiseError, InputError, UsageError
from gan_denoise.study import commands
from gan_denoise.study.report.results import load_study
from gan_denoise.study.sweep.plan import Place
from gan_denoise.study.sweep.run import failure
from gan_denoise.study.sweep_folder import Outcome, SweepFolder, SweepRecord, expand_sweeps

SMALL = ("--presets", "smoke", "--set", "gan.batch=8", "--train-only", "-n", 100)
RUN = "smoke-gan.batch=8"


def until(condition: Callable[[], object], running: RunningCommand) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert running.poll() is None, running.output()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def worker_of(parent: int, run: str) -> int:
    """The process id of the worker that makes a run."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    (worker,) = [int(pid) for pid in children if f"/{run}\0" in Path(f"/proc/{pid}/cmdline").read_text()]
    return worker


@pytest.mark.long
@pytest.mark.xdist_group("serial")
@pytest.mark.row(99, 100)
def test_four_seeds_with_a_killed_worker_then_one_more_that_fails(tmp_path: Path) -> None:
    out = tmp_path / "a sweep"
    running = start_command("study", "sweep", "--seeds", "0-2,7", *SMALL, "--workers", 2, "--threads", 1, "--out", out)
    try:
        until(lambda: list((out / f"{RUN}-0/gan/checkpoints").glob("step-*.json")), running)
        os.kill(worker_of(running.pid, f"{RUN}-0"), signal.SIGKILL)
        assert running.wait(280) == 0, running.output()
    finally:
        running.kill()
    stdout, stderr = running.output()
    assert f"warning: {RUN}-0 was ended by signal 9; it resumes from its last checkpoint" in stderr
    assert "; 4 of 4" in stderr
    assert "Summary over seeds" in stdout

    alone = tmp_path / "alone"
    run_command("study", "run", *SMALL[2:5], "--preset", "smoke", "--threads", 1, "--out", alone, check=True)
    for weights in ("gan/generator", "denoiser/denoiser"):
        one, other = (load_file(folder / f"{weights}.safetensors") for folder in (alone, out / f"{RUN}-0"))
        assert all(torch.equal(one[name], other[name]) for name in one)

    compared = json.loads((out / "compare.json").read_text())
    assert [(row["run"], row["seed"]) for row in compared["rows"]] == [(RUN, seed) for seed in (0, 1, 2, 7)]
    (summary,) = compared["settings"]["summary"]
    assert summary["seeds"] == 4
    assert summary["denoised_sd"] > 0
    shown = run_command("study", "compare", out, "-n", 100, "--threads", 2, "--json", check=True)
    for row, again in zip(compared["rows"], json.loads(shown.stdout)["rows"], strict=True):
        assert (row["seed"], row["denoised"]) == (again["seed"], pytest.approx(again["denoised"], rel=1e-3))
    assert load_study(out / f"{RUN}-1", None).compare_rows() == compared["rows"]
    assert load_study(alone, None).compare_rows() == []

    spoiled = out / f"{RUN}-8/study.json"
    spoiled.parent.mkdir()
    spoiled.write_text('{"preset": "best", "seed": 8}')
    more = run_command("study", "sweep", "--seeds", "0-2,7,8", *SMALL, "--out", out)
    assert more.returncode == 3
    assert "5 runs, 4 of them finished, 1 worker (1 thread each)" in more.stderr  # the threads of the first start
    assert more.stderr.count(" started (") == 1
    error = more.stderr[more.stderr.index("error: ") :]
    assert f"error: 1 run failed: {RUN}-8 (exit code 3): {spoiled.parent}: expected a study with" in error
    content = json.loads((out / "compare.json").read_text())
    assert list(content["skipped"]) == [f"{RUN}-8"]
    assert [row["seed"] for row in content["rows"]] == [0, 1, 2, 7]
    assert "hint: choose another --out" in (out / f"logs/{RUN}-8.log").read_text()


def invoke(*arguments: object) -> str:
    """The output of `study sweep`; raises its error."""
    result = CliRunner().invoke(commands.study_app, ["sweep", *map(str, arguments)], catch_exceptions=True)
    if isinstance(result.exception, GanDenoiseError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_dry_run_says_what_would_run_and_where(tmp_path: Path) -> None:
    out = tmp_path / "new"
    arguments = ("--seeds", "0,4", "--presets", "smoke,smoke-best", "--workers", 2, "--threads", 3, "--out", out)
    lines = invoke(*arguments, "--dry-run").splitlines()
    assert lines[0] == "4 runs, 0 of them finished, 2 workers (3 threads each)"
    assert [line.split()[:2] for line in lines[1:]] == [
        [f"{preset}-{seed}", "new"] for seed in (0, 4) for preset in ("smoke", "smoke-best")
    ]
    assert lines[4].endswith(
        f"gan-denoise study run --preset smoke-best --seed 4 --device auto --precision float32 --threads 3 "
        f"--out {out}/smoke-best-4"
    )
    assert not out.exists()
    content = json.loads(invoke(*arguments, "--dry-run", "--json"))
    assert content["workers"] == [{"threads": 3, "gpu": None}] * 2
    (out / "smoke-0").mkdir(parents=True)
    assert json.loads(invoke(*arguments, "--dry-run", "--json"))["runs"][0]["state"] == "resumes"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--seeds", "0"], "--presets: expected presets, or --experiments, got neither"),
        (["--seeds", "0-", "--presets", "smoke"], "--seeds: expected numbers"),
        (["--seeds", "1,0-3", "--presets", "smoke"], "--seeds: expected each seed once"),
        (["--seeds", "0-1000", "--presets", "smoke"], "--seeds: expected at most 1000 seeds, got 1001"),
        (["--seeds", "0", "--presets", "smok"], "--presets: expected names of smoke, "),
        (["--seeds", "0", "--presets", "paper", "--experiments", "paper"], "got paper"),
        (["--seeds", "0", "--experiments", "2014", "--set", "gan.epochs=1"], "--experiments: expected the data"),
        (["--seeds", "0", "--experiments", "2014", "--dataset", "mnist"], "--experiments: expected the data"),
        (["--seeds", "0", "--presets", "paper", "--set", "joint.epochs=2"], "expected a preset with this stage"),
        (["--seeds", "0", "--presets", "smoke", "--set", "gan.batch=255"], "--set gan.batch"),
        (["--seeds", "0", "--presets", "smoke", "--flip", "--labels", "x.csv"], "--labels"),
    ],
)
def test_what_makes_no_sweep_is_refused_before_anything_is_written(
    options: list[str], expected: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as refused:
        invoke(*options, "--out", tmp_path / "out")
    assert expected in refused.value.message
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_options_is_refused(tmp_path: Path) -> None:
    options = {"threads": 1, "device": "auto", "precision": "float32", "images": {}}
    folder = SweepFolder(tmp_path)
    folder.write(SweepRecord(options, {}))
    same = ("--seeds", "0", "--presets", "smoke", "--out", tmp_path, "--dry-run")
    assert "--threads 1 --out" in invoke(*same, "--workers", 1)  # recorded
    for other, name in (
        (("--precision", "bfloat16"), "precision"),
        (("--threads", 2), "threads"),
        (("--flip",), "images"),
    ):
        with pytest.raises(InputError, match=f"expected a sweep with {{'{name}': .*got {{'{name}': ") as refused:
            invoke(*same, *other)
        assert refused.value.hint == "choose another --out"
    folder.record.write_text("{}")
    with pytest.raises(InputError, match="expected the record of a sweep, got a damaged file"):
        invoke(*same)


@pytest.mark.row(100)
def test_a_second_sweep_in_the_folder_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        lock.write("4711\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(GanDenoiseError, match="process 4711 is writing to it") as refused:
            invoke("--seeds", "0", "--presets", "smoke", "--out", tmp_path)
    assert refused.value.exit_code == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock"]


def test_only_finished_runs_stand_for_a_sweep(tmp_path: Path) -> None:
    outcomes = {"paper-0": Outcome((), 0, 1.0), "paper-1": Outcome((), 5, 1.0, "nan"), "paper-2": Outcome((), 0, 1.0)}
    SweepFolder(tmp_path).write(SweepRecord({}, outcomes))
    with pytest.raises(InputError, match="expected a sweep with a finished run, got none"):
        expand_sweeps([tmp_path])
    (tmp_path / "paper-0").mkdir()
    (tmp_path / "paper-1").mkdir()
    plain = tmp_path / "paper-1"
    assert expand_sweeps([plain, tmp_path]) == [plain, tmp_path / "paper-0"]


def test_the_error_names_each_failed_run_and_has_the_code_of_the_first() -> None:
    error = failure({"a-1": Outcome((), 5, 1.0, "step 3: nan"), "b-0": Outcome((), 137, 1.0, "was ended by signal 9")})
    assert error.message == "2 runs failed: a-1 (exit code 5): step 3: nan; b-0 (exit code 137): was ended by signal 9"
    assert error.exit_code == 5


@pytest.mark.row(99)
def test_a_worker_stops_as_by_ctrl_c_when_its_sweep_is_gone(tmp_path: Path) -> None:
    arguments = ("generate", "-n", "100000", "--threads", "1", "--out", str(tmp_path / "out"), "--file-format", "npz")
    command = [sys.executable, "-m", "gan_denoise.study.sweep.worker", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, **Place(1).environment()}) as worker:
        deadline = time.monotonic() + 120
        while not (tmp_path / "out").exists():
            assert worker.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert worker.stdin is not None
        worker.stdin.close()
        assert worker.wait(60) == 130

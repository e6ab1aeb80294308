"""Bulk generation under faults: killed workers, signals, several processes in one folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_helpers import RunningCommand, run_command, start_command

SMALL = {"export.shards.SHARD": 500}
IMAGES = 4_000
NAMES = [f"{i:06d}.npz" for i in range(IMAGES // 500)]
HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX, 1, int(sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""
LOSES_ONE = """
import signal, sys
set_handler = signal.signal

def lose_one(number, handler):
    calls = []

    def call(*arguments):
        calls.append(number)
        if len(calls) > 1:
            handler(*arguments)

    return set_handler(number, call if number == signal.SIGTERM and callable(handler) else handler)

if "spawn_main" in str(sys.orig_argv):
    signal.signal = lose_one
"""

pytestmark = pytest.mark.xdist_group("serial")


def command(model: Path, out: Path, *more: object) -> tuple[object, ...]:
    return ("generate", "--model", model, "-n", IMAGES, "--threads", 1, "--out", out, *more)


Start = Callable[..., RunningCommand]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a command, which is killed at the end of the test if it still runs."""
    started = []

    def call(*arguments: object, environment: Mapping[str, str] | None = None) -> RunningCommand:
        started.append(start_command(*arguments, environment=environment, constants=SMALL))
        return started[-1]

    yield call
    for running in started:
        running.kill()


@pytest.fixture(scope="module")
def whole(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The hashes of all files, as one process writes them."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert run_command(*command(exported, out, "--part", "1/1"), constants=SMALL).returncode == 0
    return files(out)


def files(out: Path) -> dict[str, dict[str, str]]:
    """What shards.json says of each file; the folder holds these files and nothing else."""
    assert sorted(path.name for path in out.iterdir()) == [*NAMES, "shards.json"]
    described: dict[str, dict[str, str]] = json.loads((out / "shards.json").read_text())["files"]
    return described


def until(done: Callable[[], object], running: RunningCommand) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert running.poll() is None, running.output()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def workers_of(parent: int) -> list[int]:
    """The worker processes that a command started."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    lines = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    return [child for child, line in lines.items() if b"spawn_main" in line]


def is_alive(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@contextmanager
def claimed(out: Path, number: int) -> Iterator[subprocess.Popen[str]]:
    """Another process that makes shard `number`, until it is killed."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, out / "shards.json", str(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.kill()


@pytest.mark.row(93)
def test_a_killed_worker_changes_no_byte(
    start: Start, exported: Path, tmp_path: Path, whole: dict[str, dict[str, str]]
) -> None:
    out = tmp_path / "out"
    running = start(*command(exported, out, "--workers", 2))
    until((out / NAMES[0]).exists, running)
    workers = workers_of(running.pid)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    assert running.wait(120) == 0, running.output()
    assert "warning: a worker ended with -9; the others made its files" in running.output()[1]
    assert files(out) == whole


@pytest.mark.row(93)
def test_if_all_workers_die_the_command_says_so_and_goes_on_later(
    start: Start, exported: Path, tmp_path: Path, whole: dict[str, dict[str, str]]
) -> None:
    out = tmp_path / "out"
    running = start(*command(exported, out, "--workers", 2))
    until((out / NAMES[0]).exists, running)
    for worker in workers_of(running.pid):
        os.kill(worker, signal.SIGKILL)
    assert running.wait(60) == 4
    error = running.output()[1]
    assert f"error: {out}: its workers ended with -9, -9\nhint: free some memory, or take fewer --workers" in error
    there = {name: (out / name).stat().st_mtime_ns for name in NAMES if (out / name).exists()}
    assert 0 < len(there) < len(NAMES)
    assert run_command(*command(exported, out), "--part", "1/1", constants=SMALL).returncode == 0
    assert {name: (out / name).stat().st_mtime_ns for name in there} == there  # only what was missing
    assert files(out) == whole


@pytest.mark.row(93)
def test_workers_end_with_their_parent(start: Start, exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    running = start(*command(exported, out, "--workers", 2))
    until((out / NAMES[0]).exists, running)
    workers = workers_of(running.pid)
    running.kill()
    assert running.wait(10) == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while any(is_alive(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(workers) == 2
    assert not (out / NAMES[-1]).exists()


@pytest.mark.parametrize(
    ("number", "code", "workers"), [(signal.SIGTERM, 143, 1), (signal.SIGINT, 130, 2), (signal.SIGHUP, 129, 1)]
)
@pytest.mark.row(94)
def test_a_signal_keeps_what_is_whole_and_the_same_command_goes_on(
    start: Start, exported: Path, tmp_path: Path, whole: dict[str, dict[str, str]], number: int, code: int, workers: int
) -> None:
    out = tmp_path / "out"
    arguments = command(exported, out, "--workers", workers, "--part", "1/1")
    running = start(*arguments)
    until(lambda: all((out / name).exists() for name in NAMES[:2]), running)  # in any order
    started = workers_of(running.pid)
    running.send_signal(number)
    assert running.wait(30) == code
    assert running.output() == (
        "",
        f"error: {out}: stopped; the files that it holds are whole\nhint: the same command goes on\n",
    )
    assert not any(is_alive(worker) for worker in started)
    assert not list(out.glob(".*"))
    there = {name: (out / name).stat().st_mtime_ns for name in NAMES if (out / name).exists()}
    assert 2 <= len(there) < len(NAMES)
    assert run_command(*arguments, constants=SMALL).returncode == 0
    assert {name: (out / name).stat().st_mtime_ns for name in there} == there
    assert files(out) == whole


@pytest.mark.row(102)
def test_a_worker_that_loses_a_signal_is_ended_by_the_next(start: Start, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(LOSES_ONE)
    out, environment = tmp_path / "out", os.environ | {"PYTHONPATH": str(tmp_path)}
    running = start(*command(exported, out, "--workers", 2), "-n", 10**6, environment=environment)
    until(lambda: (out / NAMES[0]).exists(), running)
    started = workers_of(running.pid)
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 143
    assert not any(is_alive(worker) for worker in started)
    assert not list(out.glob(".*"))


@pytest.mark.row(95)
def test_a_shard_that_another_process_makes_is_left_to_it_until_it_dies(
    start: Start, exported: Path, tmp_path: Path, whole: dict[str, dict[str, str]]
) -> None:
    out = tmp_path / "out"
    assert run_command(*command(exported, out, "--part", "3/4"), constants=SMALL).returncode == 0
    with claimed(out, 1) as holder:
        running = start(*command(exported, out, "--part", "1/1"))
        until((out / NAMES[-1]).exists, running)
        refused = run_command(*command(exported, out, "--part", "1/1", "--force"), constants=SMALL)
        assert (refused.returncode, refused.stdout) == (6, "")
        assert refused.stderr == (
            f"error: {out}: another process is writing to it\nhint: leave --force out to help it\n"
        )
        assert running.poll() is None
        assert not (out / NAMES[1]).exists()
        holder.kill()
        assert running.wait(60) == 0
    assert files(out) == whole


@pytest.mark.row(95)
def test_two_commands_write_one_folder(
    start: Start, exported: Path, tmp_path: Path, whole: dict[str, dict[str, str]]
) -> None:
    out = tmp_path / "out"
    both = [start(*command(exported, out, "--part", "1/1")) for _ in range(2)]
    assert [running.wait(120) for running in both] == [0, 0], [running.output() for running in both]
    assert files(out) == whole


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--part", "0/3"), "--part: expected K/N with K from 1 to N, as 3/16, got 0/3"),
        (("--part", "4/3"), "--part: expected K/N with K from 1 to N, as 3/16, got 4/3"),
        (("--part", "x"), "--part: expected K/N with K from 1 to N, as 3/16, got x"),
        (("--part", "1/3", "--seeds", "1-3"), "--seeds: expected no --part beside it, got both"),
        (("--workers", "2", "--interpolate", "8"), "--interpolate: expected no --workers beside it, got both"),
        (
            ("--workers", "2", "--out", "a.npz"),
            "--out: expected a folder, with --workers, --on, --part or --file-format, got a.npz",
        ),
    ],
)
@pytest.mark.row(95)
def test_options_that_do_not_go_together_are_refused(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run_command("generate", *(() if "--out" in arguments else ("--out", "out")), *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {said}\n")
    assert list(tmp_path.iterdir()) == []

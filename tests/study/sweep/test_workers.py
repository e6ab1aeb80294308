"""The loop of a sweep over real processes, which are small programs in place of trainings."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gan_denoise.errors import Interrupted
from gan_denoise.study.sweep import process, workers
from gan_denoise.study.sweep.plan import Place, Task
from gan_denoise.study.sweep_folder import Outcome, SweepFolder

PROGRAM = """
import json, os, pathlib, signal, sys
what, run = sys.argv[1], pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
run.mkdir(parents=True, exist_ok=True)
tries = len(list(run.glob("try-*")))
(run / f"try-{tries}").write_text(json.dumps(dict(os.environ)))
with open(run.parent / "order", "a") as file:
    file.write(run.name + "\\n")
print("epoch 1/2", flush=True)
if what == "fail":
    print("error: step 3: loss: expected a finite number, got nan\\nhint: another --seed", file=sys.stderr)
    sys.exit(5)
if what == "die" or what == "die-once" and tries == 0:
    os.kill(os.getpid(), signal.SIGKILL)
if what == "locked-once" and tries == 0:
    sys.exit(6)
if what == "hold" and tries == 0:
    sys.stdin.read()  # the sweep closes it
    (run / "saved").touch()
    sys.exit(130)
(run / "finished").touch()
"""


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepFolder:
    """A sweep whose runs are the program above, which does what their first argument says."""
    (tmp_path / "program.py").write_text(PROGRAM)
    monkeypatch.setattr(process, "PROGRAM", (str(tmp_path / "program.py"),))
    monkeypatch.setattr(workers, "POLL_S", 0.005)
    (tmp_path / "out").mkdir()
    return SweepFolder(tmp_path / "out")


def task(kind: str, seed: int = 0, after: str | None = None) -> Task:
    return Task(kind, seed, (kind,), after)


def run(
    sweep: SweepFolder, tasks: list[Task], places: int = 1, earlier: dict[str, Outcome] | None = None
) -> dict[str, Outcome]:
    """The outcomes; those that were recorded one by one are the same."""
    recorded = dict(earlier or {})
    found = workers.run_tasks(
        tasks,
        [Place(1)] * places,
        sweep,
        earlier or {},
        lambda ended, outcome: recorded.update({ended.name: outcome}),
    )
    assert recorded == found
    return found


def codes(outcomes: dict[str, Outcome]) -> dict[str, int]:
    return {name: outcome.exit_code for name, outcome in outcomes.items()}


def order(sweep: SweepFolder) -> list[str]:
    return (sweep.path / "order").read_text().split()


@pytest.mark.row(99)
def test_a_killed_worker_s_run_goes_on_and_ends(sweep: SweepFolder, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = run(sweep, [task("die-once"), task("finish")], places=2)
    assert codes(outcomes) == {"die-once-0": 0, "finish-0": 0}
    assert (sweep.run("die-once-0") / "finished").exists()
    assert order(sweep).count("die-once-0") == 2
    log = sweep.log("die-once-0").read_text()
    assert log.count("$ gan-denoise die-once --threads 1 --out ") == 2
    said = capsys.readouterr().err
    assert "warning: die-once-0 was ended by signal 9; it resumes from its last checkpoint" in said
    assert "sweep: die-once-0 started (1 thread, try 2)" in said
    assert "; 2 of 2" in said


@pytest.mark.row(99)
def test_a_run_whose_process_dies_each_time_fails_in_the_end(sweep: SweepFolder) -> None:
    outcomes = run(sweep, [task("die"), task("finish")])
    assert codes(outcomes) == {"die-0": 137, "finish-0": 0}
    assert outcomes["die-0"].error == "was ended by signal 9 4 times"
    assert order(sweep) == ["die-0"] * 4 + ["finish-0"]


def test_a_run_that_is_in_use_is_tried_again(sweep: SweepFolder) -> None:
    assert codes(run(sweep, [task("locked-once")])) == {"locked-once-0": 0}
    assert order(sweep) == ["locked-once-0"] * 2


@pytest.mark.row(100)
def test_a_failed_run_stops_those_alone_that_need_it(sweep: SweepFolder, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [task("fail"), task("finish", 1, after="fail-0"), task("finish", 2, after="finish-1"), task("finish", 3)]
    outcomes = run(sweep, tasks)
    assert codes(outcomes) == {"fail-0": 5, "finish-1": 5, "finish-2": 5, "finish-3": 0}
    error = "step 3: loss: expected a finite number, got nan"
    assert [outcomes[f"{name}"].error for name in ("fail-0", "finish-1", "finish-2")] == [
        error,
        "fail-0 failed, which it needs",
        "finish-1 failed, which it needs",
    ]
    assert order(sweep) == ["fail-0", "finish-3"]
    assert f"warning: fail-0 failed (exit code 5): {error}" in capsys.readouterr().err


def test_a_base_ends_before_what_needs_it_starts(sweep: SweepFolder) -> None:
    tasks = [task("die-once"), task("finish", 1, after="die-once-0"), task("finish", 2)]
    assert set(codes(run(sweep, tasks, places=3)).values()) == {0}
    assert order(sweep).index("finish-1") > max(i for i, name in enumerate(order(sweep)) if name == "die-once-0")


def test_finished_runs_are_not_started(sweep: SweepFolder) -> None:
    earlier = {"finish-0": Outcome(("finish",), 0, 9.0)}
    assert run(sweep, [task("finish"), task("finish", 1, after="finish-0")], earlier=earlier).keys() == {
        "finish-0",
        "finish-1",
    }
    assert order(sweep) == ["finish-1"]


@pytest.mark.row(99)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_the_workers_and_the_same_call_goes_on(
    sweep: SweepFolder, number: signal.Signals, code: int
) -> None:
    tasks = [task("hold", 0), task("hold", 1), task("finish")]

    def stop() -> None:
        wait_for(lambda: all(list(sweep.run(f"hold-{seed}").glob("try-0")) for seed in (0, 1)))
        os.kill(os.getpid(), number)

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(Interrupted, match="stopped with 0 of 3 runs finished; checkpoints saved") as stopped:
        run(sweep, tasks, places=2)
    stopper.join()
    assert stopped.value.exit_code == code
    assert [(sweep.run(f"hold-{seed}") / "saved").exists() for seed in (0, 1)] == [True, True]
    assert set(order(sweep)) == {"hold-0", "hold-1"}
    assert set(codes(run(sweep, tasks, places=2)).values()) == {0}


def test_workers_end_when_recording_fails(sweep: SweepFolder) -> None:
    def full(ended: Task, outcome: Outcome) -> None:
        wait_for((sweep.run("hold-0") / "try-0").exists)
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        workers.run_tasks([task("hold"), task("finish")], [Place(1)] * 2, sweep, {}, full)
    assert (sweep.run("hold-0") / "saved").exists()


def test_each_worker_has_its_own_gpu_and_threads(sweep: SweepFolder) -> None:
    places = [Place(2, "4"), Place(2, "6")]
    tasks = [task("hold", 0), task("hold", 1)]

    def stop() -> None:
        wait_for(lambda: all(list(sweep.run(f"hold-{seed}").glob("try-0")) for seed in (0, 1)))
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    with pytest.raises(Interrupted):
        workers.run_tasks(tasks, places, sweep, {}, lambda ended, outcome: None)
    seen = [json.loads((sweep.run(f"hold-{seed}") / "try-0").read_text()) for seed in (0, 1)]
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in seen] == ["4", "6"]
    assert {environment["OMP_NUM_THREADS"] for environment in seen} == {"2"}
    assert all(environment["PATH"] == os.environ["PATH"] for environment in seen)


def test_the_time_left_is_that_of_runs_of_the_same_kind(sweep: SweepFolder) -> None:
    done = {"paper-0": Outcome((), 0, 100.0), "best-0": Outcome((), 0, 1000.0), "best-1": Outcome((), 5, 1.0)}
    waiting = [task("paper", 1), task("best", 2), task("quick", 1)]
    state = workers.Workers(sweep, waiting, [Place(1)] * 2, lambda ended, outcome: None, done)
    assert state._left() == ", about 0:13:45 left"  # (100 + 1000 + 550) / 2
    assert workers.Workers(sweep, waiting, [Place(1)], lambda ended, outcome: None)._left() == ""


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_file_in_the_working_folder_replaces_no_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert process._import_path() == ["-P"]
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert process._import_path() == []

"""Faults of processes: forked, spawned and pickled graphs, threads, scripts without a main guard, busy machines."""

import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_helpers import run_command

from gan_denoise import api, machine
from gan_denoise.errors import GateError
from gan_denoise.eval.bench import tables
from gan_denoise.export import latents, runtime

FORK = """
import os, signal, sys, threading, time
import numpy as np
from gan_denoise.export import latents, runtime

def call(n):
    return graph(latents.latents(0, 0, n))[1]

graph, busy = runtime.load_graph(runtime.FUSED, threads=2), runtime.load_graph(runtime.DENOISER, threads=2)
expected = {n: call(n) for n in (1, 64)}
stop = threading.Event()
noisy = np.zeros((64, 1, 28, 28), np.float32)
thread = threading.Thread(target=lambda: [busy(noisy) for _ in iter(stop.is_set, True)])
thread.start()  # the fork happens while another thread computes
children = []
for depth in range(3):
    pid = os.fork()
    if pid:
        children.append(pid)
        continue
    signal.alarm(30)
    if depth == 2 and os.fork():  # a grandchild, whose parent leaves without a call
        os.wait()
        sys.exit(0)
    assert all(np.array_equal(call(n), expected[n]) for n in expected)
    busy(noisy)
    del graph
    sys.exit(0)  # destroys the sessions that were inherited
stop.set()
thread.join()
print([os.waitpid(pid, 0)[1] for pid in children])
"""


def python(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, **options)


@pytest.mark.row(69)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_computes_after_its_parent_did() -> None:
    done = python(FORK)
    assert (done.stdout, done.stderr) == ("[0, 0, 0]\n", "")


@pytest.mark.row(70)
def test_a_graph_and_a_model_are_the_same_after_pickling(exported: Path) -> None:
    graph = runtime.load_graph(runtime.FUSED, exported, threads=2)
    z = latents.latents(0, 0, 20)
    copy = pickle.loads(pickle.dumps(graph))
    for before, after in zip(graph(z), copy(z), strict=True):
        np.testing.assert_array_equal(before, after)
    assert (copy.sha256, copy.metadata, copy.name, copy._threads) == (graph.sha256, graph.metadata, graph.name, 2)
    model = api.load_model(exported, threads=1)
    images = model.generate(3).image
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).generate(3).image, images)


@pytest.mark.row(70)
def test_a_spawned_worker_gets_a_loaded_model(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""
import multiprocessing
import numpy as np
from gan_denoise import load_model

if __name__ == "__main__":
    model = load_model(threads=1)
    image = model.generate(2).image
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(np.array_equal(pool.apply(model.generate, (2,)).image, image))
""")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=100)
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.row(70)
def test_threads_that_call_first_at_once_make_one_session(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, model = runtime.load_graph(runtime.FUSED, exported, threads=2), api.load_model(exported)
    made, make_session, together = [], runtime.make_session, threading.Barrier(8)

    def count(*arguments: Any, **options: Any) -> Any:
        made.append(arguments)
        return make_session(*arguments, **options)

    def call(i: int) -> bytes:
        together.wait()
        return (graph(z)[0] if i % 2 else model.generate(1).image).tobytes()

    monkeypatch.setattr(runtime, "make_session", count)
    z = latents.latents(0, 0, 64)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(call, range(8)))) == 2
    assert len(made) == 2  # the second session of the graph, the first one of the model


@pytest.mark.row(71)
@pytest.mark.parametrize(
    "call",
    [
        "with processes(2) as pool:\n    in_batches(np.negative, np.zeros((4, 1, 2, 2)), 2, pool)",
        "Worker('fused', None, 1).__exit__(None, None, None)",
    ],
)
def test_a_script_without_a_main_guard_gets_an_error_that_names_it(call: str, tmp_path: Path) -> None:
    imports = """
import numpy as np
from gan_denoise.eval.bench.worker import Worker
from gan_denoise.eval.denoising.parallel import in_batches, processes
"""
    script = tmp_path / "script.py"
    script.write_text(imports + call)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=100)
    error = (
        'UsageError: script: expected if __name__ == "__main__": around the calls that start worker processes, got none'
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(error)
    assert "bootstrapping" not in done.stderr  # the workers print nothing
    indented = call.replace("\n", "\n    ")
    script.write_text(f'{imports}if __name__ == "__main__":\n    {indented}')
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.row(80)
def test_bench_refuses_a_busy_machine_unless_it_is_forced(exported: Path) -> None:
    command = ("bench", "--profile", "--model", exported, "--repeats", 1, "--json")
    always_busy, never_busy = {"machine.BUSY_FRACTION": -1}, {"machine.BUSY_FRACTION": 2}
    done = run_command(*command, constants=always_busy)
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr.startswith("error: load: expected ")
    assert "--force-busy" in done.stderr.splitlines()[1]
    done = run_command(*command, "--force-busy", constants=always_busy)
    assert done.returncode == 0
    assert '"busy": "load: expected' in done.stdout
    assert done.stderr.startswith("load: expected ")
    done = run_command(*command, constants=never_busy)
    assert (done.returncode, done.stderr) == (0, "")
    assert '"busy"' not in done.stdout


@pytest.mark.row(80)
def test_a_study_measures_a_busy_machine_and_marks_its_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tables, "busy_cores", lambda: 1000.0)
    report = tables.profile_report(None, 1, 1, batches=(1,), warm_up=0)  # as `study run` calls it
    assert "got 1000; times would be too long" in report.notes["busy"]
    assert capsys.readouterr().err == report.notes["busy"] + "\n"
    with pytest.raises(GateError, match="got 1000"):
        tables.profile_report(None, 1, 1, batches=(1,), force_busy=False)


@pytest.mark.row(80)
def test_busy_cores_are_those_between_two_readings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (100, 0, 50, 1000, 10, 0, 0, 0)
    assert machine.busy_between(before, (100, 0, 50, 1100, 10, 0, 0, 0), 2) == 0
    assert machine.busy_between(before, (130, 0, 70, 1040, 20, 0, 0, 0), 2) == 1  # waiting for a disk is idle
    assert machine.busy_between(before, (100, 0, 50, 1050, 10, 0, 0, 50), 2) == 1  # stolen by another guest
    assert machine.busy_between(before, before, 2) == 0
    for text in ("", "cpu 1 2\n", "intr 1 2 3 4 5 6 7 8\n", "cpu a b c d e f g h\n"):
        (tmp_path / "stat").write_text(text)
        monkeypatch.setattr(machine, "PROC_STAT", tmp_path / "stat")
        assert machine.busy_cores() == machine.load_average()  # what the system says instead
    (tmp_path / "stat").write_text("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2\n")
    assert machine.busy_cores(seconds=0) == 0

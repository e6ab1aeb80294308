"""Use a Ray cluster of this machine: `ray_caller.py FOLDER`, in the environment of `make .ray/installed`.

Runs in a network namespace, since Ray listens on all interfaces. Writes what came out to facts.json in the folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from gan_denoise import ray_cluster
from gan_denoise.errors import GanDenoiseError
from gan_denoise.export import runtime, shard_ray, shards
from gan_denoise.export.serve.deployment import run_on_ray
from gan_denoise.export.serve.server import listen
from gan_denoise.export.serve.service import Settings
from gan_denoise.export.shard_job import Job, made_with
from gan_denoise.export.shards import write_shards
from gan_denoise.options import FileFormat
from gan_denoise.study.sweep import ray_process
from gan_denoise.study.sweep.plan import Place, Task
from gan_denoise.study.sweep.ray_process import run_process, start_task
from gan_denoise.study.sweep.workers import run_tasks
from gan_denoise.study.sweep_folder import SweepFolder, SweepRecord

IMAGES, SHARDS = 600, 6
PATIENCE_S = 60.0
RUN = """
import os, pathlib, sys
what, run = sys.argv[1], pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
run.mkdir(exist_ok=True)
tries = len(list(run.glob("try-*")))
(run / "parent").write_text(str(os.getppid()))
(run / f"try-{tries}").write_text(os.environ["OMP_NUM_THREADS"])
if what == "hold" and tries == 0:
    sys.stdin.read()  # until the sweep closes it
    (run / "saved").touch()
    sys.exit(130)
print("error: bad data" if what == "fail" else "epoch 1/1")
sys.exit(3 if what == "fail" else 0)
"""
LOSE_AN_INTERRUPT = """
import time
for part in range(2):
    try:
        while True:
            open("started", "w").close()
            time.sleep(0.01)
    except KeyboardInterrupt:
        pass  # as the import of a compiled module does
"""
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def start_loopback() -> None:
    """Start the interface `lo`, which a new network namespace has switched off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def message(function: Callable[..., object], *arguments: Any, **options: Any) -> str:
    try:
        function(*arguments, **options)
    except GanDenoiseError as error:
        return f"{error.exit_code}: {error.message}"
    return "no error"


def until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def descendants() -> dict[int, bytes]:
    """The processes that this one and its descendants started, with their command lines."""
    parents: dict[int, int] = {}
    lines: dict[int, bytes] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(process.name)], lines[int(process.name)] = int(parent), (process / "cmdline").read_bytes()

    def is_ours(process: int) -> bool:
        return parents.get(process) == os.getpid() or (process in parents and is_ours(parents[process]))

    return {process: line for process, line in lines.items() if is_ours(process)}


def running_tasks() -> list[int]:
    """The processes of tasks that run now."""
    return [process for process, line in descendants().items() if line.startswith(b"ray::run")]


def connect(address: str) -> None:
    with ray_cluster.connect(address):
        pass


def files(folder: Path) -> dict[str, Any]:
    """What shards.json says of each file; there are no others in the folder."""
    described: dict[str, Any] = json.loads((folder / "shards.json").read_text())["files"]
    assert sorted([*described, "shards.json"]) == sorted(os.listdir(folder))
    return described


def bulk(folder: Path) -> dict[str, Any]:
    """Shards by this process, by one and two tasks, and with a task's process killed; and what is refused."""
    shards.SHARD = IMAGES // SHARDS
    graph = runtime.load_graph(runtime.FUSED, threads=1)

    def write(name: str, count: int = 1, **options: Any) -> None:
        write_shards(graph, 0, IMAGES, folder / name, workers=count, **{"on_cluster": True} | options)

    seen: list[int] = []

    def kill_one() -> None:
        until(lambda: list((folder / "killed").glob("0*.npz")))
        os.kill(running_tasks()[0], signal.SIGKILL)
        seen.append(len(list((folder / "killed").glob("0*.npz"))))

    write("local", on_cluster=False)
    write("one")
    write("two", 2)
    with acting(kill_one):
        write("killed", 2)
    facts: dict[str, Any] = {name: files(folder / name) for name in ("local", "one", "two", "killed")}
    facts["shards at the kill"] = seen
    job = Job(folder / "nowhere", 0, IMAGES, 64, None, shards.SHARD, FileFormat.npz)
    ours = made_with(graph, job)
    arguments = (shard_ray.make_on_node, graph, job, job.describe(graph), ours, [0], False)
    facts["unseen"] = message(lambda: ray_cluster.result(ray_cluster.submit(1, *arguments, cpus=1)[0]))
    with patch.object(shards, "made_with", lambda graph, job: made_with(graph, job) | {"processor": "another"}):
        facts["differs"] = message(write, "differs")
        write("allowed", other_machine=True)
    facts["shards that differ"] = len(list((folder / "differs").glob("0*.npz")))
    facts["allowed"] = files(folder / "allowed")
    with patch.object(ray_cluster, "__version__", "0.0.1"):
        facts["version"] = message(write, "version")
    return facts


def command(folder: Path) -> dict[str, Any]:
    """`generate` in a process of its own, on the cluster of this one: to its end, and stopped by SIGTERM."""
    import ray  # the tests import this module where Ray is not installed

    environment = {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    start = [sys.executable, "-m", "gan_denoise", "generate", "--on", "ray", "--json"]

    def run(*arguments: object) -> subprocess.Popen[str]:
        words, pipe = [*start, *map(str, arguments)], subprocess.PIPE
        return subprocess.Popen(words, env=environment, cwd=folder, text=True, stdout=pipe, stderr=pipe)

    done = run("-n", 100, "--out", "command")
    facts: dict[str, Any] = {"output": done.communicate()}
    stopped = run("-n", 10**6, "--out", "stopped")
    until(lambda: list((folder / "stopped").glob(".*.npz")))
    stopped.terminate()
    facts["stopped"] = [*stopped.communicate(), stopped.returncode]
    tasks = ray_cluster.submit(1, exec, LOSE_AN_INTERRUPT, cpus=1)
    until((folder / "started").exists)
    ray_cluster.cancel_and_wait(tasks)
    facts["tasks that went on"] = len(ray_cluster.wait(tasks, 0)[1])
    facts["left"] = [path.name for path in (folder / "stopped").glob(".*")]
    return facts


def sweep(folder: Path) -> dict[str, Any]:
    """Runs that finish, that fail, and whose task is killed; and all stopped by a signal."""
    (folder / "run.py").write_text(RUN)
    program = (str((folder / "run.py").resolve()),)
    facts: dict[str, Any] = {}

    def run(name: str, *kinds: str) -> dict[str, Any]:
        out = SweepFolder(folder / name)
        out.path.mkdir()
        out.write(SweepRecord({}, {}))
        tasks = [Task(kind, 0, (kind,)) for kind in kinds]
        with patch.object(ray_process, "PROGRAM", program):
            outcomes = run_tasks(tasks, [Place(1)] * 2, out, {}, lambda *_: None, start_task)
        return {name: dataclasses.asdict(outcome) for name, outcome in outcomes.items()}

    def kill(name: str, number: int, own: bool) -> None:
        held = folder / name / "hold-0"
        until((held / "try-0").exists)
        os.kill(os.getpid() if own else int((held / "parent").read_text()), number)

    with acting(kill, "sweep", signal.SIGKILL, False):
        facts["outcomes"] = run("sweep", "hold", "finish", "fail")
    facts["threads"] = (folder / "sweep/finish-0/try-0").read_text()
    facts["log"] = (folder / "sweep/logs/hold-0.log").read_text()
    with acting(kill, "signal", signal.SIGTERM, True):
        facts["stopped"] = message(run, "signal", "hold")
    facts["saved"] = (folder / "signal/hold-0/saved").exists()
    (lost,) = ray_cluster.submit(1, run_process, (), Task("hold", 0, ()), Place(1), folder / "none/run", folder, cpus=1)
    facts["unseen"] = message(ray_cluster.result, lost)
    return facts


def serving(folder: Path) -> dict[str, Any]:
    """The server: a few requests, then SIGTERM."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    facts: dict[str, Any] = {}
    ready = threading.Event()

    def ask(path: str, body: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        content = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, content, {"content-type": "application/json"})
        with contextlib.closing(connection), connection.getresponse() as answer:
            return answer.status, json.loads(answer.read())

    def call() -> None:
        try:
            assert ready.wait(PATIENCE_S)
            until(lambda: ask("/v2/health/ready")[0] == 200)
            seed = {"name": "seed", "datatype": "INT64", "shape": [2], "data": [0, 7]}
            facts["server"], facts["model"] = ask("/v2"), ask("/v2/models/fused")
            facts["answer"] = ask("/v2/models/fused/infer", {"inputs": [seed], "outputs": [{"name": "denoised"}]})
            facts["refused"] = ask("/v2/models/fused/infer", {"inputs": [{**seed, "shape": [3]}]})
            facts["missing"] = ask("/v2/models/other")
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    with acting(call):
        facts["signal"] = run_on_ray(Settings(threads=1), "127.0.0.1", port, (1, 1), False, ready.set)
    return facts


@contextlib.contextmanager
def acting(function: Callable[..., None], *arguments: Any) -> Iterator[None]:
    """A thread that calls the function during the block."""
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    yield
    thread.join()


PARTS = {"bulk": bulk, "command": command, "sweep": sweep, "serving": serving}


def main(folder: Path, parts: Sequence[str]) -> None:
    os.chdir(folder)
    start_loopback()
    facts: dict[str, Any] = {"nothing there": message(connect, "ray://127.0.0.1:1")}  # before Ray is imported
    with ray_cluster.connect("ray"):
        for part in parts or PARTS:
            before = time.monotonic()
            facts[part] = PARTS[part](Path())
            facts[part]["seconds"] = time.monotonic() - before
    until(lambda: not descendants())
    Path("facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

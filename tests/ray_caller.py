"""Use a Ray cluster of this machine: `ray_caller.py FOLDER`, in the environment of `make .ray/installed`.

Runs in a network namespace, since Ray listens on all interfaces. Writes what came out to facts.json in the folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gan_denoise import __version__, ray_cluster
from gan_denoise.errors import GanDenoiseError
from gan_denoise.export import runtime, shard_ray, shards
from gan_denoise.export.shard_job import Job, made_with
from gan_denoise.export.shards import write_shards
from gan_denoise.options import FileFormat

IMAGES, SHARDS = 600, 6
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
    deadline = time.monotonic() + 600
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def workers() -> list[int]:
    """The processes of tasks that run now in this cluster: they are descendants of this process."""
    parents, tasks = {}, []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if (process / "cmdline").read_bytes().startswith(b"ray::run"):
                tasks.append(int(process.name))
        except OSError:
            continue

    def is_ours(process: int) -> bool:
        return process == os.getpid() or (process in parents and is_ours(parents[process]))

    return [task for task in tasks if is_ours(task)]


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
        until(lambda: list((folder / "killed").glob("*.npz")))
        os.kill(workers()[0], signal.SIGKILL)
        seen.append(len(list((folder / "killed").glob("*.npz"))))

    write("local", on_cluster=False)
    write("one")
    write("two", 2)
    killer = threading.Thread(target=kill_one)
    killer.start()
    write("killed", 2)
    killer.join()
    facts: dict[str, Any] = {name: files(folder / name) for name in ("local", "one", "two", "killed")}
    facts["shards at the kill"] = seen
    job = Job(folder / "nowhere", 0, IMAGES, 64, None, shards.SHARD, FileFormat.npz)
    ours = made_with(graph, job)
    arguments = (shard_ray.make_on_node, graph, job, job.describe(graph), ours, [0], False)
    facts["unseen"] = message(lambda: ray_cluster.result(ray_cluster.submit(1, *arguments, cpus=1)[0]))
    shards.made_with = lambda graph, job: made_with(graph, job) | {"processor": "another"}
    facts["differs"] = message(write, "differs")
    facts["shards that differ"] = len(list((folder / "differs").glob("*.npz")))
    write("allowed", other_machine=True)
    facts["allowed"] = files(folder / "allowed")
    shards.made_with = made_with
    ray_cluster.__version__ = "0.0.1"
    facts["version"] = message(write, "version")
    ray_cluster.__version__ = __version__
    return facts


def main(folder: Path) -> None:
    start_loopback()
    with ray_cluster.connect("ray"):
        facts = {"bulk": bulk(folder)}
    (folder / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

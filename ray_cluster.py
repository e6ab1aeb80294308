"""Functions of the package as tasks on a Ray cluster, for the commands that take `--on`."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import platform
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gan_denoise import __version__
from gan_denoise.console import print_warning
from gan_denoise.errors import GanDenoiseError, InputError, UsageError, importing, one_line
from gan_denoise.machine import usable_cores

LOCAL = "ray"  # the value of --on that names no address
CLIENT = "ray://"
ADDRESS = "RAY_ADDRESS"  # Ray's own variable: the cluster that `ray` means
VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",  # report nothing to Ray's makers
    "RAY_COLOR_PREFIX": "0",  # no escape sequences in what it prints of lost tasks
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray's next default; it warns where there is none
}
CONNECT_S = 5.0  # to reach the port of a cluster
CANCEL_S = 20.0  # for cancelled tasks to end: what is killed later leaves a partial file to the next command
REPEAT_S = 5.0  # before tasks that have not ended are cancelled again


@dataclass(frozen=True, slots=True)
class Cluster:
    """A connected cluster: the processors of each node, and all GPUs."""

    cpus: tuple[int, ...]
    gpus: int

    def tasks(self, cpus: int) -> int:
        """How many tasks with so many processors run at once, 1 or more. Warns if no node has so many."""
        count = sum(node // cpus for node in self.cpus)
        if not count:
            largest = max(self.cpus, default=0)
            print_warning(f"warning: --threads {cpus}: no node has so many processors ({largest}); waiting for one")
        return max(1, count)


class Lost(Exception):
    """The process or the node of a task is gone, or the task was cancelled; the message says which."""


@contextlib.contextmanager
def connect(address: str) -> Iterator[Cluster]:
    """Connect to a cluster for the block, in which stdout is stderr.

    `ray` is the cluster of RAY_ADDRESS, or else one that lives as long as the block; ray://HOST:PORT is one by the
    port of its Ray Client server. Raises UsageError for another address, InputError if Ray is not installed or no
    cluster of its version answers.
    """
    where = parse_address(address)
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    if where == "local" and "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:  # it is read at the import
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    _reach(where)
    with importing("ray", "ray"):
        import ray
    new: dict[str, Any] = {"num_cpus": usable_cores(), "include_dashboard": False} if where == "local" else {}
    logging.getLogger("ray").setLevel(logging.ERROR)
    handler = signal.getsignal(signal.SIGTERM)  # Ray sets its own, with another exit code
    try:
        ray.init(where, log_to_driver=False, logging_level="ERROR", **new)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    except Exception as error:  # of many types, Exception itself among them
        ray.shutdown()
        reason = one_line(str(error).strip().partition("\n")[0])  # a page with tracebacks of Ray may follow
        raise InputError.expected("--on", f"a Ray cluster at {where}", reason, "--debug shows all of it") from error
    finally:
        signal.signal(signal.SIGTERM, handler)
    try:
        cpus, gpus = (tuple(int(node.get(name, 0)) for node in nodes) for name in ("CPU", "GPU"))
        with contextlib.redirect_stdout(sys.stderr):  # Ray prints what became of lost tasks
            yield Cluster(cpus, sum(gpus))
    finally:
        ray.shutdown()


def parse_address(text: str) -> str:
    """The address as `ray.init` takes it. Raises UsageError for others than `ray` and ray://HOST:PORT."""
    where = text if text != LOCAL else os.environ.get(ADDRESS) or "local"
    if text != LOCAL and not (text.startswith(CLIENT) and _host_and_port(text)):
        raise UsageError.expected("--on", f"{LOCAL} or {CLIENT}HOST:PORT", text)
    return where


def _host_and_port(where: str) -> tuple[str, int] | None:
    """Host and port of HOST:PORT or ray://HOST:PORT; None for other texts, such as `auto`."""
    host, _, port = where.removeprefix(CLIENT).rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isascii() and port.isdecimal() else None


def _reach(where: str) -> None:
    """Raise InputError if nothing listens at the address: Ray itself would try for half a minute, or abort."""
    if (place := _host_and_port(where)) is not None:
        try:
            socket.create_connection(place, timeout=CONNECT_S).close()
        except (OSError, OverflowError, UnicodeError) as error:
            hint = f"ray start --head starts one; {ADDRESS} and --on {CLIENT}HOST:PORT name it"
            raise InputError.expected("--on", f"a Ray cluster at {where}", one_line(error), hint) from error


# --- tasks --------------------------------------------------------------------------------------


def submit(count: int, function: Callable[..., Any], *arguments: Any, cpus: int, gpus: int = 0) -> list[Any]:
    """Start `count` tasks that call `function` with equal arguments; returns their references.

    A task has `cpus` processors and `gpus` GPUs of one node to itself. It runs in the working folder of this process,
    if its node has that. Ray does not try it again: `result` says that it is lost.
    """
    import ray

    version, folder = __version__, os.getcwd()

    def run(content: bytes) -> tuple[str, Any]:  # Ray sends its code, so that it runs where the package is missing
        import importlib

        try:
            found = importlib.import_module("gan_denoise").__version__
        except ImportError:
            found = "none"
        if found != version:
            return "version", found
        outcome: tuple[str, Any] = importlib.import_module("gan_denoise.ray_cluster").run_task(content, folder)
        return outcome

    content = ray.put(pickle.dumps((function, arguments)))
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(run)
    return [task.remote(content) for _ in range(count)]


def run_task(content: bytes, folder: str) -> tuple[str, Any]:
    """What a task does in its process: call the function; returns ("value", VALUE) or ("error", GanDenoiseError)."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # by which `cancel` acts; a shell's `&` has it ignored
    with contextlib.suppress(OSError):
        os.chdir(folder)
    try:
        function, arguments = pickle.loads(content)
        return "value", function(*arguments)
    except GanDenoiseError as error:
        return "error", error


def wait(tasks: Sequence[Any], seconds: float) -> tuple[list[Any], list[Any]]:
    """The tasks that have ended and those that have not, once one has or `seconds` have passed."""
    import ray

    ended, others = ray.wait(list(tasks), num_returns=1, timeout=seconds)
    return ended, others


def result(task: Any) -> Any:
    """What the function of an ended task returned. Raises its GanDenoiseError, InputError for a node with another
    version of the package, Lost.
    """
    import ray
    from ray import exceptions

    try:
        kind, value = ray.get(task)
    except exceptions.RayTaskError:  # an error of the program: its traceback names node and line
        raise
    except exceptions.RayError as error:
        raise Lost(one_line(error)) from error
    if kind == "version":
        hint = f'pip install "gan-denoise[ray]=={__version__}" on all nodes'
        raise InputError.expected("--on", f"gan-denoise {__version__} on all nodes", value, hint)
    if kind == "error":
        raise value
    return value


def cancel(tasks: Sequence[Any]) -> None:
    """Cancel tasks: KeyboardInterrupt is raised in those that run."""
    import ray

    for task in tasks:
        ray.cancel(task)


def cancel_and_wait(tasks: Sequence[Any]) -> None:
    """Cancel tasks and wait until all have ended, CANCEL_S at most.

    What has not ended after REPEAT_S is cancelled again: while a task imports a compiled module, the KeyboardInterrupt
    is lost. This happened once in 40 cancelled tasks.
    """
    import ray

    running, deadline = list(tasks), time.monotonic() + CANCEL_S
    while running and time.monotonic() < deadline:
        cancel(running)
        _, running = ray.wait(running, num_returns=len(running), timeout=REPEAT_S)


def node_name() -> str:
    """The name of the machine that a task runs on, for messages."""
    return platform.node()

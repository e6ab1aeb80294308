"""Run the command line in tests: in a fork of a warm process, or in a cold one where start-up is under test.

`run_command` and `start_command` run `gan-denoise ARGUMENTS` as a real process with its own id, signals, exit code and
streams, without the seconds that importing torch takes. Use COLD, a command for `subprocess`, to test what happens
before `main()`: imports, the encoding and colours of a terminal, limits of memory, system calls.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

COLD = [sys.executable, "-m", "gan_denoise.cli"]
FASTER: Mapping[str, object] = {  # constants that take most of the time of small trainings and measurements
    "eval.denoising.svr.SAMPLES": 400,
    "study.train.optim.STATISTICS_BATCHES": 2,
}
SERVER = Path(__file__).parent / "command_server.py"


def cold_command(constants: Mapping[str, object]) -> list[str]:
    """COLD with constants of modules set, by names such as `export.shards.SHARD`."""
    lines = ["import importlib"]
    for name, value in constants.items():
        module, _, constant = name.rpartition(".")
        lines.append(f"importlib.import_module('gan_denoise.{module}').{constant} = {value!r}")
    return [sys.executable, "-c", "\n".join([*lines, "from gan_denoise.cli import main", "main()"])]


class RunningCommand:
    """A running command; like `subprocess.Popen`, with streams that go to files."""

    def __init__(
        self,
        arguments: tuple[object, ...],
        cwd: Path | None,
        environment: Mapping[str, str] | None,
        constants: Mapping[str, object],
        new_session: bool,
    ) -> None:
        self.args = [*map(str, arguments)]
        self.returncode: int | None = None
        self._files: list[IO[bytes]] = [tempfile.TemporaryFile() for _ in ("stdout", "stderr")]  # noqa: SIM115
        request = {
            "arguments": self.args,
            "environment": dict(os.environ if environment is None else environment),
            "cwd": str(cwd or Path.cwd()),
            "constants": dict(constants),
            "new_session": new_session,
        }
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(server_socket())
        with Path(os.devnull).open("rb") as nothing:
            handles = [nothing.fileno(), *(file.fileno() for file in self._files)]
            socket.send_fds(self._connection, [json.dumps(request).encode()], handles)
        self._answers = self._connection.makefile()
        self.pid = int(self._answers.readline())

    def poll(self) -> int | None:
        """The exit code (minus the number of the signal that ended it), or None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float) -> int:
        """Wait for the exit code. Raises TimeoutExpired after `timeout` seconds."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout)
            self.returncode = os.waitstatus_to_exitcode(int(self._answers.readline()))
            self._texts = self._read()
            self._answers.close()
            self._connection.close()
            for file in self._files:
                file.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def output(self) -> tuple[str, str]:
        """The text on stdout and on stderr so far."""
        return self._texts if self.returncode is not None else self._read()

    def _read(self) -> tuple[str, str]:
        stdout, stderr = (os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode() for file in self._files)
        return stdout, stderr


def start_command(
    *arguments: object,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    constants: Mapping[str, object] | None = None,
    new_session: bool = False,
) -> RunningCommand:
    """Start `gan-denoise ARGUMENTS`; `environment` replaces the environment of this process.

    `constants`, and those of FASTER, are set before the command starts, by names such as `export.shards.SHARD`.
    """
    return RunningCommand(arguments, cwd, environment, {**FASTER, **(constants or {})}, new_session)


def run_command(
    *arguments: object,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    constants: Mapping[str, object] | None = None,
    check: bool = False,
    timeout: float = 240,
) -> subprocess.CompletedProcess[str]:
    """Run `gan-denoise ARGUMENTS` to its end; like `subprocess.run` with both streams captured as text."""
    process = start_command(*arguments, cwd=cwd, environment=environment, constants=constants)
    try:
        code = process.wait(timeout)
    except BaseException:
        process.kill()
        process.wait(10)
        raise
    done = subprocess.CompletedProcess(process.args, code, *process.output())
    if check:
        assert code == 0, f"{process.args}: {code}\n{done.stderr}"
    return done


@functools.cache
def server_socket() -> str:
    """Start the server of this process, which ends with it; returns the path of its socket."""
    folder = tempfile.TemporaryDirectory()
    path = f"{folder.name}/socket"
    # Threads that wait give their core to other tests: spinning, a training on two threads takes minutes here.
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    process = subprocess.Popen(
        [sys.executable, SERVER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"

    def stop() -> None:
        process.communicate()
        folder.cleanup()

    atexit.register(stop)
    return path

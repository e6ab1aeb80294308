"""Processes in which one system call fails or is interrupted by a kill, injected by strace."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest


class Straced:
    """A script that forks a child for each line of its stdin; the child stops itself, and strace injects the fault.

    The script prints the child's process id and, when the child has ended, its wait status.
    """

    def __init__(self, script: str) -> None:
        if shutil.which("strace") is None:
            pytest.skip("strace: not installed")
        command = [sys.executable, str(Path(__file__).parent / script)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def serve(self, line: str, call: str, fault: str, when: int) -> int:
        """The wait status of the child for `line`, with the `fault` injected into its `when`th `call`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(line, file=self.process.stdin, flush=True)
        child = int(self.process.stdout.readline())
        while Path(f"/proc/{child}/stat").read_text().split(")")[1].split()[0] != "T":
            pass
        inject = ["-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={when}"]
        strace = subprocess.Popen(["strace", "-p", str(child), *inject], stderr=subprocess.PIPE, text=True)
        assert strace.stderr is not None
        assert "attached" in strace.stderr.readline()
        os.kill(child, signal.SIGCONT)
        strace.communicate()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()

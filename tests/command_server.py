"""Run commands for `command_helpers`, each in a fork of this process, which has imported everything already.

The argument is the path of a socket. Each connection is one command: it sends arguments, environment and working folder
as JSON with three open files (stdin, stdout, stderr), and receives the process id and, at the end, the wait status.
No thread and no session is started before a fork. The server ends when its stdin is closed.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from typing import Any, NoReturn

OURS = (
    "study.train.dispatch",
    "study.pipeline",
    "study.report.build",
    "export.convert.bundle",
    "export.demo.site",
    "export.serve.server",
)
# What tables and reports import when they need it, and what torch.onnx.export does.
OTHERS = (
    "bm3d",
    "matplotlib.backends.backend_svg",
    "matplotlib.pyplot",
    "onnx",
    "onnx.reference",
    "onnxruntime",
    "onnxscript.function_libs.torch_lib.ops",
    "onnxscript.optimizer",
    "onnxscript.version_converter",
    "pywt",
    "rich.console",
    "rich.markdown",
    "scipy.ndimage",
    "skimage.restoration",
    "sklearn.mixture",
    "sklearn.svm",
    "torch._dynamo",
    "torch._inductor.decomposition",
    "torch.onnx._internal.exporter._compat",
    "torch.onnx._internal.exporter._torchlib.ops",
    "typer.main",
)


def main() -> None:
    preload()
    gc.collect()
    gc.freeze()  # a collection in a child would copy the memory that it shares with the server
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the tests
    print("ready", flush=True)
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            monitor(connection)
        connection.close()
        with contextlib.suppress(
            ChildProcessError
        ):  # the monitors that have ended; their time is added to the server's
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    os._exit(0)  # destroying all modules takes a second


def preload() -> None:
    """Import what commands import, and compute nothing: the threads of a pool would not be there after a fork."""
    for name in ("gan_denoise.cli", *(f"gan_denoise.{module}" for module in OURS), *OTHERS):
        importlib.import_module(name)


def monitor(connection: socket.socket) -> NoReturn:
    """Start the command in a child and send its process id and its wait status."""
    content, handles, _, _ = socket.recv_fds(connection, 1_000_000, 3)
    child = os.fork()
    if child == 0:
        connection.close()
        serve(json.loads(content), handles)
    for handle in handles:
        os.close(handle)
    connection.sendall(f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(BrokenPipeError):  # the test no longer waits for it
        connection.sendall(f"{status}\n".encode())
    os._exit(0)


def serve(request: dict[str, Any], handles: list[int]) -> NoReturn:
    """Run `gan-denoise` with the request's arguments, environment, working folder and files."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for target, handle in enumerate(handles):
        os.dup2(handle, target)
        os.close(handle)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.BufferedWriter(io.FileIO(number, "w", closefd=False)), "utf-8", errors)
        for number, errors in ((1, "strict"), (2, "backslashreplace"))
    )
    sys.stderr.reconfigure(line_buffering=True)
    if request["new_session"]:
        os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for name, value in request["constants"].items():
        module, _, constant = name.rpartition(".")
        setattr(importlib.import_module(f"gan_denoise.{module}"), constant, value)
    from gan_denoise import cli

    sys.argv = ["gan-denoise", *request["arguments"]]
    code: object = 0
    try:
        cli.main()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
        code = 1
    end_process(code)


def end_process(code: object) -> NoReturn:
    """End as the interpreter does, but without destroying the modules: that would copy the shared memory."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        code = 120
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()

"""Publish exports on demand: each line of stdin (a run, its export, a folder) starts a child, which stops itself.

Prints the child's process id, and its wait status when it has ended. The child publishes the graphs of the export, so
that a fault can hit only the writing, and ends with the exit code of the error.
"""

import os
import signal
import sys
from pathlib import Path

from gan_denoise.errors import GanDenoiseError
from gan_denoise.export.convert import bundle
from gan_denoise.export.run_folder import RunFolder


def main() -> None:
    for line in sys.stdin:
        run, exported, out = map(Path, line.split())
        graphs = {path.name: path.read_bytes() for path in sorted(exported.glob("*.onnx"))}
        child = os.fork()
        if child == 0:
            os._exit(publish(run, out, graphs))
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


def publish(run: Path, out: Path, graphs: dict[str, bytes]) -> int:
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        bundle._publish(bundle._find_networks(RunFolder(run), None), out, graphs)
    except GanDenoiseError as error:
        return error.exit_code
    return 0


if __name__ == "__main__":
    main()

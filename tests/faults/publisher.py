"""Publishes exports on demand: each line of stdin, a run, its export and a folder, is served by a stopped child.

Prints the child's process id, and when it has ended its wait status. The graphs are those of the export, so that what
a fault meets is the writing alone. The child ends with an error's exit code.
"""

import os
import signal
import sys
from pathlib import Path

from gan_denoise.errors import GanDenoiseError
from gan_denoise.export.convert import bundle


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
        bundle._publish(run, out, graphs)
    except GanDenoiseError as error:
        return error.exit_code
    return 0


if __name__ == "__main__":
    main()

"""A server for test_checkpoints: for each line of stdin, a folder, a forked child saves checkpoints there.

The child stops itself before the save under test and exits with the error's exit code. Prints the child's process id
and, when it has ended, its wait status.
"""

import os
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from gan_denoise.errors import GanDenoiseError, OutputError
from gan_denoise.study.run import checkpoint


def main() -> None:
    torch.set_num_threads(1)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(save_third(Path(line.strip())))
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


def save_third(folder: Path) -> int:
    """Save steps 1 and 2, stop, then save step 3, which deletes step 1; returns the exit code."""
    for step in (1, 2):
        checkpoint.save(folder, step, modules(step), {})
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        checkpoint.save(folder, 3, modules(3), {})
    except GanDenoiseError as error:
        return error.exit_code
    except OSError:  # the command line's exit code for it
        return OutputError.exit_code
    return 0


def modules(step: int) -> checkpoint.Modules:
    network = nn.Linear(32, 32)
    nn.init.constant_(network.weight, step)
    return {"network": network}


if __name__ == "__main__":
    main()

"""Saves checkpoints on demand: each line of stdin, a folder, is served by a child that stops before it saves.

Prints the child's process id, and when it has ended its wait status. The child ends with an error's exit code.
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
    """The checkpoints of steps 1 and 2, then a stop, then that of step 3, for which the first has to go."""
    for step in (1, 2):
        checkpoint.save(folder, step, modules(step), {})
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        checkpoint.save(folder, 3, modules(3), {})
    except GanDenoiseError as error:
        return error.exit_code
    except OSError:  # the front door's exit code for what no command expected
        return OutputError.exit_code
    return 0


def modules(step: int) -> checkpoint.Modules:
    network = nn.Linear(32, 32)
    nn.init.constant_(network.weight, step)
    return {"network": network}


if __name__ == "__main__":
    main()

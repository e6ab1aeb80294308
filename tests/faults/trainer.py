"""A training server for test_kill_resume: for each line of stdin, a folder, a forked child trains or resumes there.

Prints the child's process id and, when it has ended, its wait status. Forking saves the time of the imports.
"""

import dataclasses
import os
import sys
from pathlib import Path

import torch
import torch._dynamo  # optimizers import it, which takes seconds

from gan_denoise.data import fashion_mnist
from gan_denoise.study.config import RunOptions
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.train import optim
from gan_denoise.study.train.dispatch import is_finished, train

EXCERPT = Path(__file__).parents[1] / "excerpt"
OPTIONS = RunOptions(threads=1, resume=True)


def main() -> None:
    torch.set_num_threads(1)
    optim.STATISTICS_BATCHES = 2  # else most of the time
    data, preset = fashion_mnist.read_dataset(EXCERPT, "excerpt", checked=False), PRESETS["smoke-best"]
    assert preset.joint is not None
    small = dataclasses.replace(preset.joint, denoising_batch=4)
    stages = [
        dataclasses.replace(stage, batch=4, epochs=3, images=64) for stage in (preset.gan, preset.denoiser, small)
    ]
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            for stage in stages:
                if not is_finished(stage, Path(line.strip()), OPTIONS):
                    train(stage, data, Path(line.strip()), OPTIONS)
            os._exit(0)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main()

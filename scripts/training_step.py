"""Times training steps of one of our stages and prints JSON, for scripts/benchmarks.py: a process for each timing."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.optim import Adam
from torch.utils.flop_counter import FlopCounterMode

from gan_denoise.study.config import BlindDenoiserConfig, ConditionalGanConfig, GanConfig, RunOptions
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.run.device import on_device, prepare_torch, training_precision
from gan_denoise.study.train.blind_denoiser import blind_step, network
from gan_denoise.study.train.conditional_gan import build_discriminator, build_generator, pair_step
from gan_denoise.study.train.gan import gan_step, networks
from gan_denoise.study.train.joint import Optimizers, joint_step, start
from gan_denoise.study.train.optim import update_ema

EVERY = 16  # steps between gradient penalties: timings are over whole rounds of them
SIDE = 1024  # of the matrices whose product stands for what the processor can do

Step = Callable[[int], object]


def main() -> None:
    """Warm up for a round, count the operations of another, then time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], required=True)
    parser.add_argument("--seconds", type=float, required=True)
    asked = parser.parse_args()
    options = RunOptions(threads=asked.threads, precision=asked.precision, device="cpu")
    device = prepare_torch(options)
    step, batch = STAGES[asked.stage]()
    with training_precision(device, options):
        _round(step)
        counter = FlopCounterMode(display=False)
        counter.mod_tracker = _NoModules()
        with counter:
            _round(step)
        begin, rounds = time.perf_counter(), 0
        while time.perf_counter() - begin < asked.seconds:
            _round(step)
            rounds += 1
    taken = (time.perf_counter() - begin) / rounds
    found = {
        "images_per_s": EVERY * batch / taken,
        "gflops": counter.get_total_flops() / taken / 1e9,
        "sgemm_gflops": _sgemm(),
    }
    print(json.dumps(found))


class _NoModules(contextlib.nullcontext[None]):
    """In place of what tells modules apart, whose hooks refuse gradients of gradients."""

    parents = frozenset({"Global"})


def _round(step: Step) -> None:
    for i in range(EVERY):
        step(i)


def _sgemm() -> float:
    """GFLOP/s of torch's own product of two float32 matrices."""
    a, b = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    times = []
    for _ in range(50):
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return 2 * SIDE**3 / sorted(times)[25] / 1e9


def _paper() -> tuple[Step, int]:
    config = PRESETS["paper"].gan
    assert isinstance(config, GanConfig)
    generator, discriminator = (on_device(part, torch.device("cpu")) for part in networks(config))
    adams = [
        Adam(part.parameters(), config.learning_rate, (config.beta1, 0.999)) for part in (generator, discriminator)
    ]
    real = torch.rand(config.batch, 1, 28, 28)

    def step(_: int) -> None:
        gan_step(generator, discriminator, *adams, real, torch.randn(config.batch, config.latent_size))

    return step, config.batch


def _best_gan() -> tuple[Step, int]:
    config = PRESETS["best"].gan
    assert isinstance(config, ConditionalGanConfig)
    generator = on_device(build_generator(config), torch.device("cpu"))
    discriminator = on_device(build_discriminator(config), torch.device("cpu"))
    averaged = on_device(build_generator(config), torch.device("cpu")).requires_grad_(False)
    adams = [Adam(part.parameters(), config.learning_rate) for part in (generator, discriminator)]
    real, label = torch.rand(config.batch, 1, 28, 28), torch.arange(config.batch) % 10

    def step(i: int) -> None:
        penalty = config.penalty * config.penalty_interval if i % config.penalty_interval == 0 else 0.0
        pair_step(generator, discriminator, *adams, real, label, torch.randn(config.batch, config.latent_size), penalty)
        update_ema(averaged, generator, config.batch, config.ema_half_life_images)

    return step, config.batch


def _best_denoiser() -> tuple[Step, int]:
    config = PRESETS["best"].denoiser
    assert isinstance(config, BlindDenoiserConfig)
    denoiser = on_device(network(config.network), torch.device("cpu"))
    adam = Adam(denoiser.parameters(), config.learning_rate)
    clean = torch.rand(config.batch, 1, 28, 28)
    return (lambda _: blind_step(denoiser, adam, clean, config)), config.batch


def _best_join() -> tuple[Step, int]:
    config = PRESETS["best"].join
    assert config is not None
    system = start(dataclasses.replace(config, from_scratch=True), Path())
    adams = Optimizers(*(Adam(on_device(part, torch.device("cpu")).parameters(), 1e-4) for part in system))
    real, label = torch.rand(config.batch, 1, 28, 28), torch.arange(config.batch) % 10

    def step(i: int) -> None:
        z = torch.randn(config.batch, config.gan.latent_size)
        joint_step(system, adams, real, label, z, config, i % config.gan.penalty_interval == 0)

    return step, config.batch


STAGES: dict[str, Callable[[], tuple[Step, int]]] = {
    "paper gan": _paper,
    "best gan": _best_gan,
    "best denoiser": _best_denoiser,
    "best join": _best_join,
}

if __name__ == "__main__":
    main()

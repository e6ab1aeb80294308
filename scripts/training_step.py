"""Time training steps of one stage and print JSON, for scripts/benchmarks.py, which starts a process per timing."""

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

from gan_denoise.export.run_folder import RunFolder
from gan_denoise.study.config import BlindDenoiserConfig, ConditionalGanConfig, GanConfig, RunOptions
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.run.device import on_device, prepare_torch, training_precision
from gan_denoise.study.train.blind_denoiser import blind_step, build_denoiser
from gan_denoise.study.train.conditional_gan import build_discriminator, build_generator, pair_step
from gan_denoise.study.train.gan import build_networks, gan_step
from gan_denoise.study.train.image_shape import scale_config
from gan_denoise.study.train.joint import Optimizers, initial_model, joint_step
from gan_denoise.study.train.optim import update_ema

ROUND = 16  # steps: the interval of gradient penalties, so each round has the same cost
MATRIX_SIDE = 1024  # of the SGEMM that measures the peak of the processor

Step = Callable[[int], object]


def main() -> None:
    """Warm up for a round, count the operations of the next, then time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--size", type=int, default=28, help="pixels a side, of preset best")
    parser.add_argument("--channels", type=int, default=1, help="of preset best")
    arguments = parser.parse_args()
    options = RunOptions(threads=arguments.threads, precision=arguments.precision, device="cpu")
    device = prepare_torch(options)
    step, batch = STAGES[arguments.stage](arguments.size, arguments.channels)
    with training_precision(device, options):
        _round(step)
        counter = FlopCounterMode(display=False)
        counter.mod_tracker = _NoModules()  # type: ignore[assignment]
        with counter:
            _round(step)
        begin, rounds = time.perf_counter(), 0
        while time.perf_counter() - begin < arguments.seconds:
            _round(step)
            rounds += 1
    round_s = (time.perf_counter() - begin) / rounds
    result = {
        "images_per_s": ROUND * batch / round_s,
        "gflops": counter.get_total_flops() / round_s / 1e9,
        "sgemm_gflops": _sgemm_gflops(),
    }
    print(json.dumps(result))


class _NoModules(contextlib.nullcontext[None]):
    """Replaces the module tracker of FlopCounterMode, whose hooks do not support second derivatives."""

    parents = frozenset({"Global"})


def _round(step: Step) -> None:
    for i in range(ROUND):
        step(i)


def _sgemm_gflops() -> float:
    """GFLOP/s of a product of two float32 matrices in torch, the median of 50."""
    a, b = torch.rand(MATRIX_SIDE, MATRIX_SIDE), torch.rand(MATRIX_SIDE, MATRIX_SIDE)
    times = []
    for _ in range(50):
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return 2 * MATRIX_SIDE**3 / sorted(times)[25] / 1e9


def _paper(size: int, channels: int) -> tuple[Step, int]:
    config = PRESETS["paper"].gan
    assert isinstance(config, GanConfig)
    networks = build_networks(config, size=size, channels=channels)
    generator, discriminator = (on_device(network, torch.device("cpu")) for network in networks)
    betas = (config.beta1, 0.999)
    generator_adam, discriminator_adam = (
        Adam(network.parameters(), config.learning_rate, betas) for network in (generator, discriminator)
    )
    real = torch.rand(config.batch, channels, size, size)

    def step(_: int) -> None:
        z = torch.randn(config.batch, config.latent_size)
        gan_step(generator, discriminator, generator_adam, discriminator_adam, real, z)

    return step, config.batch


def _best_gan(size: int, channels: int) -> tuple[Step, int]:
    config = scale_config(PRESETS["best"].gan, size)
    assert isinstance(config, ConditionalGanConfig)
    image_kwargs = {"size": size, "channels": channels}
    generator = on_device(build_generator(config, **image_kwargs), torch.device("cpu"))
    discriminator = on_device(build_discriminator(config, **image_kwargs), torch.device("cpu"))
    ema_generator = on_device(build_generator(config, **image_kwargs), torch.device("cpu")).requires_grad_(False)
    generator_adam, discriminator_adam = (
        Adam(network.parameters(), config.learning_rate) for network in (generator, discriminator)
    )
    real, label = torch.rand(config.batch, channels, size, size), torch.arange(config.batch) % 10

    def step(i: int) -> None:
        penalty = config.penalty * config.penalty_interval if i % config.penalty_interval == 0 else 0.0
        z = torch.randn(config.batch, config.latent_size)
        pair_step(generator, discriminator, generator_adam, discriminator_adam, real, label, z, penalty)
        update_ema(ema_generator, generator, config.batch, config.ema_half_life_images)

    return step, config.batch


def _best_denoiser(size: int, channels: int) -> tuple[Step, int]:
    config = PRESETS["best"].denoiser
    assert isinstance(config, BlindDenoiserConfig)
    denoiser = on_device(build_denoiser(config.network, channels), torch.device("cpu"))
    adam = Adam(denoiser.parameters(), config.learning_rate)
    clean = torch.rand(config.batch, channels, size, size)
    return (lambda _: blind_step(denoiser, adam, clean, config)), config.batch


def _best_joint(size: int, channels: int) -> tuple[Step, int]:
    config = PRESETS["best"].joint
    assert config is not None
    config = dataclasses.replace(scale_config(config, size), from_scratch=True)
    model = initial_model(config, RunFolder(Path()), size=size, channels=channels)
    optimizers = Optimizers(*(Adam(on_device(network, torch.device("cpu")).parameters(), 1e-4) for network in model))
    real, label = torch.rand(config.batch, channels, size, size), torch.arange(config.batch) % 10

    def step(i: int) -> None:
        z = torch.randn(config.batch, config.gan.latent_size)
        joint_step(model, optimizers, real, label, z, config, i % config.gan.penalty_interval == 0)

    return step, config.batch


STAGES: dict[str, Callable[[int, int], tuple[Step, int]]] = {
    "paper gan": _paper,
    "best gan": _best_gan,
    "best denoiser": _best_denoiser,
    "best joint": _best_joint,
}

if __name__ == "__main__":
    main()

"""Print the table of growth in docs/data.md: images/s of preset best at 28, 32, 64 and 128 pixels a side.

`python scripts/growth.py` on an idle machine (10 minutes up to 64 pixels, 20 more for 128): one thread, a process for
each training; the generator and the denoiser as onnxruntime runs them, 64 images a call. The networks are untrained:
their weights do not change the time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from gan_denoise.data.images import ArrayF32
from gan_denoise.export import latents
from gan_denoise.export.convert.fuse import fuse
from gan_denoise.export.convert.to_onnx import to_onnx
from gan_denoise.export.runtime import DENOISER, FUSED, GENERATOR, Graph
from gan_denoise.machine import busy_cores, computes_bfloat16, load_warning, machine_name, usable_cores
from gan_denoise.markdown import markdown_table
from gan_denoise.study.config import BlindDenoiserConfig, ConditionalGanConfig
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.train.blind_denoiser import build_denoiser
from gan_denoise.study.train.conditional_gan import build_generator
from gan_denoise.study.train.image_shape import scale_config

STEP = Path(__file__).with_name("training_step.py")
IMAGES = ((28, 1), (32, 3), (64, 3), (128, 3))  # pixels a side, channels
STAGES = {"best gan": "GAN", "best denoiser": "denoiser", "best joint": "joint"}
BATCH, ROUNDS = 64, 9
MILLION = 1_000_000


def main() -> None:
    """Measure size after size; the training stages first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8, help="of each training")
    parser.add_argument("--largest", type=int, default=128, help="pixels a side of the largest images")
    arguments = parser.parse_args()
    precision = "bfloat16" if computes_bfloat16() else "float32"
    warning = load_warning(busy_cores(), usable_cores())
    images = [(size, channels) for size, channels in IMAGES if size <= arguments.largest]
    rows = []
    for size, channels in images:
        rows.append(_row(size, channels, precision, arguments.seconds))
        print(rows[-1], file=sys.stderr)  # in case it is stopped
    print(f"{machine_name()}; training in {precision}. {warning or ''}\n")
    print(markdown_table(list(rows[0]), [list(row.values()) for row in rows]))


def _row(size: int, channels: int, precision: str, seconds: float) -> dict[str, str]:
    """One line of the table: images/s, and the size of the fused graph."""
    training = {
        f"train {name}": _training_speed(stage, size, channels, precision, seconds) for stage, name in STAGES.items()
    }
    models = _models(size, channels)
    generator, denoiser, fused = (
        Graph(model, signature, signature.file, threads=1)
        for model, signature in zip(models, (GENERATOR, DENOISER, FUSED), strict=True)
    )
    z = latents.latents(0, 0, BATCH, generator.input_shape[0])
    pixels = np.random.default_rng(0).random((BATCH, channels, size, size), dtype=np.float32)
    return {
        "images": f"{size}x{size} {'grey' if channels == 1 else 'colour'}",
        **{name: f"{speed:,.0f}" for name, speed in training.items()},
        "generate": f"{_speed(generator, z):,.0f}",
        "denoise": f"{_speed(denoiser, pixels):,.0f}",
        "fused": f"{_speed(fused, z):,.0f}",
        "fused graph": f"{len(models[-1]) / MILLION:.1f} MB",
    }


def _training_speed(stage: str, size: int, channels: int, precision: str, seconds: float) -> float:
    shape = ("--size", str(size), "--channels", str(channels))
    command = [sys.executable, str(STEP), stage, "--threads", "1", "--precision", precision, *shape]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [*command, "--seconds", str(seconds)], env=environment, capture_output=True, text=True, check=True
    )
    return float(json.loads(run.stdout)["images_per_s"])


def _models(size: int, channels: int) -> list[bytes]:
    """The graphs generator, denoiser and fused of preset best for these images, untrained."""
    gan, denoiser = scale_config(PRESETS["best"].gan, size), PRESETS["best"].denoiser
    assert isinstance(gan, ConditionalGanConfig)
    assert isinstance(denoiser, BlindDenoiserConfig)
    torch.manual_seed(0)
    generator = to_onnx(build_generator(gan, size=size, channels=channels).eval(), GENERATOR, (gan.latent_size,))
    unet = to_onnx(build_denoiser(denoiser.network, channels).eval(), DENOISER, (channels, size, size))
    return [model.SerializeToString() for model in (generator, unet, fuse(generator, unet))]


def _speed(graph: Graph, samples: ArrayF32) -> float:
    """Images/s, the median of several calls after one that is not timed."""
    graph(samples)
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        graph(samples)
        times.append(time.perf_counter() - start)
    return len(samples) / statistics.median(times)


if __name__ == "__main__":
    main()

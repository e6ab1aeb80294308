"""Device, threads, precision and memory settings of PyTorch for a training run."""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import TypeVar

import torch
from torch import nn

from gan_denoise.console import print_status
from gan_denoise.errors import InputError
from gan_denoise.machine import computes_bfloat16
from gan_denoise.study.config import RunOptions
from gan_denoise.study.run import ranks

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # constants of malloc.h; the second is at most 32 MiB
Network = TypeVar("Network", bound=nn.Module)


def pick_device(name: str) -> torch.device:
    """The torch device for `auto`, `cpu` or `cuda`. Raises InputError for `cuda` without a GPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError.expected("--device", "a usable CUDA GPU", "none", "--device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def usable_gpus(device: str) -> list[str]:
    """The GPUs for `--device device` as CUDA_VISIBLE_DEVICES names them. Raises InputError as `pick_device` does."""
    if pick_device(device).type == "cpu":
        return []
    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [str(i) for i in range(count)] if visible is None else [name.strip() for name in visible.split(",")][:count]


def prepare_torch(options: RunOptions) -> torch.device:
    """Set threads, deterministic kernels and memory reuse; returns the device."""
    device = pick_device(options.device)
    _keep_memory()
    torch.set_num_threads(ranks.threads(options.threads))
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    return device


def _keep_memory() -> None:
    """Make glibc keep freed memory: to allocate it again takes a tenth of a step. No effect on other C libraries."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((M_MMAP_THRESHOLD, 32 * 1024**2), (M_TRIM_THRESHOLD, 2**31 - 1)):
            mallopt(parameter, value)


def warn_slow_bfloat16(options: RunOptions) -> None:
    """Print a warning if bfloat16 is chosen on a CPU that emulates it."""
    on_cpu = pick_device(options.device).type == "cpu"
    if on_cpu and options.precision == "bfloat16" and computes_bfloat16() is False:
        print_status("warning: this CPU has no native bfloat16; about 10x slower than float32")


def training_precision(device: torch.device, options: RunOptions) -> torch.autocast:
    """The autocast context of a training step: bfloat16 or, disabled, float32."""
    half = options.precision == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, half, cache_enabled=False)  # weights change within a step


def on_device(network: Network, device: torch.device) -> Network:
    """The network on `device` with channels-last weights, which is faster on CPU and GPU."""
    return network.to(device).to(memory_format=torch.channels_last)

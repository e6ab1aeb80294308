"""The processes that torchrun started for one training, called ranks: each computes a part of the rows of a batch.

Rank r of n has the rows r, r + n, r + 2n ... All ranks draw the random numbers of the whole batch, and average
gradients and scalars, so they take the same steps as one process, up to rounding. Without torchrun there is one rank,
and no function here changes anything.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from gan_denoise.console import set_quiet
from gan_denoise.errors import GanDenoiseError, InputError, OutputError, UsageError
from gan_denoise.machine import torchrun_count, torchrun_local, usable_cores

Value = TypeVar("Value")
FAILED = "failed"  # key in the store that all ranks share: the exit code of the first that failed


def count() -> int:
    """The number of ranks."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def index() -> int:
    """The number of this rank, from 0."""
    return dist.get_rank() if count() > 1 else 0


def is_first() -> bool:
    """Whether this rank is the one that locks, logs, saves and prints."""
    return index() == 0


def threads(chosen: int) -> int:
    """The threads of this rank: those that were chosen, or for 0 an equal part of the machine's cores."""
    return chosen or max(1, usable_cores() // (torchrun_local()[1] if count() > 1 else 1))


@contextlib.contextmanager
def joined(device: str) -> Iterator[None]:
    """Connect to the other processes of torchrun, if any, for the block; `device` as in RunOptions.

    CPUs talk by gloo, GPUs by NCCL, where each rank uses the GPU of its LOCAL_RANK. An error is raised in the rank that
    met it first; the others, which cannot continue, raise SystemExit with the same exit code and print nothing.
    """
    if torchrun_count() == 1:
        yield
        return
    store, rank, size = next(iter(rendezvous("env://")))
    store = PrefixStore(f"gan-denoise/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    on_gpu = device != "cpu" and torch.cuda.is_available()
    try:
        if on_gpu:
            _choose_gpu()
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", store=store, rank=rank, world_size=size)
        if rank:
            set_quiet(True)
        yield
    except GanDenoiseError as error:
        failed, code = _first_failure(store, rank, error.exit_code)
        if failed != rank:
            raise SystemExit(code) from error
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _first_failure(store: Store, rank: int, code: int) -> tuple[int, int]:
    """Which rank failed first, and its exit code; this one if the others cannot be asked."""
    with contextlib.suppress(RuntimeError):
        first = store.compare_set(FAILED, "", f"{rank} {code}").decode()
        failed, code = map(int, first.split())
        return failed, code
    return rank, code


def _choose_gpu() -> None:
    local, local_count = torchrun_local()
    if local_count > torch.cuda.device_count():
        hint = f"--nproc-per-node {torch.cuda.device_count()}, or --device cpu"
        raise InputError.expected("GPUs", f"one for each of {local_count} processes", torch.cuda.device_count(), hint)
    torch.cuda.set_device(local)


# --- the rows of a batch ------------------------------------------------------------------------


def rows(*batches: Tensor) -> tuple[Tensor, ...]:
    """This rank's rows of each batch. Concatenated, they are its rows of the concatenated batches."""
    return batches if count() == 1 else tuple(batch[index() :: count()].contiguous() for batch in batches)


def as_whole_batch(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`function(x)` for a function that treats each row by random numbers of its own: those of the whole batch.

    It is computed for all rows, with zeros in place of those of other ranks, so it must not mix rows.
    """
    strides = (x[0].numel(), *x.stride()[1:])  # the memory order of x, in which masks are drawn
    whole = x.new_empty_strided((count() * len(x), *x.shape[1:]), strides).zero_()
    whole[index() :: count()] = x
    return function(whole)[index() :: count()]


def check_divisible(field: str, value: int, option: str) -> None:
    """Raises UsageError if the ranks cannot have equal parts of `value` rows; `option` and a number set it."""
    if value % count():
        expected = f"a multiple of {count()}, the number of processes"
        raise UsageError.expected(field, expected, value, f"{option}{max(value // count(), 1) * count()}")


# --- what the ranks tell each other -------------------------------------------------------------


def average_gradients(parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
    """Replace the gradients by their means over the ranks, in one exchange; returns the mean of the loss."""
    if count() == 1:
        return loss
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([part.detach().reshape(-1) for part in (loss, *gradients)])
    average(flat)
    means = torch.split(flat, [1, *(gradient.numel() for gradient in gradients)])
    for gradient, mean in zip(gradients, means[1:], strict=True):
        gradient.copy_(mean.view_as(gradient))
    return means[0]


def average(values: Tensor) -> Tensor:
    """The means of `values` over the ranks, in place."""
    if count() > 1:
        with _lost_rank():
            dist.all_reduce(values)
        values /= count()
    return values


def gather(values: Tensor) -> Tensor:
    """The `values` (...) of all ranks, (ranks, ...)."""
    all_values = [torch.empty_like(values) for _ in range(count())]
    with _lost_rank():
        dist.all_gather(all_values, values)
    return torch.stack(all_values)


def largest(number: int) -> int:
    """The largest `number` of all ranks."""
    if count() == 1:
        return number
    numbers = torch.tensor(number)
    with _lost_rank():
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
    return int(numbers)


def from_first(function: Callable[[], Value]) -> Value:
    """What `function` returns in the first rank; it is not called in the others."""
    if count() == 1:
        return function()
    values = [function() if is_first() else None]
    with _lost_rank():
        dist.broadcast_object_list(values)
    return values[0]  # type: ignore[return-value]


def check_same(facts: dict[str, Any]) -> None:
    """Raises InputError if this rank has other `facts` than the first one."""
    for name, value in from_first(lambda: facts).items():
        if facts.get(name) != value:
            hint = "give all processes the same code, data and options"
            raise InputError.expected(f"process {index()}: {name}", value, facts.get(name), hint)


def wait() -> None:
    """Wait until all ranks are here."""
    largest(0)


@contextlib.contextmanager
def _lost_rank() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # of gloo and NCCL; they have no class of their own
        hint = "its own message says why; the same command with --resume continues from the last checkpoint"
        raise OutputError("another process of this training ended, or cannot be reached", hint) from error

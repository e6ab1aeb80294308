"""`--provider auto`: take another provider than the CPU for a graph if a trial shows that it agrees and is faster."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_denoise.console import print_status
from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import InputError
from gan_denoise.export import runtime
from gan_denoise.export.latents import latents
from gan_denoise.export.providers import installed_providers, warn_of_packages
from gan_denoise.export.runtime import Graph, Signature
from gan_denoise.options import BATCH, Provider

TOLERANCE = 1e-4  # the largest difference of an output from the CPU's; a level of 8 bits is 3.9e-3
FASTER = 0.9  # the largest time of a call, as a fraction of the CPU's
BATCHES = (1, BATCH)  # samples of the calls that are compared; the last one is timed
SIDES = (64, 256)  # of the image instead, where a graph takes images of any size
ROUNDS = 5
PAUSE_S = 0.1  # between two turns: the CPU's threads wait for work by spinning

Report = Callable[[str], object]


class Trial(NamedTuple):
    """The first calls of a provider: the largest difference from the CPU's outputs, and its time as a fraction."""

    difference: float
    relative_time: float

    @property
    def is_accepted(self) -> bool:
        """Whether `auto` takes it; NaN is refused."""
        return self.difference <= TOLERANCE and self.relative_time <= FASTER

    def __str__(self) -> str:
        return (
            f"largest difference {self.difference:.1e}, limit {TOLERANCE:.0e}; "
            f"{self.relative_time:.2f} of the CPU's time, limit {FASTER:g}"
        )


def load_for(
    provider: Provider,
    signature: Signature,
    path: Path | None = None,
    threads: int = 0,
    report: Report = print_status,
) -> Graph:
    """The graph of `load_graph`, as `choose_graph` makes it. Raises InputError as `load_graph` does."""
    return choose_graph(provider, partial(runtime.load_graph, signature, path, threads), report)


def choose_graph(provider: Provider, make: Callable[[Provider], Graph], report: Report = print_status) -> Graph:
    """The graph that `make` makes for the provider, which `report` is told unless it is `cpu`.

    With `auto` that is the fastest provider whose trial is accepted, else the CPU. The trial is repeated at each call:
    a choice that was remembered would outlive a driver, and an hour in which the machine was busy. Several packages of
    onnxruntime are named on stderr. Raises what `make` raises.
    """
    if provider is not Provider.cpu:
        warn_of_packages()
    if provider is Provider.auto:
        return _try_all(make, report)
    graph = make(provider)
    if provider is not Provider.cpu:
        report(f"provider: {provider} for {graph.name}")
    return graph


def run_trial(cpu: Graph, other: Graph) -> Trial:
    """Compare the outputs and the times of two graphs, in turns, on the same samples."""
    inputs = _trial_inputs(cpu)
    differences = [0.0]
    for samples in inputs:  # also warms both up
        for expected, actual in zip(cpu(samples), other(samples), strict=True):
            differences.append(float(np.abs(expected - actual).max()))
    pairs = [[_time_call(graph, inputs[-1]) for graph in (other, cpu)] for _ in range(ROUNDS)]
    seconds, cpu_seconds = np.min(pairs, axis=0)  # the fastest call of each: the others were held up
    return Trial(float(np.max(differences)), float(seconds / cpu_seconds))  # Python's max would lose a NaN


def _try_all(make: Callable[[Provider], Graph], report: Report) -> Graph:
    cpu = make(Provider.cpu)
    trials: dict[Graph, Trial] = {}
    notes = []
    for provider in installed_providers():
        try:
            graph = make(provider)
            trials[graph] = run_trial(cpu, graph)
        except InputError as error:
            notes.append(f"{provider}: {error.message}")
        else:
            notes.append(f"{provider}: {trials[graph]}")
    accepted = [graph for graph, trial in trials.items() if trial.is_accepted]
    chosen = min(accepted, key=lambda graph: trials[graph].relative_time, default=cpu)
    report(f"provider: {chosen.provider} for {chosen.name} ({'; '.join(notes) or 'onnxruntime has no other'})")
    return chosen


def _trial_inputs(graph: Graph) -> list[ArrayF32]:
    """Samples of fixed latents: z, or as an image grey with noise."""
    shape = graph.input_shape
    shapes: list[tuple[int, ...]] = [(batch, *shape) for batch in BATCHES]
    if graph.has_any_size:
        sides = [graph.multiple * math.ceil(side / graph.multiple) for side in SIDES]
        shapes = [(1, shape[0], side, side) for side in sides]
    normal = [latents(0, 0, count, math.prod(sides)).reshape(count, *sides) for count, *sides in shapes]
    return normal if len(shape) == 1 else [(0.5 + 0.25 * samples).astype(np.float32) for samples in normal]


def _time_call(graph: Graph, samples: ArrayF32) -> float:
    time.sleep(PAUSE_S)
    start = time.perf_counter()
    graph(samples)
    return time.perf_counter() - start

"""Measure docs/providers.md: the processor time an image on each provider, `provider_speed.py NAME...`, a process each.

A name is one of `--provider`, or `latency` and `own` for OpenVINO itself in float32 and at its own precision. It
needs no idle machine: of the calls of all rounds the fastest is taken, in processor time on one thread.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np

from gan_denoise.eval.bench.backends import load_pipeline
from gan_denoise.eval.labels import FUSED, LATENCY, OWN_PRECISION
from gan_denoise.export.latents import latents
from gan_denoise.export.providers import runtime_version
from gan_denoise.export.runtime import FUSED as FUSED_GRAPH
from gan_denoise.export.runtime import load_graph
from gan_denoise.options import BATCH, Provider

OPENVINO = {"latency": LATENCY, "own": OWN_PRECISION}
ROUNDS, CALLS, WARM_UP = 3, 12, 2


def main(names: list[str]) -> None:
    """Print a line for each name."""
    best: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name in names:
            done = subprocess.run([sys.executable, __file__, "--one", name], capture_output=True, text=True, check=True)
            best.setdefault(name, []).append(json.loads(done.stdout))
    print(f"onnxruntime: {runtime_version()}; ms an image at batch {BATCH}, largest difference from the CPU")
    for name, results in best.items():
        times, differences = zip(*results, strict=True)
        print(f"{name}: {min(times):.3f} {max(differences):.1e}")


def measure(name: str) -> tuple[float, float]:
    """The least milliseconds of processor time an image, and the largest difference from the CPU."""
    title, provider = (OPENVINO[name], Provider.cpu) if name in OPENVINO else (FUSED, Provider(name))
    pipeline = load_pipeline(title, None, 1, provider)
    z = latents(0, 0, BATCH)
    seconds = []
    for _ in range(WARM_UP + CALLS):
        start = time.process_time()
        outputs = pipeline(z)
        seconds.append(time.process_time() - start)
    expected = load_graph(FUSED_GRAPH, threads=1)(z)
    differences = [float(np.abs(a - b).max()) for a, b in zip(outputs, expected, strict=True)]
    return 1000 * min(seconds[WARM_UP:]) / BATCH, max(differences)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2])))
    else:
        main(sys.argv[1:] or ["cpu"])

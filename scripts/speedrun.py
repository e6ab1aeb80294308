"""`make speedrun`: time the training that reaches the FFD-1 of preset `paper`; prints a line for docs/speedrun.md.

Times the whole command, from its start to the weights on disk, on an idle machine. The result is the mean of five
seeds. The recipe was chosen on held-out images (`study compare` without `--test`).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gan_denoise.data import sources
from gan_denoise.eval.metrics.confidence import Interval, mean_interval
from gan_denoise.machine import busy_cores, cpu_name, load_warning

PROGRAM = str(Path(sys.executable).parent / "gan-denoise")
TARGET = 0.716  # FFD-1, raw, of the first published run of preset `paper`; fixed, so that records stay comparable
SEEDS = 5


def main() -> None:
    """Train, measure, print; exit code 1 if the mean FFD-1 is above the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", default="speedrun", help="an experiment of `study experiment` with a generator")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], required=True)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    arguments = parser.parse_args()
    cores = os.cpu_count() or 1
    sources.load_fashion_mnist()
    if warning := load_warning(busy_cores(), cores):
        raise SystemExit(warning)
    with tempfile.TemporaryDirectory() as folder:
        common = ["--threads", str(cores), "--precision", arguments.precision, "--out", folder]
        seconds = [
            _seconds([PROGRAM, "study", "experiment", arguments.experiment, "--seed", str(seed), *common])
            for seed in range(arguments.seeds)
        ]
        distances = _distances([f"{folder}/{arguments.experiment}-{seed}" for seed in range(arguments.seeds)])
    ffd_1 = mean_interval(distances)
    print(
        f"| {datetime.date.today()} | {_text(mean_interval(seconds), 1)} | {_text(ffd_1, 3)} | {arguments.precision} |"
    )
    print(f"{cpu_name()}, {cores} cores; seconds {seconds}; FFD-1 {distances}; target: a mean of at most {TARGET}")
    sys.exit(ffd_1.value > TARGET)


def _seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return round(time.perf_counter() - start, 1)


def _distances(runs: list[str]) -> list[float]:
    """FFD-1 of 10,000 raw images of each run, with the test images as reference."""
    result = subprocess.run([PROGRAM, "study", "compare", *runs, "--test", "--json"], check=True, capture_output=True)
    return [round(row["raw"], 4) for row in json.loads(result.stdout)["rows"]]


def _text(interval: Interval, digits: int) -> str:
    return f"{interval.value:.{digits}f} ({interval.low:.{digits}f} to {interval.high:.{digits}f})"


if __name__ == "__main__":
    main()

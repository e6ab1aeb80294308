"""`make soak`: kill trainings 100 times and compare the bits, read 20,000 mutations of each kind of file (20 minutes).

Prints the rows of the table in docs/reliability.md. Stops with a traceback at the first failure.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
EXCERPT = HERE.parent / "excerpt"
IMAGES = "t10k-images-idx3-ubyte.gz"
COMMAND = [sys.executable, "-m", "gan_denoise.cli"]
TRAIN = [*COMMAND, "train", "gan", "--preset", "smoke-best", "--threads", "1"]
STEPS = ["--batch", "4", "--epochs", "40"]  # 2,560 steps: a few seconds per process
KILLS, MUTATIONS = 100, 20_000
KILL_AFTER_S = (1.0, 8.0)  # includes about three seconds of imports


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kill_and_resume(folder)
        mutate(folder)


def kill_and_resume(folder: Path) -> None:
    """Train once without interruption, then repeatedly with kills at random moments, until KILLS kills."""
    start, rng, kills, trainings = time.perf_counter(), random.Random(0), 0, 0
    subprocess.run([*TRAIN, *STEPS, "--out", folder / "uninterrupted"], check=True, capture_output=True)
    expected = bits(folder / "uninterrupted")
    while kills < KILLS:
        run = folder / "interrupted"
        shutil.rmtree(run, ignore_errors=True)
        while True:
            process = subprocess.Popen([*TRAIN, *STEPS, "--out", run, "--resume"], stderr=subprocess.DEVNULL)
            try:
                code = process.wait(rng.uniform(*KILL_AFTER_S))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                code = process.wait()
            if code == 0:
                break
            assert code == -signal.SIGKILL, code
            kills += 1
        assert bits(run) == expected, "weights differ from those of the uninterrupted training"
        trainings += 1
    print_row(
        f"SIGKILL at {kills} random moments of {trainings} trainings, resumed", "bit-equal weights each time", start
    )


def bits(run: Path) -> str:
    return hashlib.sha256((run / "gan/generator.safetensors").read_bytes()).hexdigest()


def mutate(folder: Path) -> None:
    """Run each reader on mutations of a valid file."""
    files = folder / "files"
    files.mkdir()
    (files / "images").write_bytes(gzip.decompress((EXCERPT / IMAGES).read_bytes()))
    np.savez_compressed(files / "arrays.npz", image=np.zeros((2, 28, 28), np.uint8))
    Image.fromarray(np.arange(784, dtype=np.uint8).reshape(28, 28)).save(files / "image.png")
    originals = {
        "model": small_model(folder),
        "data": EXCERPT / IMAGES,
        "images": files / "images",
        "arrays": files / "arrays.npz",
        "image": files / "image.png",
    }
    shutil.copytree(EXCERPT, folder / "mutated")
    for kind, original in originals.items():
        start = time.perf_counter()
        command: list[str | Path] = [
            sys.executable,
            HERE / "fuzz.py",
            kind,
            original,
            str(MUTATIONS),
            folder / "mutated",
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        counts = json.loads(done.stdout)
        limits = f"at most {counts['slowest_s']:.2f} s and {counts['peak_bytes'] / 1e6:.0f} MB"
        result = f"{counts['refused']:,} refused, none crashed; {limits}"
        print_row(f"{MUTATIONS:,} mutations of a file ({kind})", result, start)


def small_model(folder: Path) -> Path:
    """A fused graph of tiny networks."""
    run = folder / "small"
    for stage in ("gan", "denoiser"):
        subprocess.run([*COMMAND, "train", stage, "--preset", "smoke", "--out", run], check=True, capture_output=True)
    subprocess.run([*COMMAND, "export", run, "--out", folder / "exported"], check=True, capture_output=True)
    return folder / "exported/fused.onnx"


def print_row(what: str, result: str, start: float) -> None:
    print(f"| {what} | {result} | {time.perf_counter() - start:.0f} |", flush=True)


if __name__ == "__main__":
    main()

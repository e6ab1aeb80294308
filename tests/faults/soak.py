"""`make soak`: one training killed 100 times, to the same bits, and 20,000 mutations of each kind of file (20 minutes).

Prints the lines of the table in docs/reliability.md. Stops with a traceback where one is not as promised.
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
STEPS = ["--batch", "4", "--epochs", "40"]  # 2,560 steps: a few seconds a life
KILLS, MUTATIONS = 100, 20_000
LIFE_S = (1.0, 8.0)  # a life begins with three or so seconds of imports


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kill_and_resume(folder)
        mutate(folder)


def kill_and_resume(folder: Path) -> None:
    """Train once unbroken, then again and again with kills at random moments until there were KILLS."""
    start, chance, kills, trainings = time.perf_counter(), random.Random(0), 0, 0
    subprocess.run([*TRAIN, *STEPS, "--out", folder / "unbroken"], check=True, capture_output=True)
    wanted = bits(folder / "unbroken")
    while kills < KILLS:
        run = folder / "broken"
        shutil.rmtree(run, ignore_errors=True)
        while True:
            process = subprocess.Popen([*TRAIN, *STEPS, "--out", run, "--resume"], stderr=subprocess.DEVNULL)
            try:
                code = process.wait(chance.uniform(*LIFE_S))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                code = process.wait()
            if code == 0:
                break
            assert code == -signal.SIGKILL, code
            kills += 1
        assert bits(run) == wanted, "other bits than the unbroken training's"
        trainings += 1
    line(f"SIGKILL at {kills} random moments of {trainings} trainings, resumed", "bit-equal weights each time", start)


def bits(run: Path) -> str:
    return hashlib.sha256((run / "gan/generator.safetensors").read_bytes()).hexdigest()


def mutate(folder: Path) -> None:
    """Each reader on mutations of a file that it takes."""
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
        command = [sys.executable, HERE / "fuzz.py", kind, original, str(MUTATIONS), folder / "mutated"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
        most = f"{found['slowest_s']:.2f} s and {found['peak_bytes'] / 1e6:.0f} MB at most"
        result = f"{found['refused']:,} refused, none crashed; {most}"
        line(f"{MUTATIONS:,} mutations of a file ({kind})", result, start)


def small_model(folder: Path) -> Path:
    """A fused graph of tiny networks."""
    run = folder / "small"
    for stage in ("gan", "denoiser"):
        subprocess.run([*COMMAND, "train", stage, "--preset", "smoke", "--out", run], check=True, capture_output=True)
    subprocess.run([*COMMAND, "export", run, "--out", folder / "exported"], check=True, capture_output=True)
    return folder / "exported/fused.onnx"


def line(what: str, result: str, start: float) -> None:
    print(f"| {what} | {result} | {time.perf_counter() - start:.0f} |", flush=True)


if __name__ == "__main__":
    main()

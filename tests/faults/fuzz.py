"""Read mutations of a file one after the other: `python fuzz.py KIND FILE MUTATIONS FOLDER`.

Prints as JSON how many were refused, and the longest time and largest memory. A crash, a hang or an error other than
InputError ends this process; the mutation that caused it is then in FOLDER.
"""

import argparse
import io
import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gan_denoise.data import fashion_mnist
from gan_denoise.errors import InputError
from gan_denoise.eval import inputs
from gan_denoise.export import runtime
from gan_denoise.export.denoise.picture import read_pictures
from gan_denoise.export.denoise.write_picture import write_picture
from gan_denoise.export.images import read_image

HANG_S = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=READERS)
    parser.add_argument("file", type=Path)
    parser.add_argument("mutations", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--crash-at", type=int, default=-1)
    arguments = parser.parse_args()
    content, refused, slowest = arguments.file.read_bytes(), 0, 0.0
    mutation = arguments.folder / arguments.file.name
    for number in range(arguments.first, arguments.first + arguments.mutations):
        mutation.write_bytes(mutate(content, random.Random(number)))
        if number == arguments.crash_at:
            os.kill(os.getpid(), signal.SIGSEGV)
        start = time.perf_counter()
        signal.alarm(HANG_S)  # SIGALRM ends the process
        try:
            READERS[arguments.kind](mutation)
        except InputError:
            refused += 1
        signal.alarm(0)
        slowest = max(slowest, time.perf_counter() - start)
    status = Path("/proc/self/status").read_text()  # getrusage would count the parent's memory at the fork
    peak = 1024 * int(status.split("VmHWM:")[1].split()[0])
    print(json.dumps({"mutations": arguments.mutations, "refused": refused, "slowest_s": slowest, "peak_bytes": peak}))


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Apply one to eight changes: flip bits, set bytes to extremes, cut out, repeat or move parts, truncate."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        at, length = rng.randrange(len(changed)), rng.randint(1, 64)
        part = changed[at : at + length]
        match rng.randrange(6):
            case 0:
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                changed[at] = rng.choice((0, 1, 127, 128, 255))
            case 2:
                del changed[at : at + length]
            case 3:
                changed[at:at] = part * rng.randint(1, 4)
            case 4:
                to = rng.randrange(len(changed))
                changed[to : to + length] = part
            case 5 if rng.random() < 0.1:
                del changed[at:]
        changed = changed or bytearray(b"\0")
    return bytes(changed)


def copy_picture(file: Path) -> None:
    """Read an image as `denoise` does, and write it with its metadata."""
    for picture in read_pictures(file):
        write_picture(io.BytesIO(), picture.pixels, picture, "TIFF", file)
        write_picture(io.BytesIO(), picture.pixels, picture, "PNG", file)


def run_model(file: Path) -> None:
    graph = runtime.load_graph(runtime.FUSED, file, threads=1)
    graph(np.zeros((2, *graph.input_shape), np.float32))


READERS: dict[str, Callable[[Path], object]] = {
    "model": run_model,
    "data": lambda file: fashion_mnist.read_files(file.parent, checked=False),
    "images": lambda file: fashion_mnist.parse_images(file.read_bytes(), file.name),
    "labels": lambda file: fashion_mnist.parse_labels(file.read_bytes(), file.name),
    "arrays": inputs.load_image_sets,
    "picture": copy_picture,
    "image": lambda file: read_image(file, (1, 28, 28)),
}

if __name__ == "__main__":
    main()

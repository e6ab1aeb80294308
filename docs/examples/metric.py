"""Compute your own metric on generated and real images: python docs/examples/metric.py [IMAGES] [--json]."""

import sys

import numpy as np

from gan_denoise.data import sources
from gan_denoise.data.images import ImagesF32, to_float
from gan_denoise.eval.generation.evaluate import generate_sets
from gan_denoise.eval.result_table import ResultTable, print_table
from gan_denoise.export import runtime
from gan_denoise.machine import describe_machine


def asymmetry(images: ImagesF32) -> float:
    """Mean absolute difference of a pixel between images (N, 1, H, W) in [0, 1] and their mirror images."""
    return float(np.abs(images - images[..., ::-1]).mean())


n = next((int(argument) for argument in sys.argv[1:] if argument.isdigit()), 1_000)
fused = runtime.load_graph(runtime.FUSED)
batches = list(generate_sets(fused, n, seed=0))  # uint8, as in image files
sets = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
sets["test images"] = sources.load_fashion_mnist().test.images[:n]
rows = [{"set": name, "n": len(images), "asymmetry": asymmetry(to_float(images))} for name, images in sets.items()]
machine, title = describe_machine(0), "Images and their mirror images"
table = ResultTable("asymmetry", title, rows, fused.sha256, machine, {"seed": 0})
print_table(table, as_json="--json" in sys.argv)

"""Time the denoiser for photographs beside CDnCNN and FFDNet on one thread, and a photograph of 24 megapixels in tiles.

Example: python scripts/photograph_speed.py --model export/shipped/photo.onnx

The others are graphs of random weights in the shapes of their papers, built here: their time does not depend on the
weights. All take turns on the same image, on an idle machine.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import skimage.data
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from gan_denoise.export import runtime
from gan_denoise.export.denoise.tiling import denoise_pixels, list_tiles
from gan_denoise.export.graph_size import graph_size
from gan_denoise.machine import busy_cores, cpu_name, load_warning
from gan_denoise.markdown import markdown_table
from gan_denoise.options import PHOTO

SIDE = 1024  # pixels of the timed image
LARGE = (4000, 6000)  # height and width of the photograph in tiles
WARM_UP = 1
OURS = "ours"
PROGRAM = str(Path(sys.executable).parent / "gan-denoise")
# A small process runs the command: the peak memory of a child includes the copy of its parent at the fork.
PEAK = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
print(usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime)
sys.exit(os.waitstatus_to_exitcode(status))
"""
Run = Callable[[], object]


def main() -> None:
    """Print a table of the networks, then what tiles cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=PHOTO, help="a file, or photo for the shipped one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=SIDE, help="pixels of the timed image")
    arguments = parser.parse_args()
    if warning := load_warning(busy_cores(), os.cpu_count() or 1):
        print(warning, file=sys.stderr)
    path = None if arguments.model == PHOTO else Path(arguments.model)
    models = {
        OURS: onnx.load_model_from_string(runtime.read_graph(runtime.PHOTO, path)),
        "FFDNet": ffdnet(),
        "CDnCNN-B": cdncnn(),
    }
    print(_table(models, _time_in_turn(models, arguments.side, arguments.rounds), arguments.side), end="\n\n")
    print("\n".join(f"- {line}" for line in _tiles(runtime.load_graph(runtime.PHOTO, path, 1), arguments)))
    print(f"\n{cpu_name()}, one thread, {arguments.rounds} rounds in turn, {arguments.side}x{arguments.side} pixels")


def cdncnn() -> onnx.ModelProto:
    """CDnCNN-B (arXiv:1608.03981): 20 layers of 3x3, 64 channels, the noise subtracted; batch norms folded in."""
    nodes, weights = _layers("noisy", [3, *[64] * 19, 3])
    nodes.append(helper.make_node("Sub", ["noisy", nodes[-1].output[0]], ["denoised"]))
    return _model(nodes, weights, ["noisy"])


def ffdnet() -> onnx.ModelProto:
    """FFDNet in colour (arXiv:1710.04026): 12 layers of 3x3, 96 channels, at half the side.

    The 3 channels are folded to 12; with a map of the noise level for each channel that makes 15.
    """
    nodes, weights = _layers("all", [15, *[96] * 11, 12])
    before = [
        helper.make_node("SpaceToDepth", ["noisy"], ["folded"], blocksize=2),
        helper.make_node("Concat", ["folded", "sigma"], ["all"], axis=1),
    ]
    after = helper.make_node("DepthToSpace", [nodes[-1].output[0]], ["denoised"], blocksize=2, mode="CRD")
    return _model([*before, *nodes, after], weights, ["noisy", "sigma"])


def _layers(first: str, channels: list[int]) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Convolutions 3x3 with biases between these numbers of channels, a ReLU after each but the last."""
    random, nodes, weights, source = np.random.default_rng(0), [], [], first
    for i, (before, after) in enumerate(itertools.pairwise(channels)):
        weight = random.standard_normal((after, before, 3, 3), np.float32) * np.float32((2 / (9 * before)) ** 0.5)
        weights += [numpy_helper.from_array(weight, f"w{i}")]
        weights += [numpy_helper.from_array(np.zeros(after, np.float32), f"b{i}")]
        nodes.append(helper.make_node("Conv", [source, f"w{i}", f"b{i}"], [f"c{i}"], pads=[1, 1, 1, 1]))
        source = f"c{i}"
        if i < len(channels) - 2:
            nodes.append(helper.make_node("Relu", [source], [f"r{i}"]))
            source = f"r{i}"
    return nodes, weights


def _model(nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto], inputs: list[str]) -> onnx.ModelProto:
    sides: dict[str, list[str | int | None]] = {
        "noisy": ["batch", 3, "height", "width"],
        "sigma": ["batch", 3, "half_height", "half_width"],
        "denoised": ["batch", 3, "height", "width"],
    }
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in sides.items()}
    graph = helper.make_graph(nodes, "graph", [values[name] for name in inputs], [values["denoised"]], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _noisy_photograph(height: int, width: int) -> NDArray[np.uint8]:
    """A photograph (height, width, 3), repeated as often as needed, with noise of sigma 15."""
    image = np.asarray(skimage.data.astronaut())  # type: ignore[no-untyped-call]
    tiled = np.tile(image, (-(-height // image.shape[0]), -(-width // image.shape[1]), 1))[:height, :width]
    noise = np.random.default_rng(0).standard_normal(tiled.shape, np.float32)
    noisy: NDArray[np.uint8] = np.rint((tiled + 15 * noise).clip(0, 255)).astype(np.uint8)
    return noisy


# --- whole images in turn -----------------------------------------------------------------------


def _time_in_turn(models: dict[str, onnx.ModelProto], side: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each round for each model: in every round each has its turn."""
    noisy = _noisy_photograph(side, side).transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
    runs = {name: _session_run(name, model, noisy) for name, model in models.items()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(WARM_UP + rounds):
        for name, run in runs.items():
            seconds[name].append(_seconds(run))
    return {name: times[WARM_UP:] for name, times in seconds.items()}


def _session_run(name: str, model: onnx.ModelProto, noisy: NDArray[np.float32]) -> Run:
    session = runtime.make_session(model.SerializeToString(), name, threads=1)
    feeds = {"noisy": noisy}
    if len(session.get_inputs()) > 1:
        feeds["sigma"] = np.full((1, 3, noisy.shape[2] // 2, noisy.shape[3] // 2), 15 / 255, np.float32)
    return lambda: session.run(None, feeds)


def _seconds(run: Run) -> float:
    """The CPU time of this thread, on which the session runs; other programs do not count."""
    start = time.thread_time()
    run()
    return time.thread_time() - start


def _table(models: dict[str, onnx.ModelProto], seconds: dict[str, list[float]], side: int) -> str:
    lines = []
    for name, model in models.items():
        rates = [side * side / 1e6 / s for s in seconds[name]]
        ratios = [theirs / own for theirs, own in zip(seconds[name], seconds[OURS], strict=True)]
        parameters, multiply_adds = _size(model)
        lines.append(
            [
                name,
                f"{parameters / 1e6:.2f} M",
                f"{multiply_adds:,.0f}",
                f"{statistics.median(rates):.3f}",
                f"{min(rates):.3f} to {max(rates):.3f}",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            ]
        )
    head = ["network", "weights", "multiply-adds a pixel", "megapixels/s", "least to most", "time, ours = 1"]
    return markdown_table(head, lines)


def _size(model: onnx.ModelProto) -> tuple[int, float]:
    """Parameters, and multiply-adds a pixel, counted for 64x64 pixels."""
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    for entry in sized.graph.input:
        for dim in entry.type.tensor_type.shape.dim[2:]:
            dim.dim_value = 64 if entry.name == "noisy" else 32
    size = graph_size(sized)
    return size.parameters, (size.multiply_adds or 0) / 64**2


# --- tiles --------------------------------------------------------------------------------------


def _tiles(graph: runtime.Graph, arguments: argparse.Namespace) -> Iterator[str]:
    """What tiles cost in time, and how near their result is to that of the whole image."""
    computed = sum(np.prod([s.stop - s.start for s in tile.outer[1:]]) for tile in list_tiles(graph, *LARGE))
    yield f"{LARGE[1]}x{LARGE[0]} in tiles: {computed / np.prod(LARGE) - 1:.1%} more pixels than whole"
    image = _noisy_photograph(2 * SIDE, 2 * SIDE).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    difference = np.abs(graph(image[None])[0][0].clip(0, 1) - denoise_pixels(graph, image)).max()
    ratios = [
        _seconds(lambda: denoise_pixels(graph, image)) / _seconds(lambda: graph(image[None]))
        for _ in range(arguments.rounds)
    ]
    yield (
        f"{2 * SIDE}x{2 * SIDE} in tiles: {statistics.median(ratios) - 1:+.1%} time "
        f"({min(ratios) - 1:+.1%} to {max(ratios) - 1:+.1%}), largest difference {255 * difference:.4f}/255"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Image.fromarray(_noisy_photograph(*LARGE)).save(folder / "large.png", compress_level=1)
        command = [PROGRAM, "denoise", str(folder / "large.png"), "--out", str(folder / "out"), "--threads", "1"]
        command += ["--model", arguments.model]
        measured = subprocess.run([sys.executable, "-c", PEAK, *command], check=True, capture_output=True, text=True)
        peak, seconds = map(float, measured.stdout.split())
        megapixels = np.prod(LARGE) / 1e6
        yield (
            f"`denoise` of {megapixels:.0f} megapixels, PNG to PNG: {seconds:.0f} s of CPU time, "
            f"{megapixels / seconds:.2f} megapixels/s, peak memory {peak / 1e6:,.0f} MB"
        )


if __name__ == "__main__":
    main()

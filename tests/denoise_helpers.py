"""Helpers for tests of denoising: small networks for images of any size, files of 16 bits written by hand."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from gan_denoise.export import runtime
from gan_denoise.export.runtime import Graph

FOLD = 8  # pixels that become channels; sides must be multiples of it
REACH = 2 * FOLD - 1  # from one edge of a block to the far edge of the next


def photo_model(kind: str = "convolution", **metadata: str) -> bytes:
    """A denoiser of colour images with free height and width: "copy", "half" (its input x 0.5), or "convolution".

    The last folds blocks of FOLD pixels, as the real network does, and convolves: a tile that starts elsewhere, or has
    too little context, changes its output.
    """
    sides: list[str | int] = ["batch", 3, "height", "width"]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in ("noisy", "denoised")]
    channels = 3 * FOLD * FOLD
    weights = np.random.default_rng(0).normal(0, 0.02, (channels, channels, 3, 3)).astype(np.float32)
    constants = {"half": np.float32(0.5), "weights": weights} if kind != "copy" else {}
    nodes = {
        "copy": [helper.make_node("Identity", ["noisy"], ["denoised"])],
        "half": [helper.make_node("Mul", ["noisy", "half"], ["denoised"])],
        "convolution": [
            helper.make_node("SpaceToDepth", ["noisy"], ["folded"], blocksize=FOLD),
            helper.make_node("Conv", ["folded", "weights"], ["filtered"], pads=[1, 1, 1, 1]),
            helper.make_node("DepthToSpace", ["filtered"], ["unfolded"], blocksize=FOLD),
            helper.make_node("Add", ["unfolded", "half"], ["denoised"]),
        ],
    }[kind]
    graph = helper.make_graph(
        nodes,
        "photo",
        values[:1],
        values[1:],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8)
    helper.set_model_props(model, {"multiple": str(FOLD), "receptive_field": str(REACH)} | metadata)
    return bytes(model.SerializeToString())


def photo_graph(kind: str = "convolution") -> Graph:
    """The network of `photo_model`, ready to run."""
    return Graph(photo_model(kind), runtime.DENOISER, kind, threads=1)


def save_model(path: str | Path, kind: str = "convolution", **metadata: str) -> Path:
    """Write the network of `photo_model` to a file."""
    Path(path).write_bytes(photo_model(kind, **metadata))
    return Path(path)


def with_operator(operator: str, **attributes: Any) -> bytes:
    """The network "copy" with another operator in the place of Identity."""
    model = onnx.load_model_from_string(photo_model("copy"))
    model.graph.node[0].CopyFrom(helper.make_node(operator, ["noisy"], ["denoised"], **attributes))
    return bytes(model.SerializeToString())


def noise_16(channels: int, height: int = 40, width: int = 50, seed: int = 0) -> NDArray[np.uint16]:
    """Random pixels (H, W, C) of 16 bits."""
    return np.random.default_rng(seed).integers(0, 65536, (height, width, channels), np.uint16)


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_16(pixels: NDArray[np.uint16], *chunks: bytes) -> bytes:
    """A PNG file of 16 bits, unfiltered, with more chunks before its pixels; independent of the code under test."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    parts = (png_chunk(b"IHDR", header), *chunks, png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def read_png_16(content: bytes) -> NDArray[np.uint16]:
    """The pixels (H, W, C) of a PNG file of 16 bits; independent of the code under test, and slow."""
    width, height, depth, colour_type = struct.unpack(">IIBB", content[16:26])
    assert depth == 16
    channels, place, packed = {0: 1, 4: 2, 2: 3, 6: 4}[colour_type], 8, b""
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        if content[place + 4 : place + 8] == b"IDAT":
            packed += content[place + 8 : place + 8 + length]
        place += 12 + length
    step, size = 2 * channels, 2 * channels * width
    data, above, rows = zlib.decompress(packed), bytearray(size), []
    for y in range(height):
        kind, *line = data[y * (size + 1) : (y + 1) * (size + 1)]
        for x in range(size):
            a, b, c = (line[x - step] if x >= step else 0), above[x], (above[x - step] if x >= step else 0)
            nearest = min((a, b, c), key=lambda value: abs(a + b - c - value))
            line[x] = (line[x] + (0, a, b, (a + b) // 2, nearest)[kind]) % 256
        above = bytearray(line)
        rows.append(bytes(line))
    return np.frombuffer(b"".join(rows), ">u2").reshape(height, width, channels).astype(np.uint16)

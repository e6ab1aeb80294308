"""Helpers for tests of denoising: the command, small networks for images of any size, files of 16 bits by hand."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from typer.testing import CliRunner, Result

from gan_denoise.cli import app
from gan_denoise.errors import GanDenoiseError
from gan_denoise.export import runtime
from gan_denoise.export.runtime import Graph

FASHION = ("--model", "fashion")
HALF = ("--model", "half.onnx")
FOLD = 8  # pixels that become channels; sides must be multiples of it
REACH = 2 * FOLD - 1  # from one edge of a block to the far edge of the next


def photo_model(kind: str = "convolution", channels: int = 3, **metadata: str) -> bytes:
    """A denoiser of images with free height and width: "copy", "half" (its input x 0.5), or "convolution".

    The last folds blocks of FOLD pixels, as the real network does, and convolves: a tile that starts elsewhere, or has
    too little context, changes its output.
    """
    sides: list[str | int] = ["batch", channels, "height", "width"]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in ("noisy", "denoised")]
    folded = channels * FOLD * FOLD
    weights = np.random.default_rng(0).normal(0, 0.02, (folded, folded, 3, 3)).astype(np.float32)
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
    Path(path).write_bytes(photo_model(kind, 3, **metadata))
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


# --- the command --------------------------------------------------------------------------------


def denoise(*arguments: object, content: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["denoise", *map(str, arguments)], input=content)


def error_of(done: Result) -> GanDenoiseError:
    assert isinstance(done.exception, GanDenoiseError), done.exception
    return done.exception


def noise_file(path: str, mode: str = "L", size: tuple[int, int] = (28, 28)) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, size[::-1], np.uint8)
    Image.fromarray(noise).convert(mode).save(path)
    return path


def cut_off(path: str) -> str:
    """A PNG file whose header is intact and whose pixels are not."""
    content = Path(noise_file(path)).read_bytes()
    Path(path).write_bytes(content[: len(content) // 2])
    return path


def coloured(path: str) -> str:
    Image.new("RGB", (28, 28), "red").save(path)
    return path


def text(path: str) -> str:
    Path(path).write_text("hello")
    return path


def pixels(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def assert_halved(result: str, source: str) -> None:
    """That the network "half" made one file of the other."""
    np.testing.assert_allclose(pixels(result), pixels(source) / 2, atol=0.51)


def names(folder: str = "clean") -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


@contextmanager
def shipped(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A folder of shipped models whose photograph denoisers halve; gives their hashes by name."""
    folder = Path("shipped")
    shutil.copytree(runtime.SHIPPED, folder)
    contents = {"photo": photo_model("half"), "photo-grey": photo_model("half", channels=1)}
    hashes = json.loads((folder / "sha256.json").read_text())
    for name, content in contents.items():
        (folder / f"{name}.onnx").write_bytes(content)
        hashes[f"{name}.onnx"] = sha256(content).hexdigest()
    (folder / "sha256.json").write_text(json.dumps(hashes))
    monkeypatch.setattr(runtime, "SHIPPED", folder)
    yield {name: hashes[f"{name}.onnx"] for name in contents}

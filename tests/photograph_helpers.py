"""Helpers for tests of photographs: real ones from scikit-image, and networks whose result is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import skimage.data
from onnx import TensorProto, helper, numpy_helper
from PIL import Image


def colour_crop(height: int = 60, width: int = 70) -> np.ndarray:
    """A part of a photograph, uint8 (height, width, 3)."""
    return np.asarray(skimage.data.chelsea())[60 : 60 + height, 120 : 120 + width]  # type: ignore[no-untyped-call]


def grey_crop(height: int = 50, width: int = 40) -> np.ndarray:
    """A part of a photograph, uint8 (height, width)."""
    return np.asarray(skimage.data.camera())[80 : 80 + height, 200 : 200 + width]  # type: ignore[no-untyped-call]


def save_images(folder: Path, suffix: str = ".png", **images: np.ndarray) -> Path:
    """Write uint8 or uint16 images (H, W) or (H, W, 3) to files of these names in a new folder."""
    folder.mkdir()
    for name, image in images.items():
        Image.fromarray(image).save(folder / f"{name}{suffix}")
    return folder


def averaging_network(
    path: Path, channels: int = 3, names: tuple[str, str] = ("noisy", "denoised"), outputs: int = 0
) -> Path:
    """Write a network with free sides that averages 3x3 pixels of each channel, with 0 outside the image."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", count, "height", "width"])
        for name, count in zip(names, (channels, outputs or channels), strict=True)
    ]
    weight = numpy_helper.from_array(np.full((outputs or channels, 1, 3, 3), 1 / 9, np.float32), "weight")
    node = helper.make_node("Conv", [names[0], "weight"], [names[1]], pads=[1, 1, 1, 1], group=channels)
    graph = helper.make_graph([node], "average", values[:1], values[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"receptive_field": "1", "multiple": "1"})
    path.write_bytes(model.SerializeToString())
    return path

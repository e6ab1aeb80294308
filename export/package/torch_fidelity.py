"""A graph for torch-fidelity: z in, uint8 colour images out, so that its metrics measure a generator from a file.

torch-fidelity (the extra `fidelity`) takes the file by name: `fidelity --gpu 0 --fid --input1 images.onnx
--input1-model-z-size 100 --input1-model-num-samples 10000 --input2 FOLDER`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from gan_denoise.data.images import to_uint8
from gan_denoise.errors import GateError, InputError
from gan_denoise.export import latents, runtime
from gan_denoise.export.package.origin import keep_origin
from gan_denoise.export.runtime import FUSED, Graph, Signature
from gan_denoise.options import BATCH

OUTPUT = "images"
COLOURS = 3
MAX_WRONG_FRACTION = 1e-4  # of pixels that lie between two levels and may be rounded to either


def to_torch_fidelity(path: Path | None, denoised: bool = True) -> bytes:
    """The ONNX file with `z` (batch, size) float32 in and `images` (batch, 3, H, W) uint8 out; grey is repeated.

    `path` is a fused graph or a folder that holds one, None the shipped one; for raw images a generator's graph is
    enough. The images are those of the graph, rounded to 8 bits. Raises InputError for another kind of graph,
    GateError when an image of the new graph differs.
    """
    output = "denoised" if denoised else "image"
    original = runtime.load_graph(Signature(FUSED.file, FUSED.input, (output,)), path)
    shape = original.output_shapes[0]
    if shape[0] not in (1, COLOURS):
        raise InputError.expected(output, f"1 or {COLOURS} channels", shape[0])
    model = _with_uint8_images(onnx.load_model_from_string(runtime.read_graph(FUSED, path)), output, shape)
    content: bytes = model.SerializeToString(deterministic=True)
    _check_images(Graph(content, Signature(OUTPUT, FUSED.input, (OUTPUT,)), OUTPUT), original)
    return content


def _with_uint8_images(model: onnx.ModelProto, output: str, shape: tuple[int, ...]) -> onnx.ModelProto:
    """The part of the graph that computes `output`, followed by its conversion to 8 bits and three channels."""
    part = onnx.utils.Extractor(model).extract_model([FUSED.input], [output])
    levels, scaled, rounded, grey = (f"{OUTPUT}/{name}" for name in ("levels", "scaled", "rounded", "grey"))
    part.graph.initializer.append(numpy_helper.from_array(np.array(255, np.float32), levels))
    part.graph.node.extend(
        [
            helper.make_node("Mul", [output, levels], [scaled]),
            helper.make_node("Round", [scaled], [rounded]),  # half to even, as numpy's rint
            helper.make_node("Cast", [rounded], [grey], to=TensorProto.UINT8),
            helper.make_node("Concat", [grey] * (COLOURS // shape[0]), [OUTPUT], axis=1),
        ]
    )
    sides: list[str | int | None] = ["batch", COLOURS, *shape[1:]]
    del part.graph.output[:]
    part.graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.UINT8, sides))
    keep_origin(part, model, {"pixel_range": "0 to 255"})
    onnx.checker.check_model(part, full_check=True)
    return part


def _check_images(converted: Graph, original: Graph) -> None:
    """Compare every pixel of every channel with the original's, rounded."""
    z = latents.latents(0, 0, BATCH, original.input_shape[0])
    images, expected = converted(z)[0].astype(np.int16), to_uint8(original(z)[0]).astype(np.int16)
    errors = np.abs(images - expected.reshape(len(images), -1, *images.shape[2:]))  # (N, 3, H, W)
    wrong = (errors > 0).mean()
    if errors.max() > 1 or wrong > MAX_WRONG_FRACTION:
        raise GateError.expected(OUTPUT, "the pixels of the original graph", f"{wrong:.2%} of the pixels different")

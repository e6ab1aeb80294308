"""The fused graph in fewer bits: half the file, and with int8 a denoiser that is faster where the processor can."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import GateError, InputError
from gan_denoise.export import latents, runtime
from gan_denoise.export.runtime import FUSED, Graph
from gan_denoise.options import BATCH

CALIBRATED = 512  # images, of seed CALIBRATION_SEED, whose range the integers of int8 span
COMPARED = 1_000  # images, of seed 0, that the gate looks at
CALIBRATION_SEED = 7
SMALL = 64  # numbers: what holds fewer is no weight worth rounding
PSNR_CAP_DB = 100.0
LEAST_OPSET = 13  # of scales a channel
FLOAT16, INT8 = "float16", "int8"
MIN_PSNR_DB = {FLOAT16: 60.0, INT8: 45.0}  # images against those of float32


def quantize(path: Path | None, precision: str, threads: int = 0) -> tuple[bytes, float]:
    """The fused graph of `path` (a file, a folder, None for the shipped one) in fewer bits, and how near it comes.

    float16 keeps weights in half the space and computes in float32 as before. int8 computes the denoiser's
    convolutions in integers, but for its first and last; the generator, which bears it badly, stays. What comes second
    is the mean PSNR in dB, at most 100, between its images and the given graph's, the worse of raw and denoised.
    Raises InputError when `path` holds no such graph, GateError when images are nearer to it by less than LEAST_DB.
    """
    given = runtime.load_graph(FUSED, path, threads)
    if before := given.metadata.get("precision"):
        raise InputError(f"precision: a graph in {before} found, one in float32 wanted")
    if any(len(shape) != 3 for shape in given.output_shapes):
        raise InputError(f"image: {list(given.output_shapes[0])} found, channels, height and width wanted")
    model = onnx.load_model_from_string(runtime.read_graph(FUSED, path))
    lesser = _in_float16(model) if precision == FLOAT16 else _in_int8(model, given.input_shape[0])
    helper.set_model_props(lesser, given.metadata | {"precision": precision})
    content: bytes = lesser.SerializeToString(deterministic=True)
    made = Graph(content, FUSED, f"{FUSED.file} in {precision}", threads)
    return content, check_agreement(made, given, MIN_PSNR_DB[precision])


def check_agreement(made: Graph, given: Graph, least_db: float) -> float:
    """The mean PSNR in dB between two fused graphs' images, the worse of raw and denoised, at most 100.

    Raises GateError when it is below `least_db` or not a number.
    """
    z = latents.latents(0, 0, COMPARED, given.input_shape[0])
    pairs = zip(made.batched(z), given.batched(z), strict=True)
    found = float(np.min([_agreement(mine, theirs) for mine, theirs in pairs]))  # Python's min would lose a NaN
    if not found >= least_db:
        raise GateError(f"precision: images within {found:.1f} dB of float32 found, {least_db:g} or more wanted")
    return found


def _agreement(mine: ArrayF32, theirs: ArrayF32) -> float:
    errors = np.square(mine - theirs, dtype=np.float64).mean(axis=(1, 2, 3))
    return float(-10 * np.log10(np.maximum(errors, 10 ** (-PSNR_CAP_DB / 10))).mean())


def _in_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Each weight as a half and a cast, which onnxruntime does once, when it loads the graph."""
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type == TensorProto.FLOAT and np.prod(weight.dims) >= SMALL:
            with np.errstate(over="ignore"):  # the gate sees what that leads to
                half = numpy_helper.to_array(weight).astype(np.float16)
            casts.append(helper.make_node("Cast", [f"{weight.name}/half"], [weight.name], to=TensorProto.FLOAT))
            weight.CopyFrom(numpy_helper.from_array(half, f"{weight.name}/half"))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _in_int8(model: onnx.ModelProto, latent_size: int) -> onnx.ModelProto:
    """The denoiser's inner convolutions on integers, with ranges that its own images taught."""
    opset = max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < LEAST_OPSET:
        raise InputError(f"int8: a graph of opset {opset} found, {LEAST_OPSET} or later wanted")
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    inner = _denoiser_convolutions(model.graph)[1:-1]
    if not inner:
        raise InputError("int8: a denoiser of two convolutions or fewer found, more wanted", "--precision float16")
    with TemporaryDirectory() as folder, _silence():
        file = Path(folder) / FUSED.file
        quantize_static(
            model,
            file,
            _Latents(latent_size),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,  # weights of 7 bits: sums of pairs fit 16 bits on processors without VNNI
            calibrate_method=CalibrationMethod.Percentile,
            nodes_to_quantize=inner,
        )
        return onnx.load_model(file)


def _denoiser_convolutions(graph: onnx.GraphProto) -> list[str]:
    """The names of the convolutions that the image `image` goes through, in their order."""
    reached, found = {FUSED.outputs[0]}, []
    for node in graph.node:  # an ONNX graph is sorted
        if reached.intersection(node.input):
            reached.update(node.output)
            if node.op_type == "Conv":
                found.append(node.name)
    return found


class _Latents:
    """What onnxruntime's calibration asks for batches, until there are none."""

    def __init__(self, latent_size: int) -> None:
        self._batches: Iterator[ArrayF32] = (
            latents.latents(CALIBRATION_SEED, start, BATCH, latent_size) for start in range(0, CALIBRATED, BATCH)
        )

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        return None if batch is None else {FUSED.input: batch}


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Quantisation prints and logs what it does."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)

"""Quantize the fused graph: a smaller file, and with int8 a faster denoiser on processors with VNNI."""

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

from gan_denoise.data.images import ArrayF32, ImagesF32
from gan_denoise.errors import GateError, InputError
from gan_denoise.export import latents, runtime
from gan_denoise.export.package.origin import keep_origin
from gan_denoise.export.runtime import FUSED, Graph
from gan_denoise.options import BATCH

FLOAT16, INT8 = "float16", "int8"
CALIBRATION_SEED = 7
CALIBRATION_IMAGES = 512  # their range is the range of the integers
GATE_IMAGES = 1_000  # of seed 0, compared with the original's
MIN_WEIGHT_SIZE = 64  # tensors with fewer numbers stay float32
MIN_OPSET = 13  # the first with one scale per channel
PSNR_CAP_DB = 100.0
MIN_PSNR_DB = {FLOAT16: 60.0, INT8: 45.0}  # images against those of float32


def quantize(path: Path | None, precision: str, threads: int = 0) -> tuple[bytes, float]:
    """Quantize the fused graph of `path` (a file, a folder, None for the shipped one) to "float16" or "int8".

    float16 stores weights as float16 and computes in float32 as before. int8 computes the denoiser's convolutions in
    integers, except its first and last; the generator, whose images int8 damages, stays float32.

    Returns the file's bytes and the mean PSNR in dB, at most 100, between images of the quantized and of the original
    graph, the lower of raw and denoised. Raises InputError when `path` holds no float32 graph of images, GateError
    when the PSNR is below MIN_PSNR_DB.
    """
    original = runtime.load_graph(FUSED, path, threads)
    if before := original.metadata.get("precision"):
        raise InputError.expected("quantize", "a graph in float32", f"one in {before}")
    if any(len(shape) != 3 for shape in original.output_shapes):
        raise InputError.expected("image", "channels, height and width", list(original.output_shapes[0]))
    source = onnx.load_model_from_string(runtime.read_graph(FUSED, path))
    model = onnx.ModelProto()
    model.CopyFrom(source)
    model = _to_float16(model) if precision == FLOAT16 else _to_int8(model, original.input_shape[0])
    keep_origin(model, source, {"precision": precision})
    content: bytes = model.SerializeToString(deterministic=True)
    quantized = Graph(content, FUSED, f"{FUSED.file} in {precision}", threads)
    return content, check_agreement(quantized, original, MIN_PSNR_DB[precision])


def check_agreement(quantized: Graph, original: Graph, min_db: float) -> float:
    """The mean PSNR in dB, at most 100, between images of two fused graphs, the lower of raw and denoised.

    Raises GateError when it is below `min_db` or NaN.
    """
    z = latents.latents(0, 0, GATE_IMAGES, original.input_shape[0])
    pairs = zip(quantized.batched(z), original.batched(z), strict=True)
    psnr_db = float(np.min([_mean_psnr_db(*pair) for pair in pairs]))  # np.min keeps a NaN, min may lose it
    if not psnr_db >= min_db:
        raise GateError.expected("quantize", f"a PSNR of {min_db:g} dB or more to float32", f"{psnr_db:.1f} dB")
    return psnr_db


def _mean_psnr_db(images: ImagesF32, reference: ImagesF32) -> float:
    errors = np.square(images - reference, dtype=np.float64).mean(axis=(1, 2, 3))  # (N,)
    return float(-10 * np.log10(np.maximum(errors, 10 ** (-PSNR_CAP_DB / 10))).mean())


def _to_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store each weight as float16 followed by a cast, which onnxruntime computes once, at loading."""
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type == TensorProto.FLOAT and np.prod(weight.dims) >= MIN_WEIGHT_SIZE:
            with np.errstate(over="ignore"):  # an overflow fails at the gate
                half = numpy_helper.to_array(weight).astype(np.float16)
            casts.append(helper.make_node("Cast", [f"{weight.name}/half"], [weight.name], to=TensorProto.FLOAT))
            weight.CopyFrom(numpy_helper.from_array(half, f"{weight.name}/half"))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _to_int8(model: onnx.ModelProto, latent_size: int) -> onnx.ModelProto:
    """Quantize the denoiser's inner convolutions, with ranges calibrated on generated images."""
    opset = max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < MIN_OPSET:
        raise InputError.expected("quantize int8", f"a graph of opset {MIN_OPSET} or later", opset)
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    inner = _denoiser_convolutions(model.graph)[1:-1]
    if not inner:
        hint = "gan-denoise quantize float16 takes it"
        raise InputError.expected("quantize int8", "a denoiser of 3 or more convolutions", "fewer", hint)
    with TemporaryDirectory() as folder, _silenced():
        file = Path(folder) / FUSED.file
        quantize_static(
            model,
            file,
            _Latents(latent_size),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,  # weights of 7 bits: without VNNI, sums of two products must fit 16 bits
            calibrate_method=CalibrationMethod.Percentile,
            nodes_to_quantize=inner,
        )
        return onnx.load_model(file)


def _denoiser_convolutions(graph: onnx.GraphProto) -> list[str]:
    """The names of the convolutions between `image` and `denoised`, in order."""
    reached, names = {FUSED.outputs[0]}, []
    for node in graph.node:  # the nodes of an ONNX graph are sorted
        if reached.intersection(node.input):
            reached.update(node.output)
            if node.op_type == "Conv":
                names.append(node.name)
    return names


class _Latents:
    """Calibration batches, read by onnxruntime until `get_next` returns None."""

    def __init__(self, latent_size: int) -> None:
        self._batches: Iterator[ArrayF32] = (
            latents.latents(CALIBRATION_SEED, start, BATCH, latent_size)
            for start in range(0, CALIBRATION_IMAGES, BATCH)
        )

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        return None if batch is None else {FUSED.input: batch}


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Suppress what onnxruntime's quantization prints and logs."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)

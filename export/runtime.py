"""Run the exported graphs with onnxruntime: sessions, latents from seeds, batches. Imports no torch."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import InputError
from gan_denoise.machine import usable_cores
from gan_denoise.options import BATCH

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when onnxruntime is imported
import onnxruntime as ort

SHIPPED = Path(__file__).parent / "shipped"
CHUNK = 8  # samples that one thread takes at a time from a large batch, at most
PARALLEL_THRESHOLD = 4  # samples a thread that make a batch large


@dataclass(frozen=True, slots=True)
class Signature:
    """What a graph takes and gives: the name of its input and the names of its outputs, in order."""

    file: str
    input: str
    outputs: tuple[str, ...]


FUSED = Signature("fused.onnx", "z", ("image", "denoised"))
GENERATOR = Signature("generator.onnx", "z", ("image",))
DENOISER = Signature("denoiser.onnx", "noisy", ("denoised",))
FEATURES = Signature("features.onnx", "image", ("features", "logits"))


class Graph:
    """An ONNX graph with one float32 input, ready to run.

    Threads share the work of a node in a small batch. Of a large one each takes samples of its own, PART at most at
    a time, and waits for no other between nodes: the same numbers sooner. `input_shape` and `output_shapes` are per
    sample, without the batch. `sha256` is that of the file.
    """

    def __init__(self, model: bytes, signature: Signature, name: str, threads: int = 0) -> None:
        self.signature = signature
        self.sha256 = hashlib.sha256(model).hexdigest()
        self._model, self._name, self._threads = model, name, threads or usable_cores()
        self._session = make_session(model, name, self._threads)
        try:
            _check_signature(self._session, signature, name)
            self.input_shape = _sample_shape(self._session.get_inputs()[0].shape, name)
            self.output_shapes = tuple(_sample_shape(self._output(o).shape, name) for o in signature.outputs)
            self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        except UnicodeDecodeError as error:
            raise InputError(f"{name}: names or notes that are no UTF-8 found, an ONNX model wanted") from error

    def __call__(self, samples: ArrayF32) -> tuple[ArrayF32, ...]:
        """Outputs, each (N, ...), for samples (N, *input_shape) float32.

        Raises InputError when shape or dtype differ or a value is not finite.
        """
        wanted = ("N", *self.input_shape)
        if samples.dtype != np.float32 or samples.shape[1:] != self.input_shape:
            found = f"{samples.dtype} {list(samples.shape)}"
            raise InputError(f"{self.signature.input}: {found} found, float32 {list(wanted)} wanted")
        if not np.isfinite(samples).all():
            raise InputError(f"{self.signature.input}: NaN or infinity found, finite numbers wanted")
        if self._threads == 1 or len(samples) < PARALLEL_THRESHOLD * self._threads:
            return self._run(self._session, samples)
        rounds = math.ceil(len(samples) / (CHUNK * self._threads))
        parts = np.array_split(samples, rounds * self._threads)
        done = self._pool.map(functools.partial(self._run, self._of_one_thread), parts)
        return tuple(np.concatenate(outputs) for outputs in zip(*done, strict=True))

    def batched(self, samples: ArrayF32, batch: int = BATCH) -> tuple[ArrayF32, ...]:
        """The same as a call, `batch` samples at a time, so that memory stays flat."""
        parts = [self(samples[start : start + batch]) for start in range(0, max(len(samples), 1), batch)]
        return tuple(np.concatenate(outputs) for outputs in zip(*parts, strict=True))

    @functools.cached_property
    def _of_one_thread(self) -> ort.InferenceSession:
        return make_session(self._model, self._name, threads=1)

    @functools.cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads)

    def _run(self, session: ort.InferenceSession, samples: ArrayF32) -> tuple[ArrayF32, ...]:
        try:
            outputs = session.run(list(self.signature.outputs), {self.signature.input: samples})
        except Exception as error:  # see `session`
            raise InputError(f"{self._name}: onnxruntime cannot run it ({_first_line(error)})") from error
        return tuple(cast(list[ArrayF32], outputs))

    def _output(self, name: str) -> Any:
        return next(output for output in self._session.get_outputs() if output.name == name)


def load_graph(signature: Signature, path: Path | None = None, threads: int = 0) -> Graph:
    """The graph in `path` (a file, or a folder that holds `signature.file`), or the shipped one when None.

    `threads` 0 means one a usable core. Raises InputError when the file is no such graph.
    """
    name = signature.file if path is None else str(graph_file(signature, path))
    return Graph(read_graph(signature, path), signature, name, threads)


def read_graph(signature: Signature, path: Path | None) -> bytes:
    """The bytes that `load` makes a graph of: the shipped file by its hash, any other as `strangers.read_model` allows.

    Raises InputError otherwise.
    """
    if path is None:
        return _shipped_bytes(signature.file)
    from gan_denoise.export.model_check import (
        load_untrusted_model,  # onnx takes its time, and the shipped model needs none
    )

    return load_untrusted_model(graph_file(signature, path))


def graph_file(signature: Signature, path: Path | None) -> Path:
    """The file that `load` reads."""
    folder = path or SHIPPED
    return folder / signature.file if folder.is_dir() else folder


def make_session(model: bytes, name: str, threads: int = 0, profile: Path | None = None) -> ort.InferenceSession:
    """A session of onnxruntime on the CPU; `threads` 0 means one a usable core.

    With `profile` the session writes what each node took to a file whose name starts so. Raises InputError when
    onnxruntime refuses the model.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    options.log_severity_level = 4  # errors reach the user through exceptions
    try:
        # Without a fallback, which would try the same again and say so on stdout.
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # onnxruntime raises a dozen types without a common base
        raise InputError(f"{name}: onnxruntime refuses it ({_first_line(error)}), an ONNX model wanted") from error


def _shipped_bytes(file: str) -> bytes:
    try:
        model = (SHIPPED / file).read_bytes()
        if hashlib.sha256(model).hexdigest() == json.loads((SHIPPED / "sha256.json").read_text())[file]:
            return model
        reason = "damaged"
    except (OSError, ValueError, KeyError) as error:
        reason = f"missing or unreadable ({error})"
    raise InputError(f"{file}: {reason}, the shipped model wanted", "pip install --force-reinstall gan-denoise")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:160]


def _check_signature(session: ort.InferenceSession, signature: Signature, name: str) -> None:
    inputs = [i.name for i in session.get_inputs()]
    outputs = [o.name for o in session.get_outputs()]
    if inputs != [signature.input] or not set(signature.outputs) <= set(outputs):
        found = f"{', '.join(inputs)} -> {', '.join(outputs)}"
        raise InputError(f"{name}: {found} found, {signature.input} -> {', '.join(signature.outputs)} wanted")
    if session.get_inputs()[0].type != "tensor(float)":
        raise InputError(f"{name}: {session.get_inputs()[0].type} input found, tensor(float) wanted")


def _sample_shape(shape: list[Any], name: str) -> tuple[int, ...]:
    if not shape or isinstance(shape[0], int) or not all(isinstance(side, int) and side > 0 for side in shape[1:]):
        raise InputError(f"{name}: shape {shape} found, a free batch and fixed sizes wanted")
    return tuple(shape[1:])

"""Load exported graphs and run them with onnxruntime. Imports no torch."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import math
import os
import re
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import InputError, one_line
from gan_denoise.export import providers
from gan_denoise.machine import usable_cores
from gan_denoise.options import BATCH, TILE_SIDE, Provider

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when onnxruntime is imported
import onnxruntime as ort

SHIPPED = Path(__file__).parent / "shipped"
CHUNK = 8  # largest number of samples that a thread takes at a time from a large batch
PARALLEL_THRESHOLD = 4  # samples per thread from which a batch counts as large

MAX_MULTIPLE = 64
MAX_RECEPTIVE_FIELD = TILE_SIDE // 4  # pixels: half of the largest tile is context

# In onnxruntime's messages about a model that was made for a newer version of it.
NEWER = re.compile(r"IR version|\bopset\b|No Op registered|Could not find an implementation", re.IGNORECASE)
UPDATE_HINT = "pip install --upgrade onnxruntime, or export the model again with a lower opset and IR version"

_forks = 0  # number of forks from the first process to this one
_lock = threading.RLock()  # while sessions are made
_sessions: weakref.WeakSet[ort.InferenceSession] = weakref.WeakSet()  # all that live in this process


def _after_fork() -> None:
    global _forks, _lock
    _forks += 1
    _lock = threading.RLock()  # another thread of the parent may have held it
    for session in list(_sessions):  # one more reference: destroying a session waits for its threads for ever
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))
    _sessions.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def creation_lock() -> threading.RLock:
    """The lock under which threads create shared objects once; a forked child has its own."""
    return _lock


@dataclass(frozen=True, slots=True)
class Signature:
    """File name, input name and output names (in order) of a kind of graph; whether its images may have any size."""

    file: str
    input: str
    outputs: tuple[str, ...]
    any_size: bool = False


FUSED = Signature("fused.onnx", "z", ("image", "denoised"))
GENERATOR = Signature("generator.onnx", "z", ("image",))
DENOISER = Signature("denoiser.onnx", "noisy", ("denoised",), any_size=True)
PHOTO = Signature("photo.onnx", "noisy", ("denoised",), any_size=True)  # the shipped denoiser of colour photographs
PHOTO_GREY = Signature("photo-grey.onnx", "noisy", ("denoised",), any_size=True)  # that of grey ones, of one channel
EARLY = Signature("early.onnx", "z", ("image", "denoised"))  # shipped, for the demo: an early epoch of preset `paper`
FEATURES = Signature("features.onnx", "image", ("features", "logits"))
CLASSIFIER_2 = Signature("classifier-2.onnx", "image", ("features", "logits"))  # shipped, to check FFD-1's verdicts


@dataclass(slots=True)
class _Engine:
    """What a graph runs on in one process: a forked child inherits the memory of these, but none of their threads."""

    session: ort.InferenceSession  # its threads share the work of each node
    split: tuple[ort.InferenceSession, ThreadPoolExecutor] | None = None  # for large batches, made by the first one
    forks: int = field(default_factory=lambda: _forks)


class Graph:
    """An ONNX graph with one float32 input, ready to run.

    In a small batch the threads share the work of each node. A large batch is split into chunks of at most CHUNK
    samples; each thread runs whole chunks, which gives the same numbers faster, since no thread waits for another
    between nodes. Another `provider` than the CPU gets whole batches. Threads can share a graph, a forked child makes
    its own sessions at its first call, and a pickled graph carries the model. `input_shape` and `output_shapes` are per
    sample, without the batch; a free side is 0 (only height and width together can be free). `sha256` is that of the
    file, `name` its path or the shipped file's name.
    """

    def __init__(
        self, model: bytes, signature: Signature, name: str, threads: int = 0, provider: Provider = Provider.cpu
    ) -> None:
        self.signature, self.provider = signature, provider
        self.sha256 = hashlib.sha256(model).hexdigest()
        self._arguments = model, signature, name, threads, provider
        self._model, self.name, self._threads = model, name, threads or usable_cores()
        session = make_session(model, name, self._threads, provider=provider)
        try:
            _check_signature(session, signature, name)
            self.input_shape = _sample_shape(session.get_inputs()[0].shape, signature, name)
            shapes = {output.name: output.shape for output in session.get_outputs()}
            self.output_shapes = tuple(_sample_shape(shapes[output], signature, name) for output in signature.outputs)
            self.metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)
        except UnicodeDecodeError as error:
            raise InputError.expected(name, "names and metadata in UTF-8", "other bytes") from error
        self._current = _Engine(self._make_session(self._threads) if self.has_any_size else session)

    def __call__(self, samples: ArrayF32) -> tuple[ArrayF32, ...]:
        """Outputs, each (N, ...), for samples (N, *input_shape) float32; a free side is a multiple of `multiple`.

        Raises InputError when shape or dtype differ or a value is not finite.
        """
        if samples.dtype != np.float32 or not self._fits(samples.shape[1:]):
            free = f"a multiple of {self.multiple}" if 0 in self.input_shape else ""
            expected = f"float32 {['N', *(side or free for side in self.input_shape)]}"
            raise InputError.expected(self.signature.input, expected, f"{samples.dtype} {list(samples.shape)}")
        if not np.isfinite(samples).all():
            raise InputError.expected(self.signature.input, "finite numbers", "NaN or infinity")
        if self._threads == 1 or self.provider is not Provider.cpu or len(samples) < PARALLEL_THRESHOLD * self._threads:
            return self._run(self._engine().session, samples)
        rounds = math.ceil(len(samples) / (CHUNK * self._threads))
        chunks = np.array_split(samples, rounds * self._threads)
        session, pool = self._split_engine()
        results = pool.map(functools.partial(self._run, session), chunks)
        return tuple(np.concatenate(outputs) for outputs in zip(*results, strict=True))

    def batched(self, samples: ArrayF32, batch: int = BATCH) -> tuple[ArrayF32, ...]:
        """The outputs of a call, computed `batch` samples at a time to limit memory."""
        results = [self(samples[start : start + batch]) for start in range(0, max(len(samples), 1), batch)]
        return tuple(np.concatenate(outputs) for outputs in zip(*results, strict=True))

    @property
    def threads(self) -> int:
        """How many threads compute."""
        return self._threads

    @property
    def has_any_size(self) -> bool:
        """Whether images of any height and width can be denoised, as far as they are multiples of `multiple`."""
        return 0 in self.input_shape

    @property
    def multiple(self) -> int:
        """What free sides must be a multiple of, from the metadata; 1 without."""
        return self._number("multiple", "1", 1, MAX_MULTIPLE)

    @property
    def receptive_field(self) -> int:
        """How many pixels away an input pixel can be that changes an output pixel, from the metadata.

        Raises InputError if it is missing or too large for tiles.
        """
        return self._number("receptive_field", "none", 0, MAX_RECEPTIVE_FIELD)

    @property
    def classes(self) -> int:
        """How many of the last entries of z choose the class (see `models.z_layout`); 0 for a graph without classes.

        Raises InputError when the metadata has no number of entries there.
        """
        text = self.metadata.get("classes", "0")
        count = int(text) if text.isdecimal() else -1
        if not 0 <= count < self.input_shape[0]:
            raise InputError.expected(f"{self.name}: classes", f"a number below {self.input_shape[0]}", text)
        return count

    @property
    def class_names(self) -> list[str]:
        """The names of the classes; empty for a graph without classes. Raises InputError when they are not as many."""
        names = self.metadata.get("class_names", "").split(",")
        if names == [""]:
            return []
        if len(names) != self.classes:
            raise InputError.expected(f"{self.name}: class_names", f"{self.classes} names", len(names))
        return names

    def __reduce__(self) -> tuple[type[Graph], tuple[bytes, Signature, str, int, Provider]]:
        return type(self), self._arguments

    def _number(self, key: str, default: str, least: int, most: int) -> int:
        text = self.metadata.get(key, default)
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most):
            raise InputError.expected(f"{self.name}: metadata {key}", f"a number from {least} to {most}", text[:40])
        return int(text)

    def _fits(self, shape: tuple[int, ...]) -> bool:
        if len(shape) != len(self.input_shape):
            return False
        sides = zip(shape, self.input_shape, strict=True)
        return all(side == fixed if fixed else side > 0 and side % self.multiple == 0 for side, fixed in sides)

    def _make_session(self, threads: int) -> ort.InferenceSession:
        return make_session(self._model, self.name, threads, plans_memory=not self.has_any_size, provider=self.provider)

    def _engine(self) -> _Engine:
        """The sessions of this process."""
        with _lock:
            if self._current.forks != _forks:
                self._current = _Engine(self._make_session(self._threads))
            return self._current

    def _split_engine(self) -> tuple[ort.InferenceSession, ThreadPoolExecutor]:
        """The session of one thread and the pool that runs the chunks of a large batch."""
        engine = self._engine()
        with _lock:
            if engine.split is None:
                session = self._make_session(threads=1)
                engine.split = session, ThreadPoolExecutor(self._threads)
            return engine.split

    def _run(self, session: ort.InferenceSession, samples: ArrayF32) -> tuple[ArrayF32, ...]:
        try:
            outputs = session.run(list(self.signature.outputs), {self.signature.input: samples})
        except Exception as error:  # see `make_session`
            raise InputError(f"{self.name}: onnxruntime cannot run it ({one_line(error)})") from error
        return tuple(cast(list[ArrayF32], outputs))


def load_graph(
    signature: Signature, path: Path | None = None, threads: int = 0, provider: Provider = Provider.cpu
) -> Graph:
    """Load the graph in `path` (a file, or a folder that holds `signature.file`), or the shipped one when None.

    `threads` 0 means one per available core; `provider` is any but `auto`, see `provider_choice`. Raises InputError
    when the file is missing or another kind of graph, and if the provider cannot run it.
    """
    name = signature.file if path is None else str(graph_file(signature, path))
    return Graph(read_graph(signature, path), signature, name, threads, provider)


def read_graph(signature: Signature, path: Path | None) -> bytes:
    """Read the file of a graph: the shipped one verified by its hash, any other checked by `load_untrusted_model`.

    Raises InputError when that fails.
    """
    if path is None:
        return _shipped_bytes(signature.file)
    # Imported here: onnx is slow to import, and the shipped model does not need it.
    from gan_denoise.export.model_check import load_untrusted_model

    return load_untrusted_model(graph_file(signature, path))


def graph_file(signature: Signature, path: Path | None) -> Path:
    """The file that `load_graph` reads: `path` itself, or the one in this folder.

    A folder is one that `export` writes, or one for the Hugging Face Hub, which has its graphs in `onnx` and calls the
    fused one `model.onnx`. Raises InputError when a folder holds neither.
    """
    folder = path or SHIPPED
    if not folder.is_dir():
        return folder
    names = (signature.file, "onnx/model.onnx" if signature.file == FUSED.file else f"onnx/{signature.file}")
    file = next((folder / name for name in names if (folder / name).exists()), None)
    if file is None:
        graphs = [path for pattern in ("*.onnx", "onnx/*.onnx") for path in sorted(folder.glob(pattern))]
        got = ", ".join(str(path.relative_to(folder)) for path in graphs) or "no .onnx file"
        raise InputError.expected(folder, f"a folder with {' or '.join(names)}", got)
    return file


def make_session(
    model: bytes,
    name: str,
    threads: int = 0,
    profile: Path | None = None,
    plans_memory: bool = True,
    provider: Provider = Provider.cpu,
) -> ort.InferenceSession:
    """Make an onnxruntime session, on the CPU unless another provider is named; `threads` 0 means one per core.

    With `profile` the session writes the time of each node to a file whose name starts with it. Without `plans_memory`
    it allocates the tensors of each call as they are needed: for a large tile that is half the memory.

    Raises InputError when onnxruntime rejects the model, and as `providers.create_session` does.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    options.enable_mem_pattern = plans_memory
    options.log_severity_level = 4  # errors reach the user through exceptions
    try:
        if provider is Provider.cpu:
            # Without the fallback, which would try again and print to stdout.
            session = ort.InferenceSession(model, options, providers=[providers.CPU], enable_fallback=0)
        else:
            session = providers.create_session(provider, model, options, name, options.intra_op_num_threads)
    except InputError:
        raise
    except Exception as error:  # onnxruntime raises a dozen types without a common base
        reason = one_line(error)
        hint = UPDATE_HINT if NEWER.search(reason) else ""
        raise InputError.expected(name, "an ONNX model", f"a file that onnxruntime rejects ({reason})", hint) from error
    _sessions.add(session)
    return session


def is_shipped(graph: Graph) -> bool:
    """Whether the graph is the shipped one, by its hash."""
    return graph.sha256 == hashlib.sha256(_shipped_bytes(graph.signature.file)).hexdigest()


def shipped_sha256(file: str) -> str:
    """The hash that a shipped graph must have; empty if there is no such graph."""
    try:
        return str(json.loads((SHIPPED / "sha256.json").read_text()).get(file, ""))
    except (OSError, ValueError):
        return ""


def _shipped_bytes(file: str) -> bytes:
    try:
        model = (SHIPPED / file).read_bytes()
        if hashlib.sha256(model).hexdigest() == json.loads((SHIPPED / "sha256.json").read_text())[file]:
            return model
        state = "a damaged file"
    except (OSError, ValueError, KeyError) as error:
        state = f"a missing or unreadable file ({error})"
    raise InputError.expected(file, "the shipped model", state, "pip install --force-reinstall gan-denoise")


def _check_signature(session: ort.InferenceSession, signature: Signature, name: str) -> None:
    inputs = [i.name for i in session.get_inputs()]
    outputs = [o.name for o in session.get_outputs()]
    if inputs != [signature.input] or not set(signature.outputs) <= set(outputs):
        expected = f"a graph {signature.input} -> {', '.join(signature.outputs)}"
        raise InputError.expected(name, expected, f"{', '.join(inputs)} -> {', '.join(outputs)}")
    if session.get_inputs()[0].type != "tensor(float)":
        raise InputError.expected(name, "an input of tensor(float)", session.get_inputs()[0].type)


def _sample_shape(shape: list[Any], signature: Signature, name: str) -> tuple[int, ...]:
    """The sides of a sample, 0 for a free one."""
    sides = [side if isinstance(side, int) else 0 for side in shape]
    is_free = signature.any_size and len(sides) == 4 and sides[2:] == [0, 0] and not any(map(_is_int, shape[2:]))
    fixed = sides[1:2] if is_free else sides[1:]
    if not shape or _is_int(shape[0]) or not all(side > 0 for side in fixed):
        free = " or free height and width" if signature.any_size else ""
        raise InputError.expected(name, f"a free batch and fixed sizes{free}", f"shape {shape}")
    return tuple(sides[1:])


def _is_int(side: object) -> bool:
    return isinstance(side, int)

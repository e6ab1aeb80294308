"""The ways to generate and denoise that the benchmark compares, each in a process of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

import numpy as np
import onnx
from onnx import helper

from gan_denoise.cores import usable_cores
from gan_denoise.errors import GanDenoiseError, InputError, OutputError, UsageError
from gan_denoise.eval import peers
from gan_denoise.eval.peers import Array, Pipeline
from gan_denoise.export import runtime

FUSED, PLAIN, TWO_GRAPHS = "fused", "one plain session", "two graphs"
EAGER, COMPILED = "eager PyTorch", "torch.compile"
LATENCY, THROUGHPUT = "OpenVINO, latency", "OpenVINO, throughput"
SGEMM = "sgemm"
OURS = (FUSED, PLAIN, TWO_GRAPHS)
PEERS = {"torch": (EAGER,), "compile": (COMPILED,), "openvino": (LATENCY, THROUGHPUT)}
WEIGHTS = ("generator.safetensors", "denoiser.safetensors")
FILES = {TWO_GRAPHS: ("generator.onnx", "denoiser.onnx"), EAGER: WEIGHTS, COMPILED: WEIGHTS}
SIDE = 1024  # of sgemm's square matrices


def peers_of(names: str) -> tuple[list[str], dict[str, Path]]:
    """The peers in a list with commas, each once, and the other models in it, NAME=PATH, by name.

    Raises UsageError for a peer that there is not, and for a name that is taken.
    """
    parts = [name for name in dict.fromkeys(part.strip() for part in names.split(",")) if name]
    found, models = [part for part in parts if "=" not in part], [part.split("=", 1) for part in parts if "=" in part]
    if unknown := [name for name in found if name not in PEERS]:
        raise UsageError(f"--vs: {unknown[0]} found, {', '.join(PEERS)} or NAME=FILE|FOLDER wanted")
    taken = [*OURS, *(name for peers in PEERS.values() for name in peers), SGEMM]
    for name, path in models:
        if not name or not path or name in taken:
            raise UsageError(f"--vs: {name}={path} found, a name of its own and a path wanted")
        taken.append(name)
    return found, {name: Path(path) for name, path in models}


def load_pipeline(name: str, model: Path | None, threads: int) -> Pipeline:
    """The contender `name` as a function z -> (image, denoised). `model` as for `runtime.load`."""
    folder, count = model or runtime.SHIPPED, threads or usable_cores()
    loaders: dict[str, Callable[[], Pipeline]] = {
        FUSED: lambda: runtime.load(runtime.FUSED, model, threads),
        PLAIN: lambda: _plain(runtime.FUSED, model, threads),
        TWO_GRAPHS: lambda: _two_graphs(model, threads),
        EAGER: lambda: peers.load_eager(folder, count),
        COMPILED: lambda: peers.load_compiled(folder, count),
        LATENCY: lambda: _openvino(folder, count, throughput=False),
        THROUGHPUT: lambda: _openvino(folder, count, throughput=True),
        SGEMM: lambda: _sgemm(threads),
    }
    return loaders[name]()


def sgemm_gflops(seconds: float) -> float:
    """Billions of operations a second, where a product and a sum are two, from the time of one call of SGEMM."""
    return 2 * SIDE**3 / seconds / 1e9


def _sgemm(threads: int) -> Pipeline:
    """onnxruntime's own product of two matrices, which says what the processor can do; it takes no notice of z."""
    shape, kind = (SIDE, SIDE), onnx.TensorProto.FLOAT
    matrices = [helper.make_tensor_value_info(name, kind, shape) for name in ("a", "b", "product")]
    node = helper.make_node("MatMul", ["a", "b"], ["product"])
    graph = helper.make_graph([node], "sgemm", matrices[:2], matrices[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = runtime.session(model.SerializeToString(), "sgemm", threads)
    full = dict.fromkeys(("a", "b"), np.full(shape, 0.5, np.float32))
    return lambda z: tuple(session.run(["product"], full))


def _openvino(path: Path, threads: int, throughput: bool) -> Pipeline:
    runtime.load(runtime.FUSED, path, threads=1)  # refuses what is no such graph
    return peers.load_openvino(runtime.file_of(runtime.FUSED, path), threads, throughput)


def _plain(signature: runtime.Signature, model: Path | None, threads: int) -> Pipeline:
    """The graph as anybody would run it: one session, one call a batch."""
    session = runtime.session(runtime.read(signature, model), signature.file, threads)
    return lambda samples: tuple(session.run(list(signature.outputs), {signature.input: samples}))


def _two_graphs(model: Path | None, threads: int) -> Pipeline:
    generator = _plain(runtime.GENERATOR, model, threads)
    denoiser = _plain(runtime.DENOISER, model, threads)

    def in_turn(z: Array) -> tuple[Array, ...]:
        (image,) = generator(z)
        return image, *denoiser(image)

    return in_turn


def reason_to_skip(name: str, model: Path | None) -> str | None:
    """Why a contender cannot run here, or None when it can be tried."""
    if name in (FUSED, PLAIN):
        return None
    if name in (LATENCY, THROUGHPUT):
        return None if peers.openvino_installed() else "openvino: not installed"
    if name in (EAGER, COMPILED) and not peers.torch_installed():
        return "torch: not installed"
    if name == COMPILED and not peers.compiler_installed():
        return "g++: not installed"
    if model is not None and not model.is_dir():
        return f"{model}: one file found, a folder with both networks wanted"
    folder = model or runtime.SHIPPED
    missing = [file for file in FILES[name] if not (folder / file).exists()]
    return f"{folder}: no {' and no '.join(missing)} found" if missing else None


class Worker:
    """A contender in a process of its own: sessions whose threads spin in one process spoil each other's times.

    A context manager; the process ends with it. Raises what loading the contender raised.
    """

    def __init__(self, name: str, model: Path | None, threads: int, title: str = "") -> None:
        self.name = title or name
        context = multiprocessing.get_context("spawn")  # a fork would copy the parent's threads' locks
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, name, model, threads), daemon=True)
        self._process.start()
        theirs.close()
        try:
            self._ask(None)
        except BaseException:
            self._stop()
            raise

    def time(self, z: Array, calls: int) -> list[float]:
        """Seconds of each of `calls` calls with z (N, latent), after one that is not counted. Raises as `run`."""
        durations, _ = self._ask((z, calls))
        return durations

    def run(self, z: Array) -> tuple[Array, ...]:
        """(image, denoised) for z (N, latent). Raises InputError when it fails, OutputError when its process ended."""
        _, outputs = self._ask((z, 0))
        return outputs

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _ask(self, question: tuple[Array, int] | None) -> tuple[list[float], tuple[Array, ...]]:
        """The answer to (z, calls), or to None whether it is ready."""
        try:
            self._pipe.send(question)
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._process.join()
            code = self._process.exitcode
            hint = "free some memory" if code and code < 0 else ""
            raise OutputError(f"{self.name}: its process ended with {code}", hint) from error
        if isinstance(answer, GanDenoiseError):
            raise answer
        durations, outputs = answer
        return durations, outputs

    def _stop(self) -> None:
        self._pipe.close()
        self._process.terminate()
        self._process.join()


def _serve(pipe: Connection, name: str, model: Path | None, threads: int) -> None:
    """The worker's side: load, then answer requests until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us
    pipeline: Pipeline | None = None
    with contextlib.suppress(EOFError, OSError):  # the other side is gone
        while True:
            question = pipe.recv()
            try:
                pipeline = pipeline or load_pipeline(name, model, threads)
                pipe.send(([], ()) if question is None else _answer(pipeline, *question))
            except GanDenoiseError as error:
                pipe.send(error)
            except OSError:
                raise
            except Exception as error:  # whatever a peer and its compiler raise
                reason = (str(error).strip() or "no reason given").splitlines()[0][:160]
                pipe.send(InputError(f"{name}: {type(error).__name__} ({reason})"))


def _answer(pipeline: Pipeline, z: Array, calls: int) -> tuple[list[float], tuple[Array, ...]]:
    outputs = pipeline(z)
    durations = _durations(pipeline, z, calls)
    return durations, () if calls else tuple(np.asarray(output) for output in outputs)


def _durations(pipeline: Pipeline, z: Array, calls: int) -> list[float]:
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        pipeline(z)
        seconds.append(time.perf_counter() - start)
    return seconds

"""The backends that the benchmark compares: load each as a function from z to images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import UsageError
from gan_denoise.eval.bench import third_party
from gan_denoise.eval.bench.third_party import Pipeline
from gan_denoise.eval.labels import COMPILED, EAGER, FUSED, LATENCY, OWN_PRECISION, PLAIN, SGEMM, THROUGHPUT, TWO_GRAPHS
from gan_denoise.export import runtime
from gan_denoise.machine import computes_bfloat16, usable_cores
from gan_denoise.options import Provider

BUILTIN_BACKENDS = (FUSED, PLAIN, TWO_GRAPHS)
THIRD_PARTY = {"torch": (EAGER,), "compile": (COMPILED,), "openvino": (LATENCY, THROUGHPUT, OWN_PRECISION)}
WEIGHTS = ("generator.safetensors", "denoiser.safetensors")
FILES = {TWO_GRAPHS: ("generator.onnx", "denoiser.onnx"), EAGER: WEIGHTS, COMPILED: WEIGHTS}
SIDE = 1024  # of the square matrices of SGEMM


def parse_backends(names: str) -> tuple[list[str], dict[str, Path]]:
    """The third-party backends in a comma-separated list, each once, and its other models NAME=PATH, by name.

    Raises UsageError for an unknown backend and for a name that another row has.
    """
    parts = [name for name in dict.fromkeys(part.strip() for part in names.split(",")) if name]
    third_party_names = [part for part in parts if "=" not in part]
    models = [part.split("=", 1) for part in parts if "=" in part]
    if unknown := [name for name in third_party_names if name not in THIRD_PARTY]:
        raise UsageError.expected("--vs", f"{', '.join(THIRD_PARTY)} or NAME=FILE|FOLDER", unknown[0])
    taken = [*BUILTIN_BACKENDS, *(title for titles in THIRD_PARTY.values() for title in titles), SGEMM]
    for name, path in models:
        if not name or not path or name in taken:
            raise UsageError.expected("--vs", "NAME=PATH with a name that no other row has", f"{name}={path}")
        taken.append(name)
    return third_party_names, {name: Path(path) for name, path in models}


def load_pipeline(name: str, model: Path | None, threads: int, provider: Provider = Provider.cpu) -> Pipeline:
    """The backend `name` as a function z -> (image, denoised). `model` and `provider`, of FUSED, as in `load_graph`."""
    folder, count = model or runtime.SHIPPED, threads or usable_cores()
    loaders: dict[str, Callable[[], Pipeline]] = {
        FUSED: lambda: runtime.load_graph(runtime.FUSED, model, threads, provider),
        PLAIN: lambda: _plain(runtime.FUSED, model, threads),
        TWO_GRAPHS: lambda: _two_graphs(model, threads),
        EAGER: lambda: third_party.load_eager(folder, count),
        COMPILED: lambda: third_party.load_compiled(folder, count),
        LATENCY: lambda: _openvino(folder, count, throughput=False),
        THROUGHPUT: lambda: _openvino(folder, count, throughput=True),
        OWN_PRECISION: lambda: _openvino(folder, count, throughput=False, precision=""),
        SGEMM: lambda: _sgemm(threads),
    }
    return loaders[name]()


def sgemm_gflops(seconds: float) -> float:
    """GFLOP/s of SGEMM from the seconds of one call; a multiply-add counts as two operations."""
    return 2 * SIDE**3 / seconds / 1e9


def _sgemm(threads: int) -> Pipeline:
    """onnxruntime's matrix product, a measure of what the processor can do; it ignores z."""
    shape, kind = (SIDE, SIDE), onnx.TensorProto.FLOAT
    matrices = [helper.make_tensor_value_info(name, kind, shape) for name in ("a", "b", "product")]
    node = helper.make_node("MatMul", ["a", "b"], ["product"])
    graph = helper.make_graph([node], "sgemm", matrices[:2], matrices[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = runtime.make_session(model.SerializeToString(), "sgemm", threads)
    full = dict.fromkeys(("a", "b"), np.full(shape, 0.5, np.float32))
    return lambda z: tuple(session.run(["product"], full))


def _openvino(path: Path, threads: int, throughput: bool, precision: str = "f32") -> Pipeline:
    runtime.load_graph(runtime.FUSED, path, threads=1)  # raises InputError for another graph
    return third_party.load_openvino(runtime.graph_file(runtime.FUSED, path), threads, throughput, precision)


def _plain(signature: runtime.Signature, model: Path | None, threads: int) -> Pipeline:
    """The graph in its simplest use: one session, one call per batch."""
    session = runtime.make_session(runtime.read_graph(signature, model), signature.file, threads)
    return lambda samples: tuple(session.run(list(signature.outputs), {signature.input: samples}))


def _two_graphs(model: Path | None, threads: int) -> Pipeline:
    generator = _plain(runtime.GENERATOR, model, threads)
    denoiser = _plain(runtime.DENOISER, model, threads)

    def run(z: ArrayF32) -> tuple[ArrayF32, ...]:
        (image,) = generator(z)
        return image, *denoiser(image)

    return run


def reason_to_skip(name: str, model: Path | None) -> str | None:
    """Why a backend cannot run here, or None if it can be tried."""
    if name in (FUSED, PLAIN):
        return None
    if name in THIRD_PARTY["openvino"]:
        if not third_party.openvino_installed():
            return "openvino: not installed"
        is_float32 = name == OWN_PRECISION and computes_bfloat16() is False
        return "the processor has no bfloat16, so it is float32 as in the other rows" if is_float32 else None
    if name in (EAGER, COMPILED) and not third_party.torch_installed():
        return "torch: not installed"
    if name == COMPILED and not third_party.compiler_installed():
        return "g++: not installed"
    if model is not None and not model.is_dir():
        return f"{model}: expected a folder with both networks, got one file"
    folder = model or runtime.SHIPPED
    missing = [file for file in FILES[name] if not (folder / file).exists()]
    return f"{folder}: {' and '.join(missing)} not found" if missing else None

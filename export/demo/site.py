"""Write the page that runs the model in the browser: a folder that any static host can serve."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from gan_denoise import __version__
from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import InputError, OutputError
from gan_denoise.export import latents, runtime
from gan_denoise.export.runtime import DENOISER, FUSED, Graph
from gan_denoise.files import staging_dir
from gan_denoise.models.z_layout import chosen_class, split_z

SOURCE = Path(__file__).parent
RUNTIME = SOURCE / "ort"  # of npm's onnxruntime-web
BINARY = "ort-wasm-simd-threaded.wasm"
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", BINARY, "onnxruntime-LICENSE.txt", "onnxruntime-ThirdPartyNotices.txt")
DIRECTIONS = 6  # sliders of the page
SAMPLED = 1_000  # images that tell which directions change them most


def write_site(model: Path | None, out: Path, force: bool = False) -> None:
    """Write the page with the graphs of the folder `model` (None: the shipped ones) to the folder `out`.

    Raises InputError when the folder's graphs are not a generator and a denoiser of grey images, or when the runtime
    for the browser was not fetched; OutputError when `out` holds anything and `force` is not set, or writing fails.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not force:
        raise OutputError(f"{out}: exists and is not empty, kept as it is", "--force replaces what it holds")
    fused, graphs = _read(model)
    sources = [*_page_files(), *_runtime_files()]
    about = {**_describe(fused), "files": _integrity({**graphs, BINARY: (RUNTIME / BINARY).read_bytes()})}
    try:
        with staging_dir(out) as staging:
            for source in sources:
                shutil.copyfile(source, staging / source.name)
            for file, content in graphs.items():
                (staging / file).write_bytes(content)
            (staging / "model.json").write_text(json.dumps(about, indent=1) + "\n")
            out.mkdir(exist_ok=True)
            for path in sorted(staging.iterdir()):
                path.replace(out / path.name)
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror or error}", "choose another --out, or free some space") from error


def directions(fused: Graph, count: int = DIRECTIONS) -> ArrayF32:
    """The `count` directions of the latent space that change images most, (count, size) float32 and orthonormal.

    They are the largest singular vectors of the linear map that comes nearest to the generator within each class. The
    entries that choose the class are 0.
    """
    size, classes = fused.input_shape[0], fused.classes
    z = latents.latents(0, 0, SAMPLED, size)
    free, _ = split_z(z, classes)  # (N, size - classes)
    pixels = fused.batched(z)[0].reshape(SAMPLED, -1)
    label = chosen_class(z, classes) if classes else np.zeros(SAMPLED, np.intp)
    for of_class in (label == number for number in np.unique(label)):
        pixels[of_class] -= pixels[of_class].mean(axis=0)
    effect = np.linalg.lstsq(free, pixels, rcond=None)[0]  # (size - classes, pixels)
    found = np.zeros((min(count, size - classes), size), np.float32)
    split_z(found, classes)[0][:] = np.linalg.svd(effect, full_matrices=False)[0].T[:count]
    return found


def _read(model: Path | None) -> tuple[Graph, dict[str, bytes]]:
    """The fused graph, and the files of both graphs, once they fit."""
    if model is not None and not model.is_dir():
        raise InputError(f"{model}: no folder found, one with {FUSED.file} and {DENOISER.file} wanted", "export RUN")
    fused, denoiser = runtime.load_graph(FUSED, model), runtime.load_graph(DENOISER, model)
    shape = fused.output_shapes[0]
    if len(shape) != 3 or shape[0] != 1:
        raise InputError(f"image: {list(shape)} found, one channel, height and width wanted")
    if denoiser.input_shape != shape:
        raise InputError(f"noisy: {list(denoiser.input_shape)} found, {list(shape)} as the fused graph wanted")
    return fused, {signature.file: runtime.read_graph(signature, model) for signature in (FUSED, DENOISER)}


def _page_files() -> list[Path]:
    return [path for path in SOURCE.iterdir() if path.suffix in (".html", ".css", ".js", ".svg")]


def _runtime_files() -> list[Path]:
    files = [RUNTIME / name for name in RUNTIME_FILES]
    if missing := [file.name for file in files if not file.exists()]:
        raise InputError(f"{missing[0]}: missing, onnxruntime-web wanted", "make demo, in a clone, fetches it with npm")
    return files


def _describe(fused: Graph) -> dict[str, Any]:
    names = fused.metadata.get("class_names", "")
    return {
        "version": __version__,
        "latent": fused.input_shape[0],
        "size": fused.output_shapes[0][1:],
        "classes": names.split(",") if names else [],
        "directions": np.round(directions(fused).astype(float), 6).tolist(),
    }


def _integrity(files: dict[str, bytes]) -> dict[str, str]:
    """Of each file the hash that the browser holds it against."""
    digests = {name: hashlib.sha256(content).digest() for name, content in files.items()}
    return {name: f"sha256-{base64.b64encode(digest).decode()}" for name, digest in digests.items()}

"""Write the page that runs the model in the browser, as a folder for any static host."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from gan_denoise import __version__
from gan_denoise.data.dataset_options import FASHION_MNIST
from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import InputError, OutputError
from gan_denoise.export import latents, runtime
from gan_denoise.export.runtime import DENOISER, EARLY, FUSED, PHOTO, PHOTO_GREY, Graph
from gan_denoise.export.training_data import TITLES, from_metadata
from gan_denoise.files import check_empty, make_folder, move_file, staging_dir
from gan_denoise.models.z_layout import chosen_class, split_z

SOURCE = Path(__file__).parent
RUNTIME = SOURCE / "ort"  # files of the npm package onnxruntime-web
BINARY = "ort-wasm-simd-threaded.wasm"
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", BINARY, "onnxruntime-LICENSE.txt", "onnxruntime-ThirdPartyNotices.txt")
PAGE = "index.html"
DIRECTIONS = 6  # sliders on the page
SAMPLES = 1_000  # images that the directions are fitted on
PHOTO_TILE = 768  # pixels of the largest tile of a photograph: smaller than `denoise` uses, for phones' memory
MAX_PHOTO_PIXELS = 4_000_000  # larger photographs are scaled down


def write_site(model: Path | None, out: Path, force: bool = False, early: Path | None = None) -> None:
    """Write the page with the graphs in the folder `model` (None: the shipped model) to the folder `out`.

    The page shows images of the fused graph in the folder `early` beside those of the model. That of the shipped model
    has such a graph of its own, and the shipped denoisers of photographs, if there are some. Raises InputError if the
    graphs are not a generator and a denoiser of the same grey or colour images, if a shipped graph is damaged, or if
    the browser runtime was not fetched; OutputError if `out` is not empty and `force` is not set, or writing fails.
    """
    check_empty(out, force, "--force replaces the files in it")
    fused, graphs = _read_model(model)
    early_graph = None
    if early is not None or (model is None and (runtime.SHIPPED / EARLY.file).exists()):
        early_graph, graphs[EARLY.file] = _read_early(early, fused)
    photo = runtime.load_graph(PHOTO) if PHOTO.file in graphs else None
    sources = [*_page_files(), *_runtime_files()]
    integrity = _integrity({**graphs, BINARY: (RUNTIME / BINARY).read_bytes()})
    description = {
        **_describe(fused),
        "early": _describe_early(early_graph),
        "photo": _describe_photo(photo),
        "files": integrity,
    }
    try:
        with staging_dir(out) as staging:
            for source in sources:
                shutil.copyfile(source, staging / source.name)
            page = (staging / PAGE).read_text().replace("{training data}", _training_data(fused, photo))
            (staging / PAGE).write_text(page)
            for file, content in graphs.items():
                (staging / file).write_bytes(content)
            (staging / "model.json").write_text(json.dumps(description, indent=1) + "\n")
            make_folder(out)
            for path in sorted(staging.iterdir()):
                move_file(path, out / path.name)
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror or error}", "choose another --out, or free some space") from error


def find_directions(fused: Graph, count: int = DIRECTIONS) -> ArrayF32:
    """The `count` latent directions that change images most, orthonormal, (count, latent size) float32.

    They are the leading singular vectors of the least-squares linear map from latents to pixels within each class.
    Entries that choose the class are 0.
    """
    size, classes = fused.input_shape[0], fused.classes
    z = latents.latents(0, 0, SAMPLES, size)
    free, _ = split_z(z, classes)  # (N, size - classes)
    pixels = fused.batched(z)[0].reshape(SAMPLES, -1)
    label = chosen_class(z, classes) if classes else np.zeros(SAMPLES, np.intp)
    for members in (label == number for number in np.unique(label)):
        pixels[members] -= pixels[members].mean(axis=0)
    effect = np.linalg.lstsq(free, pixels, rcond=None)[0]  # (size - classes, pixels)
    directions = np.zeros((min(count, size - classes), size), np.float32)
    split_z(directions, classes)[0][:] = np.linalg.svd(effect, full_matrices=False)[0].T[:count]
    return directions


def _read_model(model: Path | None) -> tuple[Graph, dict[str, bytes]]:
    """The fused graph, and the content of all graph files of the page by name, after checking their shapes."""
    if model is not None and not model.is_dir():
        expected = f"a folder with {FUSED.file} and {DENOISER.file}"
        raise InputError.expected(model, expected, "no folder", "gan-denoise export RUN --out DIR writes one")
    fused, denoiser = runtime.load_graph(FUSED, model), runtime.load_graph(DENOISER, model)
    shape = fused.output_shapes[0]
    if len(shape) != 3 or shape[0] not in (1, 3):
        expected = "grey or colour images, [1 or 3, height, width]"
        raise InputError.expected(FUSED.file, expected, f"images of shape {list(shape)}")
    if denoiser.input_shape != shape:
        expected, got = f"images of shape {list(shape)}, as {FUSED.file} has", f"shape {list(denoiser.input_shape)}"
        raise InputError.expected(DENOISER.file, expected, got)
    has_photo = model is None and all((runtime.SHIPPED / photo.file).exists() for photo in (PHOTO, PHOTO_GREY))
    signatures = (FUSED, DENOISER, PHOTO, PHOTO_GREY) if has_photo else (FUSED, DENOISER)
    return fused, {signature.file: runtime.read_graph(signature, model) for signature in signatures}


def _read_early(early: Path | None, fused: Graph) -> tuple[Graph, bytes]:
    """The graph that is shown beside the model, and its file: of images of the same shape; None is the shipped one."""
    signature = EARLY if early is None else FUSED
    graph = runtime.load_graph(signature, early)
    if graph.output_shapes[0] != fused.output_shapes[0]:
        expected, got = (f"images of shape {list(each.output_shapes[0])}" for each in (fused, graph))
        raise InputError.expected(early or EARLY.file, f"{expected}, as the model has", got)
    return graph, runtime.read_graph(signature, early)


def _page_files() -> list[Path]:
    return [path for path in SOURCE.iterdir() if path.suffix in (".html", ".css", ".js", ".svg")]


def _runtime_files() -> list[Path]:
    files = [RUNTIME / name for name in RUNTIME_FILES]
    if missing := [file.name for file in files if not file.exists()]:
        message = f"{RUNTIME / missing[0]}: not found, part of onnxruntime-web"
        raise InputError(message, "make demo, in a clone of the repository, fetches it with npm")
    return files


def _describe(fused: Graph) -> dict[str, Any]:
    names = fused.metadata.get("class_names", "")
    return {
        "version": __version__,
        "is_shipped": runtime.is_shipped(fused),
        "latent": fused.input_shape[0],
        "size": fused.output_shapes[0][1:],
        "channels": fused.output_shapes[0][0],
        "classes": names.split(",") if names else [],
        "directions": np.round(find_directions(fused).astype(float), 6).tolist(),
    }


def _describe_early(graph: Graph | None) -> dict[str, Any] | None:
    """The entries of a latent, and the epoch that an export of `--epoch` records."""
    if graph is None:
        return None
    return {"latent": graph.input_shape[0], "epoch": graph.metadata.get("epoch"), "is_paper": graph.signature == EARLY}


def _describe_photo(photo: Graph | None) -> dict[str, int] | None:
    """What the page needs to know to denoise photographs in tiles."""
    if photo is None:
        return None
    sizes = {"tile": PHOTO_TILE, "max_pixels": MAX_PHOTO_PIXELS}
    return {"multiple": photo.multiple, "receptive_field": photo.receptive_field, **sizes}


def _training_data(*graphs: Graph | None) -> str:
    """The training data that the graphs record, with the licence of known data, in HTML."""
    found = [data for graph in graphs if graph is not None for data in from_metadata(graph.metadata)]
    names = [data.name or "not recorded" for data in found] or ["not recorded"]
    texts = [TITLES.get(name, name) + (" (MIT, Zalando SE)" if name == FASHION_MNIST else "") for name in names]
    return html.escape(", ".join(texts))


def _integrity(files: dict[str, bytes]) -> dict[str, str]:
    """The subresource-integrity hash of each file, which the browser checks."""
    digests = {name: hashlib.sha256(content).digest() for name, content in files.items()}
    return {name: f"sha256-{base64.b64encode(digest).decode()}" for name, digest in digests.items()}

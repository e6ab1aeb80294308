"""The folder that an export makes: graphs, the weights they came from, and their hashes, all or nothing."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from gan_denoise import __version__
from gan_denoise.data.fashion_mnist import CLASSES, SIDE
from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import OutputError
from gan_denoise.export.convert import parity, weights
from gan_denoise.export.convert.fuse import fuse
from gan_denoise.export.convert.to_onnx import to_onnx, with_metadata
from gan_denoise.export.latents import latents
from gan_denoise.export.run_folder import RunFolder, StageFolder
from gan_denoise.export.runtime import DENOISER, FEATURES, FUSED, GENERATOR, Graph
from gan_denoise.files import staging_dir, write_atomic
from gan_denoise.models.conditional_gan import ConditionalGenerator

PIXEL_RANGE = "[0, 1]"
HASHES = "sha256.json"


def export_run(run: Path, out: Path, force: bool = False) -> dict[str, float]:
    """Write `out` from a finished run: the three graphs and two networks' weights, and `features` when the run has it.

    Of a run that went on to the join it takes what the join made, of one that trained no generator the denoiser alone.

    Each graph passes its parity gate before any file is put under its final name. Returns the worst absolute
    difference a graph. Raises InputError when training is not finished, GateError when a graph is wrong,
    OutputError when `out` has files already and `force` is not set, or when writing fails.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not force:
        raise OutputError(f"{out}: exists and is not empty, kept as it is", "--force replaces what it holds")
    differences: dict[str, float] = {}
    networks = RunFolder(run).final
    graphs = {**_image_graphs(networks, differences), **_feature_graph(RunFolder(run).classifier, differences)}
    _publish(networks, out, graphs)
    return differences


def _image_graphs(run: RunFolder, differences: dict[str, float]) -> dict[str, bytes]:
    """The three graphs of z -> image -> denoised, checked, or the last step alone where there is no generator."""
    if run.denoiser.path.exists() and not run.gan.path.exists():
        alone = _denoiser_model(run)
        _checked_denoiser(run, alone, _any_images(_images(run.denoiser.read_fingerprint())), differences)
        return {DENOISER.file: _bytes(alone)}
    generator, fingerprint = weights.load_generator(run.gan.path), run.gan.read_fingerprint()
    classes = _classes(generator, fingerprint)
    makes = with_metadata(to_onnx(generator, GENERATOR, (generator.latent_size,)), _metadata(fingerprint) | classes)
    first = Graph(makes.SerializeToString(), GENERATOR, GENERATOR.file)
    z = latents(0, 0, max(parity.BATCHES), generator.latent_size)
    differences[GENERATOR.file] = parity.check_network(first, generator, z)
    restores = _denoiser_model(run)
    whole = with_metadata(fuse(makes, restores), _metadata(fingerprint, run.denoiser.read_fingerprint()) | classes)
    second = _checked_denoiser(run, restores, first(z)[0], differences)
    fused = Graph(whole.SerializeToString(), FUSED, FUSED.file)
    differences[FUSED.file] = parity.check_fused(fused, first, second, z)
    return {GENERATOR.file: _bytes(makes), DENOISER.file: _bytes(restores), FUSED.file: _bytes(whole)}


def _denoiser_model(run: RunFolder) -> onnx.ModelProto:
    """The graph of noisy images, as large as those it was trained on, to denoised ones."""
    fingerprint = run.denoiser.read_fingerprint()
    return with_metadata(
        to_onnx(weights.load_denoiser(run.denoiser.path), DENOISER, _images(fingerprint)), _metadata(fingerprint)
    )


def _checked_denoiser(run: RunFolder, model: onnx.ModelProto, images: ArrayF32, differences: dict[str, float]) -> Graph:
    """The same, checked on images (N, C, H, W) with noise."""
    graph = Graph(model.SerializeToString(), DENOISER, DENOISER.file)
    noise = latents(1, 0, len(images), int(np.prod(images.shape[1:]))).reshape(images.shape)
    denoiser = weights.load_denoiser(run.denoiser.path)
    differences[DENOISER.file] = parity.check_network(graph, denoiser, images + 0.2 * noise)
    return graph


def _feature_graph(stage: StageFolder, differences: dict[str, float]) -> dict[str, bytes]:
    if not stage.weights("classifier").exists():
        return {}
    network = weights.load_classifier(stage.path)
    model = with_metadata(to_onnx(network, FEATURES, (1, SIDE, SIDE)), _metadata(stage.read_fingerprint()))
    graph = Graph(model.SerializeToString(), FEATURES, FEATURES.file)
    differences[FEATURES.file] = parity.check_network(graph, network, _any_images((1, SIDE, SIDE)))
    return {FEATURES.file: _bytes(model)}


def _any_images(shape: tuple[int, ...]) -> ArrayF32:
    images: ArrayF32 = np.clip(latents(0, 0, max(parity.BATCHES), math.prod(shape)), 0, 1).reshape(-1, *shape)
    return images


def _images(fingerprint: dict[str, Any]) -> tuple[int, ...]:
    """Channels, height and width of the images that a stage was trained on."""
    return tuple(fingerprint.get("image_shape", (1, SIDE, SIDE)))


def _publish(run: RunFolder, out: Path, graphs: dict[str, bytes]) -> None:
    """Put everything in a temporary folder first, then move each file to its final name."""
    try:
        with staging_dir(out) as staging:
            for file, content in graphs.items():
                write_atomic(staging / file, content)
            for source in (*run.gan.path.glob("generator.*"), *run.denoiser.path.glob("denoiser.*")):
                shutil.copyfile(source, staging / source.name)
            new = {file: hashlib.sha256(content).hexdigest() for file, content in graphs.items()}
            out.mkdir(exist_ok=True)
            stay = _hashes_that_stay(out)
            (out / HASHES).unlink(missing_ok=True)  # until all are moved the folder does not count as an export
            for path in [] if FUSED.file in graphs else [out / FUSED.file, *out.glob("generator.*")]:
                stay.pop(path.name, None)  # of a run with another denoiser
                path.unlink(missing_ok=True)
            for path in sorted(staging.iterdir()):
                path.replace(out / path.name)
            write_atomic(out / HASHES, json.dumps({**stay, **new}, indent=1) + "\n")
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror or error}", "choose another --out, or free some space") from error


def _hashes_that_stay(out: Path) -> dict[str, str]:
    """Hashes of graphs of an earlier export, such as the feature network, that this one need not replace."""
    try:
        found: dict[str, str] = json.loads((out / HASHES).read_text())
    except (OSError, ValueError):
        return {}
    return {file: sha256 for file, sha256 in found.items() if (out / file).exists()}


def _metadata(*identities: dict[str, Any]) -> dict[str, str]:
    """What a stranger who holds the file alone can learn about it; several stages are joined by commas."""
    return {
        "version": __version__,
        "config_sha256": ",".join(fingerprint["config_sha256"] for fingerprint in identities),
        "data_sha256": identities[0]["data_sha256"],
        "seed": ",".join(str(fingerprint["seed"]) for fingerprint in identities),
        "pixel_range": PIXEL_RANGE,
    }


def _classes(generator: weights.AnyGenerator, fingerprint: dict[str, Any]) -> dict[str, str]:
    """How many of the last entries of z choose the class, and what the classes are called."""
    if not isinstance(generator, ConditionalGenerator):
        return {}
    names = [name.replace(",", " ") for name in fingerprint.get("classes", CLASSES)]
    return {"classes": str(generator.classes), "class_names": ",".join(names)}


def _bytes(model: onnx.ModelProto) -> bytes:
    content: bytes = model.SerializeToString(deterministic=True)
    return content

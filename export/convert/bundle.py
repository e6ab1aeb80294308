"""Export a run: graphs, the weights that they were converted from, and hashes, published together."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from gan_denoise import __version__
from gan_denoise.data.dataset_options import FASHION_MNIST, DatasetOptions
from gan_denoise.data.fashion_mnist import CLASSES, SIDE
from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import InputError, OutputError, UsageError
from gan_denoise.export import training_data
from gan_denoise.export.convert import parity, weights
from gan_denoise.export.convert.fuse import fuse
from gan_denoise.export.convert.to_onnx import to_onnx, with_metadata
from gan_denoise.export.latents import latents
from gan_denoise.export.run_folder import RunFolder, StageFolder
from gan_denoise.export.runtime import DENOISER, FEATURES, FUSED, GENERATOR, Graph
from gan_denoise.files import check_empty, make_folder, move_file, staging_dir, sync, write_atomic
from gan_denoise.models.conditional_gan import ConditionalGenerator
from gan_denoise.models.depthwise_unet import MULTIPLE, DepthwiseUNet

PIXEL_RANGE = "[0, 1]"
HASHES = "sha256.json"


@dataclass(frozen=True, slots=True)
class _Networks:
    """What is exported: the run with the metadata, and the folders of its generator's and its denoiser's weights."""

    run: RunFolder
    generator: Path
    denoiser: Path
    epoch: int | None = None  # of the generator, or of joint training; None for the final weights


def export_run(run: Path, out: Path, force: bool = False, epoch: int | None = None) -> dict[str, float]:
    """Write the export of a finished run to `out`: its graphs, and the weights of generator and denoiser.

    The graphs are generator, denoiser and fused, and features when the run trained a classifier; of a run without a
    generator the denoiser alone, of one with a classifier alone the features. When the run has joint training, its
    networks are exported. With `epoch` it is the snapshot of that epoch, in float16: of joint training, or of the
    generator, which goes with the finished denoiser. Each graph passes its parity check before any file gets its final
    name.

    Returns the worst absolute difference of each graph. Raises InputError when training is not finished, UsageError
    for an epoch that was not kept, GateError
    when a graph differs from its network, OutputError when `out` has files and `force` is not set, or writing fails.
    """
    _check_run(run)
    check_empty(out, force, "--force overwrites its files")
    differences: dict[str, float] = {}
    networks = _find_networks(RunFolder(run), epoch)
    graphs = {**_image_graphs(networks, differences), **_feature_graph(RunFolder(run).classifier, differences)}
    _publish(networks, out, graphs)
    return differences


def _find_networks(run: RunFolder, epoch: int | None) -> _Networks:
    """The final networks of a run, or those of an epoch."""
    if epoch is None:
        return _Networks(run.final, run.final.gan.path, run.final.denoiser.path)
    stage = next((stage for stage in (run.joint, run.gan, run.denoiser) if stage.path.exists()), run.gan)
    if epoch not in (saved := stage.saved_epochs()):
        kept = ", ".join(map(str, saved)) or "none was kept"
        raise UsageError.expected("--epoch", f"one of {stage.path}: {kept}", epoch)
    if stage == run.joint:
        snapshot = RunFolder(stage.epoch(epoch))
        return _Networks(snapshot, snapshot.gan.path, snapshot.denoiser.path, epoch)
    if stage == run.gan:
        return _Networks(run, stage.epoch(epoch), run.denoiser.path, epoch)
    return _Networks(run, run.gan.path, stage.epoch(epoch), epoch)


def convert_generator(stage: Path) -> Graph:
    """The graph of the generator in the folder of a stage, checked. Raises as `export_run` does."""
    network = weights.load_generator(stage)
    model = to_onnx(network, GENERATOR, (network.latent_size,)).SerializeToString()
    graph = Graph(model, GENERATOR, str(stage))
    parity.check_network(graph, network, latents(0, 0, max(parity.BATCHES), network.latent_size))
    return graph


def _check_run(run: Path) -> None:
    if not run.is_dir():
        raise InputError.expected(run, "the folder of a run", "a file" if run.exists() else "nothing")
    if StageFolder(run).meta.exists():
        raise InputError.expected(run, "the folder of a run", "the folder of one stage", f"give {run.parent}")


def _image_graphs(networks: _Networks, differences: dict[str, float]) -> dict[str, bytes]:
    """The bytes of the checked graphs generator, denoiser and fused; of the denoiser alone without a generator.

    None of a run that trained a classifier alone.
    """
    run = networks.run
    if run.classifier.path.exists() and not run.gan.path.exists() and not run.denoiser.path.exists():
        return {}
    if run.denoiser.path.exists() and not run.gan.path.exists():
        model = _denoiser_model(networks)
        _checked_denoiser(networks, model, _random_images(_denoiser_shape(run)), differences)
        return {DENOISER.file: _to_bytes(model)}
    network, fingerprint = weights.load_generator(networks.generator), run.gan.read_fingerprint()
    classes = _class_metadata(network, fingerprint) | _epoch_metadata(networks)
    generator = with_metadata(to_onnx(network, GENERATOR, (network.latent_size,)), _metadata(fingerprint) | classes)
    generator_graph = Graph(generator.SerializeToString(), GENERATOR, GENERATOR.file)
    z = latents(0, 0, max(parity.BATCHES), network.latent_size)
    differences[GENERATOR.file] = parity.check_network(generator_graph, network, z)
    denoiser = _denoiser_model(networks)
    metadata = _metadata(fingerprint, run.denoiser.read_fingerprint()) | classes
    fused = with_metadata(fuse(generator, denoiser), metadata)
    denoiser_graph = _checked_denoiser(networks, denoiser, generator_graph(z)[0], differences)
    fused_graph = Graph(fused.SerializeToString(), FUSED, FUSED.file)
    differences[FUSED.file] = parity.check_fused(fused_graph, generator_graph, denoiser_graph, z)
    models = {GENERATOR.file: generator, DENOISER.file: denoiser, FUSED.file: fused}
    return {file: _to_bytes(model) for file, model in models.items()}


def _denoiser_model(networks: _Networks) -> onnx.ModelProto:
    """The denoiser's graph: for images of the size that it was trained on, or for photographs of any size."""
    run = networks.run
    network, metadata = weights.load_denoiser(networks.denoiser), _metadata(run.denoiser.read_fingerprint())
    if networks.generator == run.gan.path:  # else the snapshot is of the generator, and this the finished denoiser
        metadata |= _epoch_metadata(networks)
    if not isinstance(network, DepthwiseUNet):
        return with_metadata(to_onnx(network, DENOISER, _denoiser_shape(run)), metadata)
    if run.gan.path.exists():
        hint = "train the photograph denoiser with another --out"
        raise InputError.expected(run.path, "a denoiser for the images of its GAN", "one for photographs", hint)
    metadata |= {"multiple": str(MULTIPLE), "receptive_field": str(network.receptive_field)}
    return with_metadata(to_onnx(network, DENOISER, _denoiser_shape(run), MULTIPLE), metadata)


def _checked_denoiser(
    networks: _Networks, model: onnx.ModelProto, images: ArrayF32, differences: dict[str, float]
) -> Graph:
    """The graph of the denoiser's model, checked on images (N, C, H, W) with added noise."""
    graph = Graph(model.SerializeToString(), DENOISER, DENOISER.file)
    noise = latents(1, 0, len(images), int(np.prod(images.shape[1:]))).reshape(images.shape)
    denoiser = weights.load_denoiser(networks.denoiser)
    differences[DENOISER.file] = parity.check_network(graph, denoiser, images + 0.2 * noise)
    return graph


def _feature_graph(stage: StageFolder, differences: dict[str, float]) -> dict[str, bytes]:
    if not stage.weights("classifier").exists():
        return {}
    network = weights.load_classifier(stage.path)
    metadata = _metadata(stage.read_fingerprint())
    if metadata.get(training_data.NAME) == FASHION_MNIST:
        metadata.pop(training_data.NAME)  # FFD-1 is pinned to the hash of a file without it
    shape = tuple(stage.read_fingerprint().get("image_shape", (1, SIDE, SIDE)))
    model = with_metadata(to_onnx(network, FEATURES, shape), metadata)
    graph = Graph(model.SerializeToString(), FEATURES, FEATURES.file)
    differences[FEATURES.file] = parity.check_network(graph, network, _random_images(shape))
    return {FEATURES.file: _to_bytes(model)}


def _random_images(shape: tuple[int, ...]) -> ArrayF32:
    images: ArrayF32 = np.clip(latents(0, 0, max(parity.BATCHES), math.prod(shape)), 0, 1).reshape(-1, *shape)
    return images


def _denoiser_shape(run: RunFolder) -> tuple[int, ...]:
    """(C, H, W) of the images that the denoiser was trained on: of the crops, if it was trained on crops."""
    fingerprint = run.denoiser.read_fingerprint()
    config = fingerprint["config"]
    if crop := config.get("crop"):
        return config["network"]["channels"], crop, crop
    return tuple(fingerprint.get("image_shape", (1, SIDE, SIDE)))


def _publish(networks: _Networks, out: Path, graphs: dict[str, bytes]) -> None:
    """Write everything to a temporary folder, then move each file to its final name."""
    sources = (*networks.generator.glob("generator.*"), *networks.denoiser.glob("denoiser.*"))
    try:
        with staging_dir(out) as staging:
            for file, content in graphs.items():
                with (staging / file).open("wb") as opened:  # its name is no part of an error
                    opened.write(content)
                    opened.flush()
                    sync(opened.fileno())
            for source in sources:
                shutil.copyfile(source, staging / source.name)
            if (images := _recorded_images(networks.run)) is not None:
                (staging / training_data.IMAGES_FILE).write_text(json.dumps(images.to_json(), indent=1) + "\n")
            new = {file: hashlib.sha256(content).hexdigest() for file, content in graphs.items()}
            make_folder(out)
            remaining = _remaining_hashes(out)
            (out / training_data.IMAGES_FILE).unlink(missing_ok=True)  # of another run
            (out / HASHES).unlink(missing_ok=True)  # the folder is no complete export until all files are moved
            for path in [] if FUSED.file in graphs else [out / FUSED.file, *out.glob("generator.*")]:
                remaining.pop(path.name, None)  # belongs to a run with another denoiser
                path.unlink(missing_ok=True)
            for path in sorted(staging.iterdir()):
                move_file(path, out / path.name)
            write_atomic(out / HASHES, json.dumps({**remaining, **new}, indent=1) + "\n")
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror or error}", "choose another --out, or free some space") from error


def _recorded_images(run: RunFolder) -> DatasetOptions | None:
    """Which images the stages were trained on; None if they do not say, or differ."""
    stages = [stage for stage in (run.gan, run.denoiser, run.classifier) if stage.meta.exists()]
    recorded = {json.dumps(images.to_json()): images for stage in stages if (images := stage.read_images())}
    return next(iter(recorded.values())) if len(recorded) == 1 else None


def _remaining_hashes(out: Path) -> dict[str, str]:
    """Hashes of the graphs of an earlier export, of which this one may keep some, such as the feature network."""
    try:
        hashes: dict[str, str] = json.loads((out / HASHES).read_text())
    except (OSError, ValueError):
        return {}
    return {file: sha256 for file, sha256 in hashes.items() if (out / file).exists()}


def _metadata(*fingerprints: dict[str, Any]) -> dict[str, str]:
    """The origin of a graph, stored inside it; the values of several stages are separated by commas."""
    return {
        "version": __version__,
        "config_sha256": ",".join(fingerprint["config_sha256"] for fingerprint in fingerprints),
        **training_data.to_metadata(fingerprints),
        "seed": ",".join(str(fingerprint["seed"]) for fingerprint in fingerprints),
        "pixel_range": PIXEL_RANGE,
    }


def _epoch_metadata(networks: _Networks) -> dict[str, str]:
    """Which snapshot a graph is of, and that its weights were kept in float16; empty for the final weights."""
    return {} if networks.epoch is None else {"epoch": str(networks.epoch), "weights": "float16"}


def _class_metadata(generator: weights.AnyGenerator, fingerprint: dict[str, Any]) -> dict[str, str]:
    """The number of class entries of z (see `models.z_layout`) and the names of the classes; empty without classes."""
    if not isinstance(generator, ConditionalGenerator) or generator.classes == 1:
        return {}
    names = [name.replace(",", " ") for name in fingerprint.get("classes", CLASSES)]
    return {"classes": str(generator.classes), "class_names": ",".join(names)}


def _to_bytes(model: onnx.ModelProto) -> bytes:
    content: bytes = model.SerializeToString(deterministic=True)
    return content

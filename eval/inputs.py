"""Read sets of images from untrusted files, and load models with the images that they are measured on."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import typer

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.dataset_options import FASHION_MNIST, DatasetOptions
from gan_denoise.data.datasets import SIZES, load_images
from gan_denoise.data.fashion_mnist import SIDE
from gan_denoise.data.image_files import Skipped, check_regular, none_found, walk_image_folders
from gan_denoise.data.images import ImagesU8, to_uint8
from gan_denoise.errors import InputError, UsageError
from gan_denoise.export import runtime
from gan_denoise.export.images import read_image
from gan_denoise.export.provider_choice import load_for
from gan_denoise.export.runtime import DENOISER, Graph, Signature
from gan_denoise.export.training_data import IMAGES_FILE, TrainingData, from_metadata
from gan_denoise.markdown import one_line
from gan_denoise.options import Provider

MAX_BYTES = 8 * 1024**3  # of one file, decompressed: 100,000 images, raw and denoised, as float32 take 0.6
EXPECTED = f"uint8 (N, {SIDE}, {SIDE}) or float32 (N, 1, {SIDE}, {SIDE}) in [0, 1]"
HINT = "gan-denoise generate -n 10000 --out images.npz writes such a file"
MAX_IMAGES_BYTES = 64 * 1024  # of images.json
IMAGES_HINT = "--data PATH says where the images are now, --dataset NAME chooses others"
FILES = "an .npz file or a folder of image files"


def load_image_sets(path: Path) -> dict[str, ImagesU8]:
    """The sets of images in a file or folder as `generate` writes them, each uint8 (N, 28, 28), by name.

    An .npz file holds one set in each array; a folder of numbered .npz files holds parts of the same sets. Elsewhere
    the image files of each folder at or below `path` are one set, named by the path of that folder; what else there is
    is counted on stderr. Raises InputError for missing or damaged files and images of another size or type.
    """
    if path.is_dir():
        shards = sorted(path.glob("[0-9]" * 6 + "*.npz"))
        return _concatenate([load_image_sets(shard) for shard in shards], path) if shards else _load_folder(path)
    if not path.exists():
        raise InputError(f"{path}: not found", HINT)
    check_regular(path)
    if not zipfile.is_zipfile(path):
        raise InputError.expected(path, FILES, "another kind of file", HINT)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())  # zipfile reads no more than this of a part
        if size > MAX_BYTES:
            raise InputError.expected(path, f"at most {MAX_BYTES} bytes of arrays", size, HINT)
        with np.load(path) as arrays:
            sets = {name: _to_levels(arrays[name], f"{path}, {name}") for name in arrays}
    except InputError:
        raise
    except Exception as error:  # zipfile and numpy raise a dozen types for damaged files
        raise InputError.expected(path, "an .npz file of images", f"an unreadable file ({error})", HINT) from error
    if not sets:
        raise InputError.expected(path, "one or more arrays", "none", HINT)
    return sets


def _concatenate(parts: list[dict[str, ImagesU8]], path: Path) -> dict[str, ImagesU8]:
    if any(part.keys() != parts[0].keys() for part in parts):
        raise InputError.expected(path, "the same arrays in each file", "different ones", HINT)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _load_folder(path: Path) -> dict[str, ImagesU8]:
    skipped = Skipped()
    sets = {str(folder): _read_images(files, skipped) for folder, files in walk_image_folders(path, skipped)}
    if not sets:
        raise none_found(path, skipped)
    skipped.report(path)
    return sets


def _read_images(files: list[Path], skipped: Skipped) -> ImagesU8:
    return np.concatenate([to_uint8(read_image(file, (1, SIDE, SIDE), skipped=skipped)) for file in files])


def _to_levels(array: np.ndarray, name: str) -> ImagesU8:
    if array.dtype == np.uint8 and array.shape[1:] == (SIDE, SIDE):
        return array
    if array.dtype == np.float32 and array.shape[1:] == (1, SIDE, SIDE):
        return to_uint8(array)
    raise InputError.expected(name, EXPECTED, f"{array.dtype} {list(array.shape)}", HINT)


def find_dataset(
    signature: Signature, model: Path | None, name: str | None = None, path: Path | None = None
) -> Dataset:
    """The images that a model is measured on: the data set `name`, else the one that its export records.

    A model that records none is measured on Fashion-MNIST. `path` replaces the path. Images get the size and channels
    of the model. Raises InputError as `load_graph` and `load_images` do.
    """
    recorded = None if name or model is None else read_recorded_images(model)
    options = recorded or DatasetOptions(name or FASHION_MNIST)
    if path is not None:
        options = options.moved(path)
    channels, *sides = image_shape(runtime.load_graph(signature, model, 1), signature)
    if options.size is None and len(set(sides)) == 1 and sides[0] in SIZES:
        options = dataclasses.replace(options, size=sides[0], channels=options.channels or channels)
    if not recorded:
        return load_images(options)
    typer.echo(f"images: {one_line(shlex.join(options.arguments()))}", err=True)
    try:
        return load_images(options)
    except UsageError as error:  # not what the user gave
        raise InputError(f"{IMAGES_FILE} of {model}: {error.message}", IMAGES_HINT) from error
    except InputError as error:
        raise InputError(error.message, error.hint or IMAGES_HINT) from error


def read_recorded_images(model: Path) -> DatasetOptions | None:
    """Which images the exported folder or graph was trained on, if it records that. Raises InputError if damaged."""
    file = (model if model.is_dir() else model.parent) / IMAGES_FILE
    if not os.path.lexists(file):
        return None
    check_regular(file)
    try:
        with file.open(encoding="utf-8") as opened:
            return DatasetOptions.from_json(json.loads(opened.read(MAX_IMAGES_BYTES)))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, InputError) as error:
        got = f"a damaged file ({error.message})" if isinstance(error, InputError) else "a damaged file"
        raise InputError.expected(file, "the images that the model was trained on", got, IMAGES_HINT) from error


def image_shape(graph: Graph, signature: Signature) -> tuple[int, ...]:
    """(C, H, W) of the images that a graph takes or makes."""
    return graph.input_shape if signature == DENOISER else graph.output_shapes[0]


def load_model(
    signature: Signature,
    path: Path | None,
    threads: int,
    reference: Dataset,
    other_data: bool = False,
    provider: Provider = Provider.cpu,
) -> Graph:
    """Load a graph by `load_for`, to be measured against the images of `reference`.

    Raises InputError as `load_graph` and `check_training_data` do, and for images of another shape.
    """
    graph = load_for(provider, signature, path, threads)
    shape, expected = image_shape(graph, signature), reference.train.shape
    file = runtime.graph_file(signature, path)
    if shape != expected:
        hint = "--dataset and --data choose other images; generate and denoise accept any model"
        raise InputError.expected(file, f"images of {list(expected)}", list(shape), hint)
    check_training_data(file, from_metadata(graph.metadata), reference, other_data)
    return graph


def check_training_data(model: Path, recorded: Sequence[TrainingData], reference: Dataset, other_data: bool) -> None:
    """Raise InputError if a model was trained on other data than `reference` and `other_data` is not set.

    A data set of the same name and another hash, such as an excerpt, is the same kind of images: stderr gets a line, as
    it does for a model that records no data.
    """
    expected = TrainingData(reference.name, reference.sha256)
    other = _other_data(recorded, reference)
    if other and not other_data:
        got = f"one trained on {' and '.join(map(str, other))}"
        hint = "--dataset and --data choose the images; --other-data measures it on these, and records this"
        raise InputError.expected(model, f"a model trained on {expected}", got, hint)
    if not recorded:
        typer.echo(f"{model}: does not record its training data; compared with {expected}", err=True)
    for data in recorded:
        if data.name == reference.name and data.sha256 != reference.sha256:
            typer.echo(f"{model}: trained on {data}, compared with {expected}", err=True)


def describe_other_data(recorded: Sequence[TrainingData], reference: Dataset) -> dict[str, str]:
    """The setting `other_data` of a result: the training data that differ from `reference`; empty where none do."""
    other = _other_data(recorded, reference)
    return {"other_data": "trained on " + " and ".join(map(str, other))} if other else {}


def _other_data(recorded: Sequence[TrainingData], reference: Dataset) -> list[TrainingData]:
    """The data sets of another name than `reference`; without a name, those of another hash."""
    return [
        data for data in recorded if (data.name != reference.name if data.name else data.sha256 != reference.sha256)
    ]

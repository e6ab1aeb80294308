"""Images of anybody's, read from files as sets of uint8 arrays."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from gan_denoise.data.fashion_mnist import SIDE
from gan_denoise.data.images import ImagesU8, to_uint8
from gan_denoise.errors import InputError
from gan_denoise.export import runtime
from gan_denoise.export.images import read_image
from gan_denoise.export.runtime import DENOISER, Graph, Signature

MAX_BYTES = 8 * 1024**3  # of one file, decompressed: 100,000 images, raw and denoised, as float32 take 0.6
WANTED = f"uint8 (N, {SIDE}, {SIDE}), or float32 (N, 1, {SIDE}, {SIDE}) from 0 to 1,"
HINT = "gan-denoise generate -n 10000 --out images.npz makes one"


def load_image_sets(path: Path) -> dict[str, ImagesU8]:
    """The sets of images in a file or folder, each uint8 (N, 28, 28), by name.

    An .npz file holds a set in each array, and a folder of numbered ones the parts of them; a folder is a set of PNG
    files, or holds a folder for each: all as `generate` writes them. Raises InputError when there is nothing, or a
    image of another size or type.
    """
    if path.is_dir():
        shards = sorted(path.glob("[0-9]" * 6 + "*.npz"))
        return _joined([load_image_sets(shard) for shard in shards], path) if shards else _folder(path)
    if not zipfile.is_zipfile(path):
        found = "another kind of file" if path.exists() else "nothing"
        raise InputError(f"{path}: {found} found, an .npz file or a folder of PNG files wanted", HINT)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())  # zipfile reads no more of a part than this
        if size > MAX_BYTES:
            raise InputError(f"{path}: {size} bytes of arrays found, at most {MAX_BYTES} wanted", HINT)
        with np.load(path) as arrays:
            sets = {name: _as_bytes(arrays[name], f"{path}, {name}") for name in arrays}
    except InputError:
        raise
    except Exception as error:  # zipfile and numpy raise a dozen types over damaged files
        raise InputError(f"{path}: unreadable ({error}), an .npz file with images wanted", HINT) from error
    if not sets:
        raise InputError(f"{path}: no arrays found, one or more wanted", HINT)
    return sets


def _joined(parts: list[dict[str, ImagesU8]], path: Path) -> dict[str, ImagesU8]:
    if any(part.keys() != parts[0].keys() for part in parts):
        raise InputError(f"{path}: files with different arrays found, the same in each wanted", HINT)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _folder(path: Path) -> dict[str, ImagesU8]:
    folders = [path, *sorted(folder for folder in path.iterdir() if folder.is_dir())]
    files = {folder.name: sorted(folder.glob("*.png")) for folder in folders}
    found = {name: _read(names) for name, names in files.items() if names}
    if not found:
        raise InputError(f"{path}: no PNG files found, a folder of them wanted", HINT)
    return found


def _read(files: list[Path]) -> ImagesU8:
    return np.concatenate([to_uint8(read_image(file, (1, SIDE, SIDE))) for file in files])


def _as_bytes(array: np.ndarray, name: str) -> ImagesU8:
    if array.dtype == np.uint8 and array.shape[1:] == (SIDE, SIDE):
        return array
    if array.dtype == np.float32 and array.shape[1:] == (1, SIDE, SIDE):
        return to_uint8(array)
    raise InputError(f"{name}: {array.dtype} {list(array.shape)} found, {WANTED} wanted", HINT)


def load_fashion_model(signature: Signature, path: Path | None, threads: int) -> Graph:
    """The graph that `runtime.load` gives. Raises InputError as it does, and when the images are not 28x28 grey."""
    graph = runtime.load_graph(signature, path, threads)
    shape = graph.input_shape if signature == DENOISER else graph.output_shapes[0]
    if shape != (1, SIDE, SIDE):
        message = f"{runtime.graph_file(signature, path)}: images of {list(shape)} found, {[1, SIDE, SIDE]} wanted"
        raise InputError(message, "these tables are about Fashion-MNIST; generate and denoise take any model")
    return graph

"""Choose the denoiser of an image: by name, by file, or by the image itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gan_denoise.data.fashion_mnist import SIDE
from gan_denoise.errors import InputError
from gan_denoise.export import runtime
from gan_denoise.export.denoise.tiling import Pixels

PHOTO, FASHION = "photo", "fashion"  # names of shipped denoisers
SHIPPED = {PHOTO: runtime.PHOTO, FASHION: runtime.DENOISER}
HINT = f"{PHOTO} and {FASHION} are the shipped models; gan-denoise export RUN --out FOLDER writes one"


class Denoisers:
    """The graphs that a command or program uses, each loaded once, when it is first needed.

    `model` is a name of SHIPPED, a file, or a folder that holds one; None chooses by the image. `./photo` is a file.
    """

    def __init__(self, model: str | None, threads: int = 0) -> None:
        self._model, self._threads = model, threads
        self.used: dict[str, runtime.Graph] = {}  # by name or path
        if model is not None and model not in SHIPPED and not Path(model).exists():
            raise InputError(f"{model}: not found", HINT)

    def load_for(self, sizes: Sequence[tuple[int, int]]) -> None:
        """Load the graph that images of these sizes need: if it is damaged, that is one error, not one per image."""
        names = {FASHION if size == (SIDE, SIDE) else PHOTO for size in sizes}
        self._load(self._model or (PHOTO if PHOTO in names else FASHION))

    def sha256s(self, sizes: Sequence[tuple[int, int]]) -> set[str]:
        """The hashes of the graphs that may be chosen for images of these sizes, after `load_for`."""
        if self._model is not None:
            return {self._load(self._model).sha256}
        names = (PHOTO, FASHION) if (SIDE, SIDE) in sizes else (PHOTO,)  # which of both, the pixels decide
        return {runtime.shipped_sha256(SHIPPED[name].file) for name in names}

    def choose(self, pixels: Pixels) -> runtime.Graph:
        """The graph for an image (H, W) or (3, H, W). Raises InputError if it cannot be loaded."""
        return self._load(self._model or (FASHION if is_fashion_sized(pixels) else PHOTO))

    def _load(self, name: str) -> runtime.Graph:
        with runtime.creation_lock():  # threads that share the graphs load each once
            if name not in self.used:
                path = None if name in SHIPPED else Path(name)
                self.used[name] = runtime.load_graph(SHIPPED.get(name, runtime.DENOISER), path, self._threads)
            return self.used[name]


def is_fashion_sized(pixels: Pixels) -> bool:
    """Whether an image (H, W) or (3, H, W) is grey, by its channels or its values, and 28x28, as Fashion-MNIST's."""
    return pixels.shape[-2:] == (SIDE, SIDE) and is_grey(pixels)


def is_grey(pixels: Pixels) -> bool:
    """Whether an image has no colours: (H, W), or (3, H, W) with equal channels."""
    return pixels.ndim == 2 or bool((pixels == pixels[:1]).all())

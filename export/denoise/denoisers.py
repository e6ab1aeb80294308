"""Choose the denoiser of an image: by name, by file, or by the image itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gan_denoise.data.fashion_mnist import SIDE
from gan_denoise.errors import InputError
from gan_denoise.export import runtime
from gan_denoise.export.denoise.tiling import Pixels, is_grey
from gan_denoise.export.provider_choice import load_for
from gan_denoise.options import FASHION, PHOTO, PHOTO_GREY, Provider

SHIPPED = {PHOTO: runtime.PHOTO, PHOTO_GREY: runtime.PHOTO_GREY, FASHION: runtime.DENOISER}
HINT = f"{PHOTO} and {FASHION} are the shipped models; gan-denoise export RUN --out FOLDER writes one"


class Denoisers:
    """The graphs that a command or program uses, each loaded once, when it is first needed.

    `model` is a name of SHIPPED, a file, or a folder that holds one; None chooses by the image. PHOTO stands for two
    networks: grey images get that of PHOTO_GREY. `./photo` is a file. `provider` is what `load_for` takes.
    """

    def __init__(self, model: str | None, threads: int = 0, provider: Provider = Provider.cpu) -> None:
        self._model, self._threads, self._provider = model, threads, provider
        self._loaded: dict[str, runtime.Graph] = {}  # by name or path
        self.used: dict[str, runtime.Graph] = {}  # those of them that were chosen for an image
        if model is not None and model not in SHIPPED and not Path(model).exists():
            raise InputError(f"{model}: not found", HINT)

    def load_for(self, sizes: Sequence[tuple[int, int]]) -> None:
        """Load the graphs that images of these sizes may need: a damaged one is one error, not one per image."""
        for name in self._names(sizes):
            self._load(name)

    def sha256s(self, sizes: Sequence[tuple[int, int]]) -> set[str]:
        """The hashes of the graphs that may be chosen for images of these sizes, after `load_for`."""
        names = self._names(sizes)  # the pixels decide which of them
        return {runtime.shipped_sha256(SHIPPED[n].file) if n in SHIPPED else self._load(n).sha256 for n in names}

    def choose(self, pixels: Pixels) -> runtime.Graph:
        """The graph for an image (H, W) or (3, H, W). Raises InputError if it cannot be loaded."""
        name = self._model or (FASHION if is_fashion_sized(pixels) else PHOTO)
        name = PHOTO_GREY if name == PHOTO and is_grey(pixels) else name
        graph = self.used[name] = self._load(name)
        return graph

    def _names(self, sizes: Sequence[tuple[int, int]]) -> tuple[str, ...]:
        """The names or paths of the graphs that may be chosen for images of these sizes."""
        if self._model not in (None, PHOTO):
            return (str(self._model),)
        grey = {FASHION if self._model is None and size == (SIDE, SIDE) else PHOTO_GREY for size in sizes}
        return PHOTO, *sorted(grey)

    def _load(self, name: str) -> runtime.Graph:
        with runtime.creation_lock():  # threads that share the graphs load each once
            if name not in self._loaded:
                path = None if name in SHIPPED else Path(name)
                signature = SHIPPED.get(name, runtime.DENOISER)
                self._loaded[name] = load_for(self._provider, signature, path, self._threads)
            return self._loaded[name]


def is_fashion_sized(pixels: Pixels) -> bool:
    """Whether an image (H, W) or (3, H, W) is grey, by its channels or its values, and 28x28, as Fashion-MNIST's."""
    return pixels.shape[-2:] == (SIDE, SIDE) and is_grey(pixels)

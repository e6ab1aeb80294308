"""Find images of one folder that are in another, whole or cropped, scaled, mirrored or turned.

    python scripts/near_duplicates.py ~/.cache/gan-denoise/photographs ../shared/photos

Each image is made grey and small. Each is searched in each of the other folder and the other way round, at several
sizes and in eight orientations, by normalised cross-correlation (Lewis 1995, Fast Template Matching); pairs above LIMIT
once more with three times as many pixels, since two horizons agree in small images. Prints the most similar pairs;
exits with 1 if one is still above LIMIT: look at these. Takes a minute or two for ten thousand pairs.
"""

from __future__ import annotations

import functools
import itertools
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import irfft2, rfft2
from scipy.ndimage import gaussian_filter

from gan_denoise.data.image_files import Skipped, walk_image_folders
from gan_denoise.data.images import ArrayF32
from gan_denoise.data.open_image import open_image

SIDES = (96, 288)  # pixels of the longer side, first and for the pairs that are similar then
FRACTIONS = (1.0, 0.8, 0.64, 0.5, 0.4, 0.32)  # of the longer side that the other image may fill
BLUR = 8.0  # pixels; what is smoother, such as a gradient that any two skies share, is subtracted
LIMIT = 0.75
SHOWN = 20  # pairs
KEPT = 32  # of the larger images; each takes 16 MB


def main(folders: list[str]) -> int:
    """Compare the images of the two folders; print the most similar pairs; return the exit code."""
    ours, others = (_list_images(Path(folder)) for folder in folders)
    print(f"{len(ours)} and {len(others)} images", file=sys.stderr)
    similar = _compare([(path, other) for path in ours for other in others], SIDES[0], len(others))
    similar = _compare(sorted((path, other) for _, path, other in similar), SIDES[1], KEPT)
    return int(bool(similar))


def _compare(pairs: list[tuple[Path, Path]], side: int, kept: int) -> list[tuple[float, Path, Path]]:
    """Print the most similar of the pairs, given by the first image; return those above LIMIT.

    As many images as `kept` stay in memory.
    """
    read = functools.lru_cache(kept)(lambda path: Searchable(path, side))
    scored = []
    for path, of_path in itertools.groupby(pairs, lambda pair: pair[0]):
        image = Searchable(path, side)
        scored += [(max(image.search(read(other)), read(other).search(image)), path, other) for _, other in of_path]
    scored.sort(key=lambda pair: -pair[0])
    similar = [pair for pair in scored if pair[0] > LIMIT]
    print(f"{len(similar)} of {len(pairs)} pairs above {LIMIT} at {side} pixels; the most similar:")
    print("\n".join(f"{similarity:.3f}  {path}  {other}" for similarity, path, other in scored[:SHOWN]))
    return similar


class Searchable:
    """A small grey image that can be searched for others, and searched in others."""

    def __init__(self, path: Path, side: int) -> None:
        image = open_image(path, 1)
        self.image = image.resize(_scaled(image.size, side / max(image.size)), Image.Resampling.BOX)
        self.side = (side, side)
        self.detail = _detail(self.image)  # (H, W), at most `side` each
        self.spectrum = rfft2(self.detail, self.side)
        self._norms: dict[tuple[int, int], ArrayF32] = {}

    @functools.cached_property
    def templates(self) -> list[tuple[tuple[int, int], ArrayF32]]:
        """Shapes (h, w) and spectra (4, S, S // 2 + 1), one a flip, of sizes by FRACTIONS, upright and turned."""
        templates = []
        for fraction in FRACTIONS:
            detail = _detail(self.image.resize(_scaled(self.image.size, fraction), Image.Resampling.BOX))
            detail -= detail.mean()
            norm = np.linalg.norm(detail)
            if norm < np.sqrt(detail.size):  # nothing to be seen
                continue
            for turned in (detail / norm, detail.T / norm):
                flips = np.stack([turned, turned[::-1], turned[:, ::-1], turned[::-1, ::-1]])
                templates.append((turned.shape, np.conj(rfft2(flips, self.side))))
        return templates

    def norms(self, shape: tuple[int, int]) -> ArrayF32:
        """The norm of each part (h, w) of the image less its mean, (H - h + 1, W - w + 1)."""
        if shape not in self._norms:
            sums, squares = (_window_sums(self.detail**power, shape) for power in (1, 2))
            size = shape[0] * shape[1]
            self._norms[shape] = np.sqrt(np.maximum(squares - sums**2 / size, size)).astype(np.float32)
        return self._norms[shape]

    def search(self, other: Searchable) -> float:
        """The highest correlation of `other`, at any size and orientation, with a part of this image, in [-1, 1]."""
        best = -1.0
        height, width = self.detail.shape
        for shape, spectra in other.templates:
            if shape[0] <= height and shape[1] <= width:
                products = irfft2(self.spectrum * spectra, self.side)[
                    :, : height - shape[0] + 1, : width - shape[1] + 1
                ]
                best = max(best, float((products / self.norms(shape)).max()))
        return best


def _list_images(folder: Path) -> list[Path]:
    return [path for _, paths in walk_image_folders(folder, Skipped()) for path in paths]


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _detail(image: Image.Image) -> ArrayF32:
    """The pixels (H, W) without what is smoother than BLUR."""
    pixels = np.asarray(image, np.float32)
    smooth: ArrayF32 = gaussian_filter(pixels, BLUR)
    return pixels - smooth


def _window_sums(pixels: ArrayF32, shape: tuple[int, int]) -> NDArray[np.float64]:
    """The sum of each window (h, w) of an image (H, W), (H - h + 1, W - w + 1)."""
    total: NDArray[np.float64] = np.pad(pixels.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    h, w = shape
    return total[h:, w:] - total[:-h, w:] - total[h:, :-w] + total[:-h, :-w]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

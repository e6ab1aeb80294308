"""Scale photographs down, so that their own noise and JPEG blocks vanish, and cut them into tiles."""

from __future__ import annotations

import numpy as np
from PIL import Image

from gan_denoise.data.images import ImagesU8, from_pil

TILE = 192  # pixels a side
MAX_SCALE = 0.5  # of a photograph: four of its pixels or more make one
SHORT_SIDE = 1200  # pixels; a larger photograph is scaled down to that
RELATIVE_SCALES = (1.0, 0.7, 0.5, 0.35)  # of the largest
STEP = 4  # levels of 255; a larger difference of neighbouring pixels is an edge, a smaller one may be noise
EDGES = 0.01  # share of edges among neighbouring pixels; with fewer, a tile shows a sky or a blurred background
KEEP_FLAT = 4  # one in that many of such tiles is kept: they are a quarter of all and teach little
RULES = (TILE, MAX_SCALE, SHORT_SIDE, RELATIVE_SCALES, STEP, EDGES, KEEP_FLAT)  # all that tiles depend on


def scale_down(image: Image.Image, limit: float | None = None, relative: float = 1.0) -> Image.Image:
    """A photograph in colour at its largest scale times `relative`, with Lanczos filtering.

    The largest scale is `limit`, or MAX_SCALE without one; less if the shorter side would exceed SHORT_SIDE.
    """
    scale = relative * min(limit or MAX_SCALE, SHORT_SIDE / min(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def tile_photograph(image: Image.Image, limit: float | None, relative_scales: tuple[float, ...]) -> list[ImagesU8]:
    """The tiles (3, TILE, TILE) of a photograph at each of the scales, which are relative to its largest.

    Of the flat ones at a scale, one in KEEP_FLAT is kept, starting with the first.
    """
    kept: list[ImagesU8] = []
    for relative in relative_scales:
        flat = 0
        for tile in cut_tiles(from_pil(scale_down(image, limit, relative))):
            if is_flat(tile):
                flat += 1
                if flat % KEEP_FLAT != 1:
                    continue
            kept.append(tile)
    return kept


def cut_tiles(pixels: ImagesU8) -> list[ImagesU8]:
    """Cut an image (3, H, W) into tiles (3, TILE, TILE), row by row; none if one of its sides is shorter.

    Tiles do not overlap, except that the last of a row or column is moved inwards to end at the edge.
    """
    tops, lefts = (_starts(size) for size in pixels.shape[1:])
    return [pixels[:, top : top + TILE, left : left + TILE] for top in tops for left in lefts]


def is_flat(tile: ImagesU8) -> bool:
    """Whether an image (3, H, W) shows next to no edges: a sky, a blurred background, black."""
    grey = tile.mean(0, dtype=np.float32)  # (H, W)
    edges = [(np.abs(np.diff(grey, axis=axis)) > STEP).mean() for axis in (0, 1)]
    return float(np.mean(edges)) < EDGES


def _starts(size: int) -> list[int]:
    """Where tiles start along a side of `size` pixels."""
    if size < TILE:
        return []
    starts = list(range(0, size - TILE + 1, TILE))
    return starts if starts[-1] + TILE == size else [*starts, size - TILE]

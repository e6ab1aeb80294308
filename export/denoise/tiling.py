"""Denoise images of any size in overlapping tiles, one tile's or one row of tiles' floats in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data.images import ImagesF32
from gan_denoise.errors import InputError
from gan_denoise.export.runtime import Graph
from gan_denoise.options import TILE_SIDE

MODEL_HINT = "gan-denoise export RUN --out FOLDER writes one"
Pixels = NDArray[Any]  # of one image, (H, W) or (3, H, W): uint8, uint16, or floats whose clean image is in [0, 1]
Advance = Callable[[int], object]  # called with the number of pixels just done


def ignore(pixels: int) -> None:
    """Show no progress."""


def denoise_pixels(
    graph: Graph, pixels: Pixels, strength: float = 1, advance: Advance = ignore, name: object = "image"
) -> Pixels:
    """The denoised image in the shape and type of `pixels`, clipped to its range.

    The result is input + `strength` x (denoised - input). A grey image is given to a graph of three channels as three
    equal ones and is the mean of its output; three equal channels are given to a graph of one channel as one. Raises
    InputError if a graph of one channel is given colours, if an image is smaller than a graph of fixed size, if the
    graph is no denoiser of images or its output is not finite, and as `graph` does; `name` is what the error calls the
    image.
    """
    if pixels.ndim == 3 and graph.input_shape[0] == 1 and is_grey(pixels):
        return np.broadcast_to(denoise_pixels(graph, pixels[0], strength, advance, name), pixels.shape)
    planes = pixels[None] if pixels.ndim == 2 else pixels  # (1 or 3, H, W)
    _check_fits(graph, planes.shape, name)
    result = np.empty_like(planes)  # in the order of `planes`
    if graph.has_any_size:
        for tile in list_tiles(graph, *planes.shape[1:]):
            denoised = _denoise_tile(graph, planes, tile)
            _blend(planes[tile.inner], denoised, strength, result[tile.inner])
            advance(denoised[0].size)
    else:
        denoised = denoise_tiled(graph, _to_channels(to_unit(planes), graph.input_shape[0])[None])[0]
        _blend(planes, _from_channels(denoised, len(planes)), strength, result)
        advance(denoised[0].size)
    return result[0] if pixels.ndim == 2 else result


def check_denoiser(graph: Graph, name: object, hint: str) -> None:
    """Raise InputError unless the graph takes images of 1 or 3 channels and returns images of the same shape."""
    if len(graph.input_shape) != 3 or graph.input_shape[0] not in (1, 3) or graph.output_shapes != (graph.input_shape,):
        sides = [[side or "free" for side in shape] for shape in (graph.input_shape, *graph.output_shapes)]
        got = f"{sides[0]} -> {sides[1]}"
        raise InputError.expected(name, "images of 1 or 3 channels and an output of the same shape", got, hint)


def is_grey(pixels: Pixels) -> bool:
    """Whether an image has no colours: (H, W), or (3, H, W) with equal channels."""
    return pixels.ndim == 2 or all(np.array_equal(pixels[0], plane) for plane in pixels[1:])


def to_unit(planes: Pixels) -> ImagesF32:
    """Pixels as float32, the largest integer as 1."""
    floats = planes.astype(np.float32)
    if planes.dtype.kind == "u":
        floats /= np.iinfo(planes.dtype).max
    return floats


def _check_fits(graph: Graph, shape: tuple[int, ...], name: object) -> None:
    check_denoiser(graph, "model", MODEL_HINT)
    channels, height, width = graph.input_shape
    if shape[0] > channels:
        hint = "convert it to grey first"
        raise InputError.expected(name, "a grey image, as the model needs", "one with colours", hint)
    if shape[1] < height or shape[2] < width:
        got = f"{shape[2]}x{shape[1]}"
        raise InputError.expected(name, f"{width}x{height} pixels or more", got, "resize it first")


def check_finite(denoised: ImagesF32) -> None:
    """Raise InputError if a model's output has NaN or infinity."""
    if not np.isfinite(denoised.sum(dtype=np.float64)):
        raise InputError.expected("denoised", "finite numbers", "NaN or infinity", "choose another --model")


def _to_channels(planes: ImagesF32, channels: int) -> ImagesF32:
    return planes if len(planes) == channels else np.repeat(planes, channels, 0)


def _from_channels(denoised: ImagesF32, channels: int) -> ImagesF32:
    return denoised if len(denoised) == channels else denoised.mean(0, keepdims=True)


def _blend(noisy: Pixels, denoised: ImagesF32, strength: float, result: Pixels) -> None:
    """Write noisy + `strength` x (denoised - noisy), clipped, to `result` in its type."""
    check_finite(denoised)
    if strength != 1:
        source = to_unit(noisy)
        denoised = source + np.float32(strength) * (denoised - source)
    denoised = denoised.clip(0, 1)
    if result.dtype.kind == "u":
        denoised *= np.iinfo(result.dtype).max
        np.rint(denoised, out=denoised)
    result[...] = denoised


# --- graphs with free height and width ----------------------------------------------------------


class Tile(NamedTuple):
    """A part of an image: slices of (C, H, W). `inner` is what is kept of the denoised `outer`."""

    inner: tuple[slice, ...]
    outer: tuple[slice, ...]  # with its context, as far as the image reaches


def list_tiles(graph: Graph, height: int, width: int) -> Iterator[Tile]:
    """Tiles whose inner parts cover the image once.

    Each outer part holds all that the inner one depends on, and starts at a multiple of `graph.multiple`, so a tile
    gets the same values as in the whole image.
    """
    rows, columns = _spans(graph, height), _spans(graph, width)
    for inner_y, outer_y in rows:
        for inner_x, outer_x in columns:
            yield Tile((slice(None), inner_y, inner_x), (slice(None), outer_y, outer_x))


def _spans(graph: Graph, length: int) -> list[tuple[slice, slice]]:
    """Inner and outer parts of tiles along one side, of nearly equal lengths."""
    multiple = graph.multiple
    if length <= TILE_SIDE:
        return [(slice(0, length), slice(0, length))]
    margin = multiple * math.ceil(graph.receptive_field / multiple)
    count = math.ceil(length / (TILE_SIDE - TILE_SIDE % multiple - 2 * margin))
    step = multiple * math.ceil(length / count / multiple)
    starts = range(0, length, step)
    return [
        (slice(start, min(start + step, length)), slice(max(start - margin, 0), min(start + step + margin, length)))
        for start in starts
    ]


def _denoise_tile(graph: Graph, planes: Pixels, tile: Tile) -> ImagesF32:
    """The inner part of a tile, denoised. The image's own edges are mirrored to a multiple of `graph.multiple`."""
    floats = _to_channels(to_unit(planes[tile.outer]), graph.input_shape[0])
    missing = [(0, -side % graph.multiple) for side in floats.shape[1:]]
    padded = np.pad(floats, [(0, 0), *missing], "symmetric")[None]
    (denoised,) = graph(padded)
    if denoised.shape != padded.shape:
        raise InputError.expected("denoised", f"the shape of the input {list(padded.shape)}", list(denoised.shape))
    top, left = (inner.start - outer.start for inner, outer in zip(tile.inner[1:], tile.outer[1:], strict=True))
    height, width = (inner.stop - inner.start for inner in tile.inner[1:])
    return _from_channels(denoised[0, :, top : top + height, left : left + width], len(planes))


# --- graphs of one size -------------------------------------------------------------------------


def denoise_tiled(graph: Graph, image: ImagesF32) -> ImagesF32:
    """The denoised image, (1, C, H, W) float32, for a denoiser `graph` of (n, C, h, w) and H >= h, W >= w.

    Each tile overlaps the next by half or more. Where tiles overlap, a pixel counts more the nearer it is to its
    tile's middle. One row of tiles is in memory at a time. Raises InputError as `graph` does.
    """
    _, height, width = graph.input_shape
    window = np.outer(_ramp(height), _ramp(width))  # (h, w)
    sums, weights = np.zeros_like(image), np.zeros(image.shape[-2:], np.float32)
    lefts = _tile_starts(image.shape[3], width)
    for top in _tile_starts(image.shape[2], height):
        row = image[0, :, top : top + height]
        (tiles,) = graph.batched(np.stack([row[:, :, left : left + width] for left in lefts]))
        for left, tile in zip(lefts, tiles, strict=True):
            region = (..., slice(top, top + height), slice(left, left + width))
            sums[region] += window * tile
            weights[region] += window
    blended: ImagesF32 = sums / weights
    return blended


def _tile_starts(length: int, side: int) -> list[int]:
    """Where tiles of `side` start that cover `length` evenly, each at most half a side after the one before."""
    count = 1 + math.ceil((length - side) / (side / 2))
    return [round(i * (length - side) / max(count - 1, 1)) for i in range(count)]


def _ramp(side: int) -> NDArray[np.float32]:
    """Weights (side,) that rise to the middle and fall again, always above 0."""
    return np.array([min(i + 1, side - i) for i in range(side)], np.float32)
